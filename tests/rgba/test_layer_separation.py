"""Composites taken apart: *over* of the parts is the whole again, and known layers come back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InputError
from pellucid.rgba.compositing import over
from pellucid.rgba.layer_separation import extract_background, extract_foreground


def images(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    front, back = rng.integers(0, 256, (2, 6, 7, 4), np.uint8)
    back[..., 3] = 255
    front[:2, :, 3], front[2:3, :, 3] = 0, 255
    return front, back


@given(st.integers(0, 1 << 30))
def test_over_of_the_parts_is_the_composite(seed: int) -> None:
    front, back = images(seed)
    composite = over(front, back)
    found = extract_foreground(composite, back)
    assert np.abs(over(found, back).astype(int) - composite).max() <= 1
    below = extract_background(composite, front)
    assert (below[..., 3] == 255).all()
    assert np.abs(over(front, below).astype(int) - composite).max() <= 1


def test_nothing_in_front_is_nothing_and_what_is_in_front_is_found() -> None:
    front, back = images(1)
    composite = over(front, back)
    found = extract_foreground(composite, back)
    assert (found[:2] == 0).all()
    assert (found[..., 3].astype(int) <= front[..., 3]).all()
    assert (extract_background(composite, front)[:2] == back[:2]).all()


def test_white_smoke_on_black_keeps_its_alpha() -> None:
    smoke = np.full((1, 256, 4), 255, np.uint8)
    smoke[..., 3] = np.arange(256)
    black = np.zeros_like(smoke)
    black[..., 3] = 255
    found = extract_foreground(over(smoke, black), black)
    assert (found[..., 3] == smoke[..., 3]).all()
    assert (found[0, 1:, :3] == 255).all()


def test_the_hidden_part_of_a_background_is_smooth() -> None:
    front, back = np.zeros((2, 16, 16, 4), np.uint8)
    back[:] = (40, 80, 120, 255)
    front[4:12, 4:12] = 255
    below = extract_background(over(front, back), front)
    assert np.abs(below.astype(int) - back).max() <= 1


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match="two images of one size"):
        extract_foreground(np.zeros((2, 2, 4), np.uint8), np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(InputError, match="two images of one size"):
        extract_background(np.zeros((2, 2, 4), np.uint8), np.zeros((3, 2, 4), np.uint8))
