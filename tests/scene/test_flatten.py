"""Flattening by strips: the same bytes wherever they are cut, and little memory."""

import tracemalloc

import numpy as np
import pytest

from pellucid.rgba import strips
from pellucid.scene.layer import Group, Layer
from pellucid.scene.scene import Scene
from scene.scenes import noise


@pytest.fixture
def scene() -> Scene:
    """Layers of all sizes and places, some outside, some in groups that let things through."""
    draw = np.random.default_rng(0)
    outer, inner = Group(name="outer", opacity=0.3), Group(name="inner", opacity=0.6)
    groups = {2: (outer,), 3: (outer, inner), 5: (Group(name="whole"),)}
    layers = [
        Layer(
            image=noise(int(draw.integers(1, 90)), int(draw.integers(1, 90)), number),
            offset=(int(draw.integers(-40, 120)), int(draw.integers(-40, 120))),
            opacity=float(draw.random()),
            groups=groups.get(number, ()),
        )
        for number in range(8)
    ]
    return Scene(layers=tuple(layers), height=100, width=101)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("background", [None, "#ff8800"])
def test_strips_change_no_byte(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, background: str | None, linear: bool
) -> None:
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1 << 30)
    whole = scene.composite(background, linear=linear)
    for pixels in (1, 101, 350, 5_000):
        monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
        assert np.array_equal(scene.composite(background, linear=linear), whole)


def test_a_large_canvas_takes_its_own_size_and_a_strip() -> None:
    scene = Scene(layers=(Layer(image=noise(2, 2, 0)), Layer(image=noise(2, 2, 1))), height=3000, width=4000)
    tracemalloc.start()
    scene.composite()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 3000 * 4000 + 160 * strips.STRIP_PIXELS + (1 << 20)
