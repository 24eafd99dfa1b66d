"""Scenes for tests: from seeds, and from hypothesis."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from pellucid.files.metadata import GenerationMetadata
from pellucid.scene.layer import Group, Layer
from pellucid.scene.scene import Scene


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Every byte random, then some pixels clear and some opaque, with colour under the clear ones."""
    dice = np.random.default_rng(seed)
    image = dice.integers(0, 256, (height, width, 4), dtype=np.uint8)
    kind = dice.integers(0, 4, (height, width))
    image[..., 3] = np.where(kind == 0, 0, np.where(kind == 1, 255, image[..., 3]))
    return image


def stack(*, hidden: bool = True, group_opacity: float = 0.5) -> Scene:
    """Five layers: a group in a group, places outside the canvas, one pixel, one clear layer."""
    outer = Group(name="grüp 🦊", opacity=group_opacity)
    inner = Group(name="in")
    layers = (
        Layer(image=noise(30, 40, 1), name="base", provenance=GenerationMetadata(prompt="a cat", seed=5)),
        Layer(image=noise(10, 12, 2), name="edge", offset=(-3, 35), opacity=0.25, groups=(outer,)),
        Layer(image=noise(9, 5, 3), name="🦊" * 9, offset=(4, 4), groups=(outer, inner)),
        Layer(image=np.zeros((4, 4, 4), np.uint8), name="clear", offset=(2, 2)),
        Layer(image=noise(1, 1, 4), name="hidden", offset=(100, -100), visible=not hidden),
    )
    return Scene(
        layers=layers, height=30, width=40, provenance=GenerationMetadata(prompt="a 🦊", seed=7, mode="add")
    )


names = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        ["", "🦊" * 300, "x" * 5000, "a/b\\c", "<&\"'>", "\0", "\x01\x1f\ufffe", "\n\t\r", "مرحبا", "é"]
    ),
)
opacities = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 1 / 3, 1e-9]), st.floats(0, 1))
sizes = st.integers(1, 6)
places = st.integers(-9, 20)
groups = st.builds(Group, name=names, opacity=opacities, visible=st.booleans())


@st.composite
def images(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(sizes), draw(sizes)
    if draw(st.booleans()):
        return np.full((height, width, 4), draw(st.integers(0, 255)), np.uint8) * np.array(
            [1, 1, 1, 0], np.uint8
        )
    return noise(height, width, draw(st.integers(0, 99)))


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    known = draw(st.lists(groups, min_size=1, max_size=3))
    paths: Sequence[tuple[Group, ...]] = [tuple(known[:depth]) for depth in range(len(known) + 1)]
    layers = st.builds(
        Layer,
        image=images(),
        name=names,
        offset=st.tuples(places, places),
        opacity=opacities,
        visible=st.booleans(),
        provenance=st.none() | st.builds(GenerationMetadata, prompt=names, seed=st.integers(0, 9)),
        groups=st.sampled_from(paths),
    )
    return Scene(
        layers=tuple(draw(st.lists(layers, min_size=1, max_size=4))),
        height=draw(sizes),
        width=draw(sizes),
        provenance=draw(st.none() | st.builds(GenerationMetadata, prompt=names)),
    )
