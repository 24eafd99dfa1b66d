from pathlib import Path

import cv2
import numpy as np
import pytest

from pellucid.errors import InputError
from pellucid.rgba.padding import pad_rgb, pyramid_sizes
from pellucid.rgba.types import AnyArray

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "pad_rgb.npz")
CASES = [name.removeprefix("in_") for name in GOLDENS if name.startswith("in_")]
ACROSS_OPENCV = 1e-6


@pytest.mark.parametrize("case", CASES)
def test_padding_equals_the_released_code(case: str) -> None:
    padded, expected = pad_rgb(GOLDENS[f"in_{case}"]), GOLDENS[f"out_{case}"]
    assert padded.dtype == np.float32
    assert np.abs(padded - expected).max() <= ACROSS_OPENCV


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (33, 70)])
def test_bits_equal_the_arithmetic_on_colour_and_alpha_apart(size: tuple[int, int]) -> None:
    rgba = np.random.default_rng(1).integers(0, 256, (*size, 4), dtype=np.uint8)
    rgba[: size[0] // 2, ::3, 3] = 0
    values = rgba.astype(np.float32) / 255
    levels: list[tuple[AnyArray, AnyArray]] = [(values[..., :3] * values[..., 3:], values[..., 3:])]
    for height, width in pyramid_sizes(*size)[1:]:
        colour, alpha = (cv2.resize(x, (width, height), interpolation=cv2.INTER_AREA) for x in levels[-1])
        levels.append((colour.reshape(height, width, -1), alpha.reshape(height, width, -1)))
    result: AnyArray = levels[-1][0].sum((0, 1), keepdims=True) / levels[-1][1].sum((0, 1), keepdims=True)
    for colour, alpha in reversed(levels):
        enlarged = cv2.resize(result, colour.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        result = colour + enlarged.reshape(colour.shape) * (1 - alpha)
    assert np.array_equal(pad_rgb(rgba), result)


def test_pyramid_sizes_equal_the_released_code() -> None:
    coarsest_first = GOLDENS["pyramid_sizes_64x96"].tolist()
    assert pyramid_sizes(64, 96)[::-1] == [tuple(size) for size in coarsest_first]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 7), (65, 63)])
def test_opaque_images_come_back_and_empty_ones_are_black(size: tuple[int, int]) -> None:
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
def test_what_is_no_image_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"uint8 \(height, width, 4\)"):
        pad_rgb(bad)
    with pytest.raises(InputError, match="1 pixel or more"):
        pyramid_sizes(0, 3)
