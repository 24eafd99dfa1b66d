from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import InputError
from pellucid.rgba.padding import pad_rgb, pyramid_sizes

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "pad_rgb.npz")
CASES = [name.removeprefix("in_") for name in GOLDENS if name.startswith("in_")]
ACROSS_OPENCV = 1e-6


@pytest.mark.parametrize("case", CASES)
def test_padding_equals_the_released_code(case: str) -> None:
    padded, expected = pad_rgb(GOLDENS[f"in_{case}"]), GOLDENS[f"out_{case}"]
    assert padded.dtype == np.float32
    assert np.abs(padded - expected).max() <= ACROSS_OPENCV


def test_pyramid_sizes_equal_the_released_code() -> None:
    coarsest_first = GOLDENS["pyramid_sizes_64x96"].tolist()
    assert pyramid_sizes(64, 96)[::-1] == [tuple(size) for size in coarsest_first]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 7), (65, 63)])
def test_opaque_pictures_come_back_and_empty_ones_are_black(size: tuple[int, int]) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (*size, 4), dtype=np.uint8)
    rgba[..., 3] = 255
    assert np.array_equal(pad_rgb(rgba), rgba[..., :3] / np.float32(255))
    rgba[..., 3] = 0
    assert not pad_rgb(rgba).any()


def test_hidden_colour_does_not_matter() -> None:
    rgba = GOLDENS["in_sample_cat"].copy()
    other = rgba.copy()
    other[other[..., 3] == 0, :3] ^= 255
    assert np.array_equal(pad_rgb(rgba), pad_rgb(other))


def test_the_input_is_not_changed_and_need_not_be_contiguous() -> None:
    rgba = GOLDENS["in_rand"].copy()
    assert np.array_equal(pad_rgb(rgba[::-1, ::2]), pad_rgb(rgba[::-1, ::2].copy()))
    assert np.array_equal(rgba, GOLDENS["in_rand"])


@pytest.mark.parametrize(
    "bad", [np.ones((4, 4, 4)), np.ones((4, 4, 3), np.uint8), np.ones((0, 4, 4), np.uint8)]
)
def test_what_is_no_picture_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"uint8 \(height, width, 4\)"):
        pad_rgb(bad)
    with pytest.raises(InputError, match="1 pixel or more"):
        pyramid_sizes(0, 3)
