"""A foreground on a background: what is changed lies in layers of its own, and is limited."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import pellucid
from pellucid.apps.cli import cli
from pellucid.errors import InputError
from pellucid.files.images import write_image
from pellucid.rgba.colour_transfer import MOST_LIGHTER, MOST_TINT, ColourStatistics, transfer_colours
from pellucid.rgba.compositing import over
from pellucid.rgba.contact_shadow import contact_shadow
from pellucid.rgba.oklab import from_oklab, to_oklab
from pellucid.scene.harmonizing import harmonize

DICE = np.random.default_rng(2)


def ball(side: int = 60, colour: tuple[int, int, int] = (200, 60, 40)) -> np.ndarray:
    """A shaded ball with a soft edge, in the middle of a clear image."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    distance = np.hypot(rows, columns)
    rgba = np.zeros((side, side, 4), np.uint8)
    shade = np.clip(1.2 - (distance + rows) / side, 0.3, 1.2)[..., None]
    rgba[..., :3] = np.clip(np.array(colour) * shade, 0, 255)
    rgba[..., 3] = np.clip((side * 0.4 - distance) * 128, 0, 255)
    return rgba


def field(height: int = 120, width: int = 160) -> np.ndarray:
    noise = DICE.integers(-20, 20, (height, width, 3))
    return np.clip(np.array((40, 60, 150)) + noise, 0, 255).astype(np.uint8)


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_oklab_gives_every_colour_back(levels: list[int]) -> None:
    rgb = np.array([levels]) / 255
    assert np.abs(from_oklab(to_oklab(rgb)) - rgb).max() < 1e-9


def test_oklab_is_its_authors() -> None:
    assert np.allclose(to_oklab(np.ones((1, 3))), [[1, 0, 0]], atol=1e-6)
    # red of sRGB, as the author's own code and CSS Color 4 give it
    assert np.allclose(to_oklab(np.array([[1.0, 0, 0]])), [[0.62796, 0.22486, 0.12585]], atol=1e-4)


def test_with_both_layers_off_it_is_plain_over() -> None:
    front, back = ball(), field()
    scene = harmonize(front, back, at=(30, 40))
    assert [layer.name for layer in scene.layers] == [
        "background", "foreground: shadow", "foreground", "foreground: light",
    ]  # fmt: skip
    off = replace(
        scene, layers=tuple(replace(layer, visible=":" not in layer.name) for layer in scene.layers)
    )
    canvas = np.zeros((120, 160, 4), np.uint8)
    canvas[30:90, 40:100] = front
    plain = over(canvas, np.dstack([back, np.full(back.shape[:2], 255, np.uint8)]))
    assert np.array_equal(off.composite(), plain)
    assert np.array_equal(harmonize(front, back, at=(30, 40), light=0, shadow=0).composite(), plain)
    assert np.array_equal(scene.layers[2].image, front)


def test_the_light_changes_colours_alone_and_within_limits() -> None:
    front = ball()
    scene = harmonize(front, field(), at=(30, 40), light=1, shadow=0)
    alone = replace(scene, layers=scene.layers[1:]).composite()[30:90, 40:100]
    seen = front[..., 3] > 0
    assert np.array_equal(alone[..., 3], front[..., 3])
    assert np.abs(alone[seen][:, :3].astype(int) - scene.layers[2].image[seen][:, :3]).max() <= 1
    before, after = (to_oklab(rgba[seen][:, :3] / 255) for rgba in (front, alone))
    # half a level of rounding is 0.01 in the darkest colours
    assert np.abs(after - before)[:, 0].max() < MOST_LIGHTER + 0.1 * 0.5 + 0.01
    assert np.median(after[:, 0]) < np.median(before[:, 0])
    assert np.median(after[:, 2]) < np.median(before[:, 2]) - 0.3 * MOST_TINT


def test_black_and_white_stay() -> None:
    image = np.full((4, 4, 4), 255, np.uint8)
    image[:2, :, :3] = 0
    target = ColourStatistics(middle=np.array([0.9, 0.0, 0.0]), spread=np.full(3, 0.3))
    assert np.array_equal(transfer_colours(image, target), image[..., :3])


