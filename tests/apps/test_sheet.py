"""`sheet`: images cut out of the sheet by its atlas are the images that went in."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pellucid.apps.cli import cli
from pellucid.errors import FileError
from pellucid.files.images import read_rgba, write_image
from pellucid.rgba.placing import trim
from pellucid.rgba.preview import plain_letters
from pellucid.rgba.types import AnyArray


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def image(seed: int, rows: int, columns: int) -> AnyArray:
    rgba = np.random.default_rng(seed).integers(1, 256, (rows, columns, 4), dtype=np.uint8)
    return np.pad(rgba, ((2, 3), (4, 1), (0, 0)))


def cut(sheet: AnyArray, frame: dict[str, Any]) -> AnyArray:
    """Takes a frame out of a sheet as engines do, back in its place in the source."""
    rect, placed, size = frame["frame"], frame["spriteSourceSize"], frame["sourceSize"]
    pixels = sheet[rect["y"] : rect["y"] + rect["h"], rect["x"] : rect["x"] + rect["w"]]
    whole = np.zeros((size["h"], size["w"], 4), np.uint8)
    whole[placed["y"] : placed["y"] + placed["h"], placed["x"] : placed["x"] + placed["w"]] = pixels
    return whole


@pytest.fixture
def sprites() -> dict[str, AnyArray]:
    images = {"sword": image(0, 20, 9), "key": image(1, 8, 8), "bag": image(2, 11, 17)}
    Path("in").mkdir()
    for name, rgba in images.items():
        write_image(rgba, f"in/{name}.png")
    return images


@pytest.mark.parametrize("words", [(), ("--trim", "--padding", "3"), ("--power-of-two", "--columns", "1")])
def test_the_atlas_gives_every_image_back(sprites: dict[str, AnyArray], words: tuple[str, ...]) -> None:
    result = run("sheet", "in/", "-o", "all.png", *words)
    assert result.output == "all.png\nall.json\n"
    atlas, sheet = json.loads(Path("all.json").read_bytes()), read_rgba("all.png")
    assert atlas["meta"]["image"] == "all.png"
    assert (atlas["meta"]["size"]["h"], atlas["meta"]["size"]["w"]) == sheet.shape[:2]
    assert list(atlas["frames"]) == sorted(sprites)
    for name, frame in atlas["frames"].items():
        assert frame["trimmed"] == ("--trim" in words)
        assert not frame["rotated"]
        assert (cut(sheet, frame) == sprites[name]).all()


def test_an_animation_has_a_cell_a_frame_with_its_duration() -> None:
    frames = [Image.fromarray(image(seed, 9, 12)) for seed in range(3)]
    frames[0].save("walk.v2.png", save_all=True, append_images=frames[1:], duration=[40, 50, 60])
    result = run("sheet", "walk.v2.png", "-o", "walk.webp", "--atlas", "walk.json", "--json")
    said = json.loads(result.output)
    assert said == {
        "path": "walk.webp",
        "atlas": "walk.json",
        "height": 28,
        "width": 34,
        "columns": 2,
        "images": 3,
        "cell": [14, 17],
    }
    atlas, sheet = json.loads(Path("walk.json").read_bytes()), read_rgba("walk.webp")
    assert [frame["duration"] for frame in atlas["frames"].values()] == [40, 50, 60]
    assert list(atlas["frames"]) == ["walk.v2-001", "walk.v2-002", "walk.v2-003"]
    for frame, made in zip(atlas["frames"].values(), frames, strict=True):
        assert (cut(sheet, frame) == np.asarray(made)).all()


def test_larger_images_are_reduced_to_the_cell_and_names_stay_apart(sprites: dict[str, AnyArray]) -> None:
    Path("more").mkdir()
    write_image(sprites["key"], "more/key.png")
    assert run("sheet", "in/", "more/", "--cell", "10x13", "--trim", "-o", "s.png").exit_code == 0
    frames = json.loads(Path("s.json").read_bytes())["frames"]
    assert list(frames) == ["bag", "key", "sword", "key-2"]
    assert frames["sword"]["frame"]["h"] == 13
    # what is small enough keeps its pixels
    sheet = read_rgba("s.png")
    assert (trim(cut(sheet, frames["key-2"])) == trim(sprites["key"])).all()


def test_a_contact_sheet_is_opaque_and_has_no_atlas(sprites: dict[str, AnyArray]) -> None:
    assert run("sheet", "in/", "--labels").output == "sheet.png\n"
    assert (read_rgba("sheet.png")[..., 3] == 255).all()
    assert not Path("sheet.json").exists()
    assert len(sprites) == 3


def test_an_earlier_sheet_in_the_folder_is_no_image_of_the_next(sprites: dict[str, AnyArray]) -> None:
    for _ in range(2):
        assert run("sheet", "in/", "-o", "in/all.png").exit_code == 0
    assert list(json.loads(Path("in/all.json").read_bytes())["frames"]) == sorted(sprites)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("in/key.png", "-o", "in/key.png"), "apart from the images"),
        (("in/key.png", "-o", "a.png", "--atlas", "in/key.png"), "apart from the images"),
        (("in/key.png", "-o", "a.png", "--atlas", "a.png"), "two files"),
        (("in/key.png", "-o", "no/a.png"), "folder"),
        (("in/", "--labels", "--power-of-two"), "--labels"),
        (("in/", "--cell", "9000x9000", "-o", "a.png"), "--max-pixels"),
        (("in/", "nothing.png", "-o", "a.png"), "nothing.png"),
    ],
)
def test_what_cannot_be_is_refused_and_loses_nothing(
    sprites: dict[str, AnyArray], words: tuple[str, ...], said: str
) -> None:
    result = run("sheet", *words)
    assert result.exit_code != 0
    assert said in f"{result.output} {result.exception}"
    assert not Path("a.png").exists()
    assert (read_rgba("in/key.png") == sprites["key"]).all()


def test_a_json_of_something_else_is_no_atlas_to_replace(sprites: dict[str, AnyArray]) -> None:
    Path("package.json").write_text('{"name": "game"}')
    result = run("sheet", "in/", "-o", "package.png")
    assert isinstance(result.exception, FileError)
    assert Path("package.json").read_text() == '{"name": "game"}'
    assert not Path("package.png").exists()
    for _ in range(2):  # one's own is
        assert run("sheet", "in/", "-o", "game.png").exit_code == 0


def test_labels_have_letters_that_the_font_knows() -> None:
    assert plain_letters("Gr\u00fcner K\u00e4se\n\u00e6\u00df \u732b") == "Gruner Kase aess ?"
