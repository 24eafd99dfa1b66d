import numpy as np
import pytest

from pellucid.errors import InputError
from pellucid.rgba.preview import checkerboard, contact_sheet, on_checkerboard


def test_the_released_board_is_dark_at_the_top_left_and_truncated() -> None:
    board = on_checkerboard(np.zeros((128, 192, 4), np.uint8), released=True)
    assert board[[0, 0, 64, 64, 63], [0, 64, 0, 64, 63], 0].tolist() == [114, 140, 140, 114, 114]


def test_small_images_have_a_board_too() -> None:
    assert checkerboard(5, 70, released=True).shape == (5, 70, 3)
    assert np.unique(checkerboard(5, 5, cell_px=2)).size == 2


def test_a_contact_sheet_holds_every_image() -> None:
    images = [
        np.full((20, 10 + n, 4), 255 - 40 * n, np.uint8) | np.array([0, 0, 0, 255], np.uint8)
        for n in range(3)
    ]
    sheet = contact_sheet(images, columns=2, labels=["one 🦊", "two", "three"], gap_px=4)
    assert sheet.shape == (2 * (20 + 16 + 4) + 4, 2 * (12 + 4) + 4, 3)
    assert np.array_equal(sheet[4:24, 4:14], images[0][..., :3])
    assert np.array_equal(sheet[44:64, 4:16], images[2][..., :3])


def test_what_makes_no_sheet_is_refused() -> None:
    with pytest.raises(InputError, match="0 images"):
        contact_sheet([])
    with pytest.raises(InputError, match="2 labels"):
        contact_sheet([np.zeros((1, 1, 4), np.uint8)], labels=["a", "b"])
    with pytest.raises(InputError, match="sizes of 1 or more"):
        checkerboard(0, 1)
