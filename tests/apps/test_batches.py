"""Commands that make a file of each image: names, folders, what fails, what exists, where it is placed."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pellucid.apps.cli import cli
from pellucid.errors import FileError, InputError
from pellucid.files.images import read_image, read_rgba, write_image
from pellucid.rgba.placing import fit_visible, trim
from pellucid.rgba.types import AnyArray
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def spot(value: int = 200) -> AnyArray:
    rgba = np.zeros((24, 32, 4), np.uint8)
    rgba[5:15, 8:26] = (value, 30, 90, 255)
    return rgba


@pytest.fixture
def three() -> None:
    Path("in").mkdir()
    for value, name in enumerate(["a.png", "b.webp"]):
        write_image(spot(value), Path("in", name), metadata={"prompt": name})
    Path("in", "bad.png").write_text("no image")
    write_image(spot(9), "c.png")


@pytest.mark.usefixtures("three")
def test_files_and_folders_become_files_in_a_folder() -> None:
    made = run("convert", "in", "c.png", "-o", "out/", "--format", "tiff")
    assert made.exit_code == 1
    assert made.stdout == "out/a.tiff\nout/b.tiff\nout/c.tiff\n"
    assert "in/bad.png" in made.stderr
    assert made.stderr.endswith("1 of 4 images failed. The rest is written.\n")
    for value, name in enumerate(["a", "b"]):
        found = read_image(f"out/{name}.tiff")
        assert (found.rgba == spot(value)).all()
        assert found.provenance is not None
    assert run("pad", "in/b.webp", "c.png", "-o", "padded").exit_code == 1  # no folder, and no ending
    assert run("pad", "in/b.webp", "c.png", "-o", "padded/").output == "padded/b.png\npadded/c.png\n"


@pytest.mark.usefixtures("three")
def test_what_exists_is_left_out_and_json_lists_the_rest() -> None:
    run("convert", "in/a.png", "-o", "out/")
    listed = run("convert", "in/a.png", "in/b.webp", "-o", "out/", "--skip-existing", "--json")
    facts = json.loads(listed.stdout)
    assert facts["skipped"] == ["out/a.png"]
    (row,) = facts["pictures"]
    assert (row["path"], row["prompt"], row["layers"]) == ("out/b.png", "b.webp", 1)
    one = json.loads(run("convert", "c.png", "d.webp", "--json").stdout)
    assert one == {"path": "d.webp", "height": 24, "width": 32, "layers": 1}
    assert run("convert", "c.png", "d.webp", "--skip-existing").stderr == "Left out 1 whose file exists.\n"


@pytest.mark.usefixtures("three")
def test_results_stand_beside_their_images_and_take_the_chosen_format() -> None:
    write_image(spot(), "in/b.png")
    made = run("pad", "in/a.png", "in/b.webp", "in/b.png", "--format", "webp")
    assert made.output.split() == ["in/a-padded.webp", "in/b-padded.webp", "in/b-padded-2.webp"]
    assert run("pad", "c.png").output == "c-padded.png\n"


@pytest.mark.parametrize(
    ("words", "first", "second"),
    [
        (("clean", "c.png"), "c-clean.png", "c-clean-2.png"),
        (("resize", "c.png", "--scale", "2"), "c-resized.png", "c-resized-2.png"),
        (("pad", "c.png", "in/a.png"), "c-padded.png", "c-padded-2.png"),
        (("composite", "c.png", "c.png"), "composite.png", "composite-2.png"),
        (("composite", "c.png", "c.png", "--at", "1,1"), "composite.png", "composite-2.png"),
        (("harmonize", "c.png", "in/a.png"), "c-on-a.psd", "c-on-a-2.psd"),
        (("layers", "c.png", "--rename", "c", "d"), "c-edited.psd", "c-edited-2.psd"),
    ],
)
@pytest.mark.usefixtures("three")
def test_a_name_that_nobody_gave_replaces_nothing(words: tuple[str, ...], first: str, second: str) -> None:
    Path(first).write_text("work of hours")
    made = run(*words)
    assert made.exit_code == 0, made.exception
    assert second in made.stdout.splitlines()
    assert Path(first).read_text() == "work of hours"
    assert Path(second).stat().st_size > 0


@pytest.mark.usefixtures("three")
def test_unclear_targets_are_refused() -> None:
    for words, told in [
        (("convert", "in/a.png", "in/b.webp", "-o", "x.png"), "slash at its end: x/"),
        (("convert", "in/a.png", "c.png", "-o", "in"), "apart from the inputs"),
    ]:
        error = run(*words).exception
        assert isinstance(error, FileError)
        assert told in str(error)
    for count in (1, 3):
        refused = run("convert", *["c.png"] * count)
        assert refused.exit_code == 2
        assert f"found {count} paths" in refused.output
    assert run("convert", "in", "-", "--format", "png").exit_code == 2


def test_conversion_places_what_is_seen() -> None:
    write_image(spot(), "a.png")
    run("convert", "a.png", "t.png", "--margin", "3")
    assert (read_rgba("t.png") == trim(spot(), 3)).all()
    run("convert", "a.png", "f.webp", "--fit", "50x40", "--margin", "4")
    assert (read_rgba("f.webp") == fit_visible(spot(), 40, 50, 4)).all()
    assert isinstance(run("convert", "a.png", "x.png", "--margin", "-1").exception, InputError)


def test_documents_are_trimmed_with_their_layers() -> None:
    layers = (Layer(image=spot()[:20], offset=(2, -3)), Layer(image=spot(90), opacity=0.5, offset=(6, 9)))
    scene = Scene(layers=layers, height=40, width=60)
    scene.save("s.zip")
    assert run("convert", "s.zip", "t.ora", "--margin", "2").exit_code == 0
    found = Scene.open("t.ora")
    assert len(found.layers) == 2
    assert (found.composite() == trim(scene.composite(), 2)).all()
    assert (found.layers[0].image == layers[0].image).all()
    run("convert", "s.zip", "t.png", "--trim")
    assert (read_rgba("t.png") == trim(scene.composite())).all()
    assert "--trim" in str(run("convert", "s.zip", "t.psd", "--fit", "20x20").exception)


@pytest.mark.usefixtures("three")
def test_several_images_are_cleaned_and_each_is_told() -> None:
    dirty = spot()
    dirty[0, 0, 3] = 3
    write_image(dirty, "in/a.png")
    Scene(layers=(Layer(image=dirty, name="low"),) * 2, height=24, width=32).save("in/s.ora")
    made = run("clean", "in", "c.png", "-o", "out/", "--trim")
    assert made.exit_code == 1
    assert made.stdout == "out/a.png\nout/b.webp\nout/s.ora\nout/c.png\n"
    told = [line.partition(": ")[0] for line in made.stderr.splitlines()]
    assert told == ["a", "b", "pellucid", "s, low", "s, low", "c", "pellucid"]
    assert (read_rgba("out/a.png") == trim(spot())).all()
    facts = json.loads(run("clean", "in/a.png", "c.png", "-o", "out/", "--format", "webp", "--json").stdout)
    assert [row["path"] for row in facts["pictures"]] == ["out/a.webp", "out/c.webp"]
    assert [row["layers"][0]["name"] for row in facts["pictures"]] == ["a", "c"]
    alone = json.loads(run("clean", "in/a.png", "--json").stdout)
    assert (alone["path"], len(alone["layers"])) == ("in/a-clean.png", 1)


@pytest.mark.usefixtures("three")
def test_what_lies_outside_the_canvas_is_told() -> None:
    for place, seen in (("31,23", True), ("32,0", False), ("0,-24", False), ("-31,0", True)):
        told = run("composite", "c.png", "c.png", "--at", place, "-o", "x.png")
        assert told.exit_code == 0
        assert ("wholly outside the canvas of 32x24" in told.stderr) != seen
