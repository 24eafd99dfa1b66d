"""Trimming and fitting: nothing visible is cut, proportions stay, margins are even."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InputError
from pellucid.rgba.placing import common_scale, fit_visible, trim, visible_box


def spot(height: int, width: int, top: int, left: int, rows: int, columns: int) -> np.ndarray:
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[top : top + rows, left : left + columns] = (10, 200, 30, 255)
    return rgba


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5), st.integers(0, 5), st.integers(0, 4))
def test_trimming_keeps_all_that_is_seen(rows: int, columns: int, top: int, left: int, margin: int) -> None:
    rgba = spot(20, 20, top, left, rows, columns)
    assert visible_box(rgba) == (top, left, rows, columns)
    found = trim(rgba, margin)
    assert found.shape == (rows + 2 * margin, columns + 2 * margin, 4)
    assert visible_box(found) == (margin, margin, rows, columns)
    assert (trim(found) == trim(rgba)).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_fitting_centres_and_fills_up_to_the_margin(rows: int, columns: int, margin: int) -> None:
    found = fit_visible(spot(50, 60, 3, 7, rows, columns), 32, 48, margin)
    assert found.shape == (32, 48, 4)
    box = visible_box(found)
    assert box is not None
    top, left, high, wide = box
    assert abs(32 - high - 2 * top) <= 1
    assert abs(48 - wide - 2 * left) <= 1
    assert top >= margin
    assert left >= margin
    assert high == 32 - 2 * margin or wide == 48 - 2 * margin


def test_one_scale_for_a_set_is_that_of_the_largest() -> None:
    small, large = spot(50, 50, 0, 0, 10, 10), spot(50, 50, 0, 0, 40, 20)
    scale = common_scale([small, large], 100, 100, 10)
    assert scale == 2
    assert visible_box(fit_visible(small, 100, 100, 10, scale)) == (40, 40, 20, 20)
    assert visible_box(fit_visible(large, 100, 100, 10, scale)) == (10, 30, 80, 40)


def test_nothing_visible_stays_nothing_and_wrong_margins_are_refused() -> None:
    clear = np.zeros((5, 6, 4), np.uint8)
    assert (trim(clear, 3) == clear).all()
    assert fit_visible(clear, 9, 8).shape == (9, 8, 4)
    for margin in (-1, 5):
        with pytest.raises(InputError, match="margin"):
            fit_visible(spot(9, 9, 1, 1, 3, 3), 10, 10, margin)
