"""Sizes, sets of one scale, icons, and colour under clear pixels for game engines."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pellucid.apps.cli import cli
from pellucid.files.icon_writing import ICON_SIDES
from pellucid.files.images import read_rgba, write_image
from pellucid.rgba.placing import fit_square, fit_visible, visible_box
from pellucid.rgba.resizing import fit_rgba
from pellucid.rgba.types import AnyArray


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def spot(rows: int, columns: int) -> AnyArray:
    rgba = np.zeros((40, 60, 4), np.uint8)
    rgba[..., 1] = 255  # what is hidden must never show
    rgba[4 : 4 + rows, 6 : 6 + columns] = (200, 0, 90, 255)
    return rgba


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        (("--size", "30x"), (20, 30, 4)),
        (("--size", "x80"), (80, 120, 4)),
        (("--size", "33x50"), (50, 33, 4)),
        (("--size", "33x50", "--proportions", "crop"), (50, 33, 4)),
        (("--scale", "0.5"), (20, 30, 4)),
        (("--scale", "2", "--trim"), (40, 60, 4)),
    ],
)
def test_sizes_are_as_said_and_hidden_colour_never_shows(words: tuple[str, ...], shape: tuple[int]) -> None:
    write_image(spot(20, 30), "a.png")
    assert run("resize", "a.png", *words).output == "a-resized.png\n"
    found = read_rgba("a-resized.png")
    assert found.shape == shape
    assert not found[found[..., 3] > 0][:, 1].any()


def test_a_set_keeps_its_sizes_to_one_another_or_fills_the_box() -> None:
    write_image(spot(10, 10), "small.png")
    write_image(spot(30, 20), "large.png")
    common = ("resize", "small.png", "large.png", "--fit", "100x100", "--margin", "5", "-o")
    assert run(*common, "alike/", "--equal-scale").exit_code == 0
    assert visible_box(read_rgba("alike/large.png")) == (5, 20, 90, 60)
    assert visible_box(read_rgba("alike/small.png")) == (35, 35, 30, 30)
    run(*common, "each/")
    assert (read_rgba("each/small.png") == fit_visible(spot(10, 10), 100, 100, 5)).all()


def test_an_icon_holds_every_usual_size() -> None:
    image = spot(20, 30)
    write_image(image, "a.png")
    assert run("convert", "a.png", "a.ico").exit_code == 0
    with Image.open("a.ico") as icon:
        assert icon.info["sizes"] == {(side, side) for side in ICON_SIDES}
        for side in ICON_SIDES:
            icon.size = (side, side)  # pyright: ignore[reportAttributeAccessIssue] - which is loaded next
            found = np.asarray(icon.convert("RGBA"))
            assert (found == fit_rgba(image, side, side, "fit")).all()
    square = np.random.default_rng(0).integers(0, 256, (256, 256, 4), dtype=np.uint8)
    assert (read_rgba(write_image(square, "b.ico")) == square).all()


def test_favicons_are_of_their_sizes() -> None:
    image = spot(20, 30)
    write_image(image, "a.png")
    made = json.loads(run("resize", "a.png", "--favicons", "--margin", "32", "-o", "site/", "--json").stdout)
    sides = {Path(row["path"]).name: read_rgba(row["path"]).shape[0] for row in made["pictures"]}
    assert sides == {
        "favicon.ico": 48,
        "favicon-16x16.png": 16,
        "favicon-32x32.png": 32,
        "favicon-48x48.png": 48,
        "apple-touch-icon.png": 180,
        "icon-192.png": 192,
        "icon-512.png": 512,
    }
    assert visible_box(read_rgba("site/icon-512.png")) == (106, 32, 299, 448)
    assert (read_rgba("site/icon-192.png") == fit_square(image, 192, 32)).all()
    assert (read_rgba("site/apple-touch-icon.png")[..., 3] == 255).all()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--size", "x"),
        ("--size", "3x3", "--scale", "2"),
        ("--scale", "2", "--margin", "3"),
        ("--scale", "2", "--equal-scale"),
        ("--favicons", "-o", "x.png"),
    ],
)
def test_unclear_wishes_are_refused(words: tuple[str, ...]) -> None:
    write_image(spot(20, 30), "a.png")
    assert run("resize", "a.png", *words).exit_code == 2
    assert run("resize", "a.png", "--scale", "1e6").exit_code == 1


def test_colour_goes_under_clear_pixels_and_nothing_seen_changes() -> None:
    rgba = spot(20, 30)
    rgba[10, 10:20, 3] = 90
    write_image(rgba, "a.png")
    run("pad", "a.png", "--keep-alpha")
    found = read_rgba("a-padded.png")
    seen = rgba[..., 3] > 0
    assert (found[..., 3] == rgba[..., 3]).all()
    assert (found[seen] == rgba[seen]).all()
    # of one colour: a filter that mixes neighbours finds no other
    assert (np.abs(found[..., :3].astype(int) - (200, 0, 90)) <= 1).all()
