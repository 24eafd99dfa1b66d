"""Blend modes against psd-tools, which others pinned to Photoshop's images, and against definitions."""

import numpy as np
import pytest
from psd_tools.composite.blend import BLEND_FUNC
from psd_tools.constants import BlendMode as Photoshop

from pellucid.rgba.blend_modes import BLEND_FUNCTIONS, OPERATORS, BlendMode, blend_colours

LEVELS = np.array([0, 1, 30, 64, 127, 128, 200, 254, 255]) / 255


@pytest.fixture(scope="module")
def colours() -> tuple[np.ndarray, np.ndarray]:
    """All pairs of levels in the first rows, where limits meet, and random colours below."""
    below, above = np.meshgrid(LEVELS, LEVELS)
    dice = np.random.default_rng(0)
    edges = [np.repeat(values.reshape(-1, 1), 3, axis=1) for values in (below, above)]
    drawn = dice.integers(0, 256, (2, 4000, 3)) / 255
    return tuple(np.concatenate([edge, free])[None] for edge, free in zip(edges, drawn, strict=True))  # pyright: ignore


@pytest.mark.parametrize("mode", BLEND_FUNCTIONS)
def test_a_mode_is_photoshops(mode: BlendMode, colours: tuple[np.ndarray, np.ndarray]) -> None:
    below, above = colours
    wanted = BLEND_FUNC[Photoshop[mode.upper()]](below.astype(np.float32), above.astype(np.float32))
    found = blend_colours(mode, below, above)
    away = np.abs(found - np.clip(wanted, 0, 1)).max(axis=-1)
    if mode in ("hard_mix", "darker_color", "lighter_color"):
        # they choose between two colours, and at a tie rounding chooses
        assert (away > 1e-4).mean() < 0.01
    else:
        assert away.max() < 1e-4
    assert found.min() >= 0
    assert found.max() <= 1


def test_luminosity_and_hue_are_kept_where_a_mode_says_so(colours: tuple[np.ndarray, np.ndarray]) -> None:
    below, above = colours
    weights = np.array([0.3, 0.59, 0.11])
    kept_of: dict[BlendMode, np.ndarray] = {
        "hue": below,
        "saturation": below,
        "color": below,
        "luminosity": above,
    }
    for mode, kept in kept_of.items():
        found = blend_colours(mode, below, above)
        assert np.allclose(found @ weights, kept @ weights, atol=1e-9), mode


@pytest.mark.parametrize("mode", BLEND_FUNCTIONS)
def test_a_mode_changes_nothing_of_what_it_is_given(mode: BlendMode) -> None:
    below, above = np.full((2, 2, 3), 0.25), np.full((2, 2, 3), 0.75)
    blend_colours(mode, below, above)
    assert (below == 0.25).all()
    assert (above == 0.75).all()


def test_operators_are_porter_and_duffs() -> None:
    """By their shares: each operator takes so much of what is above, and of what is below."""
    dice = np.random.default_rng(1)
    below, above = dice.random((2, 50, 4))
    below[:, :3] *= below[:, 3:]
    above[:, :3] *= above[:, 3:]
    under, over = below[:, 3:], above[:, 3:]
    shares = {
        "normal": (1, 1 - over),
        "source_atop": (under, 1 - over),
        "destination_in": (0, over),
        "destination_out": (0, 1 - over),
        "destination_atop": (1 - under, over),
    }
    for mode, (of_above, of_below) in shares.items():
        found = OPERATORS[mode](below, above)  # pyright: ignore
        assert np.allclose(found, of_above * above + of_below * below), mode
    assert np.allclose(OPERATORS["plus"](below, above), np.minimum(below + above, 1))
