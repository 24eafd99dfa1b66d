"""The law of snapping: what is a little off an end goes there, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pellucid.data.rendering.effects import EFFECTS
from pellucid.data.rendering.sketch import Sketch, finished
from pellucid.errors import InputError
from pellucid.rgba.resizing import fit_rgba
from pellucid.rgba.snapping import NOISE, fit_snapped, snap_alpha

SIDE = 96
IMAGES = arrays.arrays(np.uint8, (12, 15, 4), elements=st.integers(0, 255))
CLEAR_KINDS = (
    "smoke",
    "steam",
    "fog",
    "cloud",
    "glow",
    "halo",
    "glass",
    "bottle",
    "vase",
    "bubble",
    "shadow",
)


@given(IMAGES)
def test_the_law(rgba: np.ndarray) -> None:
    snapped, alpha = snap_alpha(rgba), rgba[..., 3]
    assert np.array_equal(snap_alpha(snapped), snapped)
    assert np.array_equal(snapped[..., :3], rgba[..., :3])
    between = (alpha > NOISE) & (alpha < 255 - NOISE)
    assert np.array_equal(snapped[between], rgba[between])
    moved = snapped[..., 3][snapped[..., 3] != alpha]
    assert set(np.unique(moved)) <= {0, 255}
    assert np.abs(snapped[..., 3].astype(int) - alpha).max() <= NOISE


def hazy() -> np.ndarray:
    """An opaque disc with a soft edge in noise of up to 3 levels, inside and outside."""
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    cover: np.ndarray = np.clip(30 - np.hypot(rows - 48, columns - 48) + 0.5, 0, 1) * 255
    noise: np.ndarray = rng.integers(1, 4, (SIDE, SIDE)) * (rng.random((SIDE, SIDE)) < 0.06)
    alpha = np.clip(np.where(cover > 127, cover - noise, cover + noise), 0, 255)
    return np.dstack([np.full((SIDE, SIDE, 3), 90), alpha]).astype(np.uint8)


def box_of(rgba: np.ndarray) -> tuple[int, ...]:
    rows, columns = np.nonzero(rgba[..., 3])
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def test_haze_goes_so_that_an_image_can_be_trimmed() -> None:
    assert box_of(hazy()) == (0, 0, SIDE, SIDE)
    snapped = snap_alpha(hazy())
    assert all(abs(found - side) <= 2 for found, side in zip(box_of(snapped), (18, 18, 79, 79), strict=True))
    inside = np.hypot(*(np.mgrid[:SIDE, :SIDE] - 48)) < 27
    assert (snapped[inside, 3] == 255).all()


@pytest.mark.parametrize("kind", [each for each in EFFECTS if any(word in each.name for word in CLEAR_KINDS)])
def test_true_haze_stays(kind: object) -> None:
    for seed in range(2):
        rgba = finished(kind.paint(Sketch(np.random.default_rng([seed, 7]), SIDE)))  # type: ignore[attr-defined]
        change = np.abs(snap_alpha(rgba)[..., 3].astype(int) - rgba[..., 3])
        # a few islands of one smoke's densest parts are all that moves by more than a level
        assert (change > 1).mean() <= 0.002


def test_an_image_that_is_all_faint_stays() -> None:
    faint = np.full((SIDE, SIDE, 4), 5, np.uint8)
    assert np.array_equal(snap_alpha(faint), faint)
    faint[..., 3] = np.linspace(0, 8, SIDE).astype(np.uint8)
    assert np.abs(snap_alpha(faint)[..., 3].astype(int) - faint[..., 3]).max() <= 1


def test_a_faint_soft_shadow_stays() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    alpha = 13 * np.exp(-((rows - 50) ** 2 + (columns - 46) ** 2) / 400)
    alpha[20:50, 20:50] = 255
    rgba = np.dstack([np.zeros((SIDE, SIDE, 3)), alpha]).astype(np.uint8)
    assert np.abs(snap_alpha(rgba)[..., 3].astype(int) - rgba[..., 3]).max() <= 1


@pytest.mark.parametrize(("size", "fit"), [((768, 768), "fit"), ((500, 900), "fit"), ((300, 777), "stretch")])
def test_enlarging_brings_no_haze_back(size: tuple[int, int], fit: str) -> None:
    snapped = snap_alpha(hazy())
    larger = fit_snapped(snapped, *size, fit)
    grown = [side * each / SIDE for side, each in zip(box_of(snapped), size * 2, strict=True)]
    if fit == "fit":
        scale = min(size) / SIDE
        grown = [
            side * scale + (each - min(size)) / 2
            for side, each in zip(box_of(snapped), size * 2, strict=True)
        ]
    assert all(
        abs(found - side) <= max(size) / SIDE for found, side in zip(box_of(larger), grown, strict=True)
    )
    assert box_of(fit_rgba(snapped, *size, fit)) != box_of(larger)
    # what is neither clear nor opaque all around is resampled as ever
    moved = larger != fit_rgba(snapped, *size, fit)
    assert not moved[..., :3].any()
    assert set(np.unique(larger[moved])) <= {0, 255}


def test_what_was_not_snapped_is_enlarged_as_it_is() -> None:
    assert np.array_equal(fit_snapped(hazy(), 200, 200, "fit"), fit_rgba(hazy(), 200, 200, "fit"))
    snapped = snap_alpha(hazy())
    assert np.array_equal(fit_snapped(snapped, 40, 40, "fit"), fit_rgba(snapped, 40, 40, "fit"))


def test_other_arrays_are_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        snap_alpha(np.zeros((4, 4, 3), np.uint8))
