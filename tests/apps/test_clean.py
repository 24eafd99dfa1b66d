"""`clean`, and `--clean` on the commands that make images."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pellucid.apps.cli import cli
from pellucid.apps.commands.clean import clean_command
from pellucid.errors import FileError, InputError
from pellucid.files.images import read_image, read_rgba, write_image
from pellucid.rgba.cleanup import Cleaning, clean
from pellucid.rgba.defects import score
from pellucid.scene.cleanup import clean_scene
from pellucid.scene.layer import Group, Layer
from pellucid.scene.scene import Scene

SIDE = 128
SEEDED = ("--steps", "1", "--seed", "3")


def run(*words: object) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def square(colour: int) -> np.ndarray:
    """Solid in the middle, and dirty, with a speck."""
    rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
    rgba[30:90, 30:90] = (colour, colour, colour, 255)
    rgba[:10, :10, 3] = 3
    rgba[110, 110] = 60
    return rgba


def test_clean_writes_beside_the_image_and_prints_the_path() -> None:
    write_image(square(90), "x.webp", metadata={"prompt": "a square", "seed": 3})
    assert run("clean", "x.webp") == "x-clean.webp"
    found = read_image("x-clean.webp")
    assert np.array_equal(found.rgba, clean(square(90)))
    assert found.provenance is not None
    assert found.provenance.prompt == "a square"


def test_json_has_the_scores_of_each_layer_before_and_after() -> None:
    layers = (Layer(image=square(90), name="low"), Layer(image=square(200), name="high", offset=(5, 9)))
    Scene(layers=layers, height=SIDE, width=SIDE).save("x.ora")
    facts = json.loads(run("clean", "x.ora", "-o", "y.psd", "--json"))
    assert (facts["path"], facts["height"], facts["width"]) == ("y.psd", SIDE, SIDE)
    assert [each["name"] for each in facts["layers"]] == ["low", "high"]
    saved = Scene.open("y.psd").layers
    for each, layer in zip(facts["layers"], saved, strict=True):
        assert (each["before"]["dirty"], each["before"]["specks"]) == (round(100 / SIDE**2, 5), 1)
        assert each["after"] == score(layer.image).as_dict()
        assert (each["after"]["dirty"], each["after"]["specks"], each["after"]["fringe"]) == (0, 0, 0)
    assert saved[1].offset == (5, 9)


def test_a_scene_keeps_everything_but_the_faults() -> None:
    group = Group(name="g", opacity=0.5)
    layer = Layer(image=square(9), name="a", offset=(-3, 4), opacity=0.7, visible=False, groups=(group,))
    scene = Scene(layers=(layer,), height=50, width=60)
    (found,) = clean_scene(scene)[0].layers
    assert (found.name, found.offset, found.opacity, found.visible) == ("a", (-3, 4), 0.7, False)
    assert found.groups == (group,)
    assert np.array_equal(found.image, clean(square(9)))


def test_options_reach_the_cleaning() -> None:
    write_image(square(90), "x.png")
    words = (
        "--noise-threshold",
        "0",
        "--speckle-share",
        "0",
        "--foreground",
        "auto",
        "--background",
        "#ff0000",
    )
    run("clean", "x.png", "-o", "y.png", *words)
    wanted = clean(square(90), Cleaning(noise_threshold=0, speckle_share=0, background="#ff0000"))
    assert np.array_equal(read_rgba("y.png"), wanted)
    assert not np.array_equal(wanted, square(90))


@pytest.mark.parametrize("command", ["generate", "vary", "inpaint", "decode"])
def test_a_command_that_makes_images_cleans_them(command: str, model: str) -> None:
    write_image(square(90)[20:100, 10:100], "in.png")
    if command == "decode":
        run("encode", "in.png", "-o", "in.safetensors", "--model", model)
    words: dict[str, tuple[Any, ...]] = {
        "generate": ("a", *SEEDED),  # at the model's own size, where nothing smooths it
        "vary": ("in.png", "a", *SEEDED),
        "inpaint": ("in.png", "in.png", "a", *SEEDED),
        "decode": ("in.safetensors",),
    }
    asked = (command, *words[command], "--model", model, "--json")
    plain, cleaned = (
        json.loads(run(*asked, "-o", name, *more)) for name, more in (("p.png", ()), ("c.png", ("--clean",)))
    )
    plain, cleaned = (facts.get("pictures", [facts])[0] for facts in (plain, cleaned))
    assert np.array_equal(read_rgba("c.png"), clean(read_rgba("p.png")))
    (layer,) = cleaned["cleaned"]
    assert layer["before"] == score(read_rgba("p.png")).as_dict()
    assert layer["after"] == score(read_rgba("c.png")).as_dict()
    assert "cleaned" not in plain
    if command in ("generate", "decode"):  # of the others nothing but what was snapped was dirty
        assert not np.array_equal(read_rgba("c.png"), read_rgba("p.png"))


def test_the_defaults_in_help_are_those_of_the_library() -> None:
    shown = {each.name: each.default for each in clean_command.params}
    chosen = {name: value for name, value in asdict(Cleaning()).items() if value}
    assert {name: shown[name] for name in chosen} == chosen


def test_wrong_options_are_refused() -> None:
    write_image(square(90), "x.png")
    with pytest.raises(InputError, match="0 to 63 levels"):
        run("clean", "x.png", "--dirt", "99")
    with pytest.raises(InputError, match="Expected a colour"):
        run("clean", "x.png", "--background", "grey")
    with pytest.raises(FileError, match="no format with transparency"):
        run("clean", "x.png", "-o", "x.bmp")
    assert CliRunner().invoke(cli, ["clean", "x.png", "--foreground", "best"]).exit_code == 2
