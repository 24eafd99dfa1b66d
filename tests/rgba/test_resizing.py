"""Images onto a canvas: the released arithmetic to the bit, and nothing lost from transparent ones."""

import numpy as np
import pytest

from goldens.loading import Golden
from pellucid.errors import InputError
from pellucid.rgba.resizing import FITS, fit_pixels, fit_rgba, on_grey, shrunk

GOLDEN = Golden("cond_image")
RELEASED = {"resize": "stretch", "crop_and_resize": "crop", "resize_and_fill": "fit"}
PICTURES = ["sample_causal_cut", "even"]


@pytest.mark.parametrize("name", PICTURES)
def test_the_grey_behind_a_condition_is_the_released_one(name: str) -> None:
    assert np.abs(on_grey(GOLDEN.arrays[f"in_{name}"]) - GOLDEN.arrays[f"rgb_{name}"]).max() <= 1e-7


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("released", RELEASED)
@pytest.mark.parametrize("size", [(64, 64), (40, 72), (128, 96)])
def test_fitting_equals_the_released(name: str, released: str, size: tuple[int, int]) -> None:
    found = fit_pixels(GOLDEN.arrays[f"rgb_{name}"], *size, RELEASED[released])
    wanted = GOLDEN.arrays[f"out_{name}_{released}_{size[0]}x{size[1]}"]
    if wanted.shape[:2] != size:
        found = found[::3, ::3]  # as stored
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_a_clear_pixels_colour_never_bleeds(fit: str) -> None:
    image = np.zeros((9, 12, 4), np.uint8)
    image[..., 0] = 255  # red under full transparency
    image[3:6, 4:8] = (0, 0, 255, 255)
    fitted = fit_rgba(image, 31, 17, fit)
    seen = fitted[fitted[..., 3] > 0]
    assert seen.size
    assert seen[:, 0].max() == 0


def test_a_fitted_border_is_clear_and_a_crop_has_none() -> None:
    opaque = np.full((10, 20, 4), 255, np.uint8)
    fitted = fit_rgba(opaque, 20, 20, "fit")
    assert (fitted[:5, :, 3] == 0).all()
    assert (fitted[5:15, :, 3] == 255).all()
    assert (fit_rgba(opaque, 20, 20, "crop") == 255).all()
    assert (fit_rgba(opaque, 20, 20, "stretch") == 255).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 3000)])
@pytest.mark.parametrize("fit", FITS)
def test_any_shape_fits(shape: tuple[int, int], fit: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 4), np.uint8)
    assert fit_rgba(image, 13, 21, fit).shape == (13, 21, 4)


def test_an_image_of_the_canvas_size_keeps_its_bytes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 4), np.uint8)
    assert fit_rgba(image, 8, 9, "crop").tobytes() == image.tobytes()


def test_another_fit_is_refused() -> None:
    with pytest.raises(InputError, match="No way of fitting is called 'cover'"):
        fit_rgba(np.zeros((2, 2, 4), np.uint8), 3, 3, "cover")


def test_shrinking_by_a_factor_undoes_repeated_pixels_and_covers_odd_sides() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
    rgba[..., 3] |= 128
    twice = rgba.repeat(2, axis=0).repeat(2, axis=1)
    assert np.abs(shrunk(twice, 2).astype(int) - rgba).max() <= 1
    assert shrunk(rgba, 1) is rgba
    assert np.abs(shrunk(twice[:-1, :-1], 2).astype(int) - rgba).max() <= 1
