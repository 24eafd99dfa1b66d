"""Scenes and layers show themselves in notebooks: small, whole, and without anything that runs."""

# pyright: reportPrivateUsage=false
# notebooks call these names, which only look private

import base64
import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

from pellucid import progress
from pellucid.rgba.preview import on_checkerboard
from pellucid.rgba.resizing import shrunk
from pellucid.scene.scene import Group, Layer, Scene
from pellucid.scene.scene_showing import preview
from pellucid.scene.showing import CELL_PX, SIDE_PX

DICE = np.random.default_rng(4)
SMALL = DICE.integers(0, 256, (20, 30, 4), np.uint8)


def decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_small_scene_is_shown_as_it_is() -> None:
    scene = Scene.of(SMALL)
    assert np.array_equal(decoded(scene._repr_png_()), on_checkerboard(SMALL, cell_px=CELL_PX))
    assert np.array_equal(decoded(scene.layers[0]._repr_png_()), on_checkerboard(SMALL, cell_px=CELL_PX))


@pytest.mark.parametrize("size", [(513, 10), (700, 1400), (9, 3000)])
def test_a_large_scene_is_shrunk_by_strips_to_what_it_is(size: tuple[int, int]) -> None:
    image = DICE.integers(0, 256, (*size, 4), np.uint8)
    scene = Scene(
        layers=(Layer(image=image, opacity=0.7), Layer(image=SMALL, offset=(5, 5))),
        height=size[0],
        width=size[1],
    )
    small = preview(scene)
    factor = -(-max(size) // SIDE_PX)
    assert max(small.shape) <= SIDE_PX
    assert np.array_equal(small, shrunk(scene.composite(), factor))


def test_html_lists_layers_top_first_and_runs_nothing() -> None:
    evil = Layer(image=SMALL, name="<script>alert(1)</script>", offset=(3, 4), opacity=0.5, clipped=True)
    scene = Scene(
        layers=(Layer(image=SMALL, name="sky", groups=(Group(name="weather"),)), evil), height=20, width=30
    )
    html = scene._repr_html_()
    assert "<script" not in html
    assert html.index("&lt;script&gt;") < html.index("weather / sky")
    assert "at 4, 3, 50%, clipped" in html
    pictures = re.findall(r"base64,([\w+/=]+)", html)
    assert [decoded(base64.b64decode(each)).shape[:2] for each in pictures] == [(20, 30)] * 3
    assert "30 x 20" in evil._repr_html_()
    many = Scene(layers=(evil,) * 100, height=20, width=30)._repr_html_()
    assert "and 76 more" in many
    assert many.count("<img") == 25


def test_text_is_short() -> None:
    scene = Scene.of([SMALL] * 6, name="a")
    assert repr(scene) == "<Scene 30 x 20, 6 layers: 'a 6', 'a 5', 'a 4', 'a 3' and 2 more>"
    assert repr(Layer(image=SMALL, name="a cat", visible=False)) == "<Layer 'a cat', 30 x 20, hidden>"


def test_bars_are_not_imported_before_they_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track([1, 2], total=2, label="a", unit="b")) == [1, 2]
    assert "tqdm.auto" in sys.modules
    # no terminal: nothing is drawn
    assert capsys.readouterr().err == ""
