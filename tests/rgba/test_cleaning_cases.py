"""The faults that people meet, each as a small picture with its right value."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pellucid.errors import InputError
from pellucid.files.images import read_rgba
from pellucid.rgba.cleanup import Cleaning, clean, clean_and_tell
from pellucid.rgba.defects import score
from pellucid.rgba.mixtures import find_mixture

CASES = Path(__file__).parent.parent / "cases"
RED = (200, 40, 40)


def case(name: str) -> np.ndarray:
    return read_rgba(CASES / f"{name}.png")


def soft(rgba: np.ndarray) -> np.ndarray:
    return (rgba[..., 3] > 0) & (rgba[..., 3] < 255)


@pytest.mark.parametrize(("name", "colour"), [("fringe-white", "#ffffff"), ("fringe-green", "#28a03c")])
def test_a_usual_fringe_is_found_and_mended(name: str, colour: str) -> None:
    rgba = case(name)
    cleaned, done = clean_and_tell(rgba)
    assert score(rgba).fringe > 10
    assert score(cleaned).fringe < 0.1
    assert np.abs(cleaned[soft(rgba), :3].astype(float) - RED).mean() < 1
    assert np.array_equal(cleaned[..., 3], rgba[..., 3])
    assert done.background == colour
    assert done.words() == f"{colour} taken out of 1646 soft pixels"


@pytest.mark.parametrize("back", [(255, 255, 255), (0, 0, 0), (0, 255, 0), (128, 128, 128)])
@pytest.mark.parametrize(("side", "blur"), [(96, 0.5), (96, 8), (512, 4), (512, 0.5)])
@pytest.mark.parametrize("hidden", [True, False])
def test_edges_of_any_width_on_any_background(
    back: tuple[int, int, int], side: int, blur: float, hidden: bool
) -> None:
    rows, columns = np.mgrid[:side, :side]
    far: np.ndarray = np.hypot(rows - side / 2, columns - side / 2)
    cover: np.ndarray = (far < 0.38 * side).astype(np.float32)
    alpha = np.rint(255 * np.asarray(cv2.GaussianBlur(cover, (0, 0), blur)))
    share = alpha[..., None] / 255
    rgba = np.dstack([np.rint(share * RED + (1 - share) * back), alpha]).astype(np.uint8)
    if not hidden:
        rgba[alpha == 0] = 0
    cleaned = clean(rgba)
    seen = soft(rgba) & (cleaned[..., 3] > 0)  # the last of a wide edge may go as dirt
    assert np.abs(cleaned[seen, :3].astype(float) - RED).mean() < 1


@pytest.mark.parametrize(("erase", "least"), [(False, 12), (True, None)])
def test_a_halo_under_a_mask_that_fits_badly(erase: bool, least: float | None) -> None:
    """As background removers leave it: a mask of a third of the size, enlarged."""
    side = 256
    rng = np.random.default_rng(1)
    texture = cv2.resize(rng.integers(0, 200, (6, 6, 3), dtype=np.uint8), (side, side)).astype(float)
    rows, columns = np.mgrid[:side, :side]
    cover: np.ndarray = np.clip(90.5 - np.hypot(rows - 128, (columns - 128) * 1.3), 0, 1).astype(np.float32)
    shown = np.rint(cover[..., None] * texture + (1 - cover[..., None]) * 250)
    small = cv2.resize(cover, (80, 80), interpolation=cv2.INTER_AREA)
    mask = np.rint(255 * np.clip(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1))
    rgba = np.dstack([shown, mask]).astype(np.uint8)
    if erase:
        rgba[mask == 0] = 0

    def error(image: np.ndarray) -> float:
        at, share = soft(rgba), rgba[..., 3][soft(rgba)] / 255
        return float((share * np.abs(image[at, :3] - texture[at]).max(axis=-1)).sum() / share.sum())

    if least is None:  # nothing tells it from an outline, so it stays
        seen = (mask > 8) & (mask < 247)
        assert np.array_equal(clean(rgba)[seen], rgba[seen])
    else:
        assert error(rgba) > least
        assert error(clean(rgba)) < 8


@pytest.mark.parametrize("name", ["dotted", "sparkles", "soft-shadow-5pc"])
def test_crisp_details_and_faint_shadows_are_no_dirt(name: str) -> None:
    cleaned, done = clean_and_tell(case(name))
    assert np.array_equal(cleaned, case(name))
    assert done.words() == "nothing to clean"


def test_an_opaque_rim_is_told_and_mended_on_request() -> None:
    rgba = case("halo-hard")
    assert np.array_equal(clean(rgba), rgba)
    before = score(rgba).rim
    assert before > 50
    shrunk, done = clean_and_tell(rgba, Cleaning(rim="shrink"))
    assert done.rim_width == 3
    assert score(shrunk).rim < 0.1 * before
    coloured = clean(rgba, Cleaning(rim="defringe"))
    assert np.array_equal(coloured[..., 3], rgba[..., 3])
    rim = (rgba[..., 3] == 255) & (shrunk[..., 3] == 0)
    assert np.abs(coloured[rim, :3].astype(int) - 255).max(axis=-1).mean() > 100
    assert np.array_equal(coloured[~rim], rgba[~rim])


def test_a_filled_hole_is_opened_on_request() -> None:
    rgba = case("ring-hole-filled")
    assert np.array_equal(clean(rgba, Cleaning(background="#f0f0f0")), rgba)
    opened, done = clean_and_tell(rgba, Cleaning(background="#f0f0f0", open_holes=True))
    assert (opened[64, 64, 3], opened[64, 30, 3]) == (0, 255)
    grey = (rgba[..., :3] == 240).all(axis=-1) & (rgba[..., 3] == 255)
    assert done.opened == grey.sum()
    assert not opened[grey, 3].any()
    assert np.array_equal(opened[~grey], rgba[~grey])


def test_a_glow_and_an_outline_are_no_background() -> None:
    rows, columns = np.mgrid[:128, :128]
    far = np.hypot(rows - 64, columns - 64)
    rgba = np.zeros((128, 128, 4), np.uint8)
    rgba[..., :3] = np.where(far[..., None] < 30, RED, (255, 240, 200))
    rgba[..., 3] = np.where(far < 30, 255, 200 * np.exp(-(((far - 30) / 12) ** 2)))
    assert find_mixture(rgba) is None
    rgba[..., :3] = np.where(far[..., None] < 27, RED, 0)
    rgba[..., 3] = 255 * np.clip(30.5 - far, 0, 1)
    assert find_mixture(rgba) is None


def test_wrong_options_are_refused() -> None:
    for wrong, message in (
        (lambda: Cleaning(rim="cut"), "shrink"),
        (lambda: Cleaning(rim_width=0), "1 to 64"),
        (lambda: Cleaning(open_holes=True), "holes"),
    ):
        with pytest.raises(InputError, match=message):
            wrong()