def test_colours_of_its_own_are_hardly_changed() -> None:
    front = ball()
    again = transfer_colours(front, ColourStatistics.of(front))
    assert np.abs(again.astype(int) - front[..., :3]).max() <= 1


def test_a_shadow_is_soft_and_lies_at_the_feet() -> None:
    shadow, (top, left) = contact_shadow(ball(100))
    alpha = shadow[..., 3].astype(float)
    rows, columns = (alpha.sum(axis=axis) for axis in (1, 0))
    middle = top + (rows * np.arange(len(rows))).sum() / rows.sum()
    assert 80 < middle < 92  # the ball ends at 90
    assert abs(left + (columns * np.arange(len(columns))).sum() / columns.sum() - 49.5) < 1
    assert 80 < alpha.max() < 255
    for edge in (alpha[-1], alpha[:, 0], alpha[:, -1]):
        assert edge.max() == 0
    assert 0 < alpha[0].max() < 3
    with pytest.raises(InputError, match="casts a shadow"):
        contact_shadow(np.zeros((5, 5, 4), np.uint8))


@pytest.mark.parametrize("side", [1, 3, 40, 700])
def test_any_size_finds_a_place(side: int) -> None:
    front = np.full((side, side, 4), 200, np.uint8)
    scene = harmonize(front, field())
    assert (scene.height, scene.width) == (120, 160)
    above = scene.layers[-2]
    bottom = above.offset[0] + above.image.shape[0]
    assert bottom == round(0.94 * 120)
    assert above.image.shape[0] <= 120


def test_layers_of_a_document_stay() -> None:
    below = pellucid.Scene.of([np.dstack([field(), np.full((120, 160), 255, np.uint8)])] * 2, name="hill")
    scene = pellucid.harmonize(pellucid.Layer(image=ball(), name="a ball"), below, scale=0.5)
    assert scene.layers[:2] == below.layers
    assert [layer.name for layer in scene.layers[2:]] == ["a ball: shadow", "a ball", "a ball: light"]
    assert scene.layers[3].image.shape == (30, 30, 4)


def test_wrong_numbers_are_told() -> None:
    for words, wrong in (
        ("light of 0 to 1", {"light": 1.5}),
        ("shadow", {"shadow": -1.0}),
        ("a scale", {"scale": 0.0}),
    ):
        with pytest.raises(InputError, match=words):
            harmonize(ball(), field(), **wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="something to see"):
        harmonize(np.zeros((5, 5, 4), np.uint8), field())


@pytest.mark.parametrize("ending", ["psd", "ora", "zip"])
def test_the_command_writes_layers_that_other_programs_turn_off(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(ball(), "ball.png", metadata={"prompt": "a ball"})
    write_image(np.dstack([field(), np.full((120, 160), 255, np.uint8)]), "hill.png")
    options = ["--at", "40,30", "--scale", "0.5", "--shadow", "40%", "-o", f"x.{ending}", "--json"]
    result = CliRunner().invoke(cli, ["harmonize", "ball.png", "hill.png", *options])
    told = json.loads(result.output)
    assert told["layers"] == ["ball: light", "ball", "ball: shadow", "hill"]
    scene = pellucid.Scene.open(f"x.{ending}")
    expected = harmonize(
        pellucid.Scene.open("ball.png"), pellucid.Scene.open("hill.png"), at=(30, 40), scale=0.5, shadow=0.4
    )
    assert scene.layers[3].clipped
    # opacities are 255ths in a PSD
    assert np.abs(scene.composite().astype(int) - expected.composite()).max() <= 1
    found = scene.layers[2].provenance
    assert found is not None
    assert found.prompt == "a ball"


def test_a_foreground_outside_the_canvas_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(ball(), "ball.png")
    write_image(np.dstack([field(), np.full((120, 160), 255, np.uint8)]), "hill.png")
    for place, said in (("5000,10", "outside the canvas of 160x120"), ("40,30", "")):
        result = CliRunner().invoke(cli, ["harmonize", "ball.png", "hill.png", "--at", place])
        assert result.exit_code == 0
        assert said in result.stderr
        assert bool(said) == bool(result.stderr)
