"""Sprite sheets: every image lies whole in its own cell, evenly padded, and is found where the grid says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InputError
from pellucid.rgba.sprite_sheets import Grid, Sprite, draw_sheet, make_sprites
from pellucid.rgba.types import AnyArray


def filled(rows: int, columns: int, level: int = 255) -> AnyArray:
    return np.full((rows, columns, 4), level, np.uint8)


SIDES = st.integers(1, 9)


@given(
    sizes=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=14),
    columns=st.none() | st.integers(1, 20),
    padding=st.integers(0, 3),
    power_of_two=st.booleans(),
)
def test_every_image_lies_whole_where_the_grid_says(
    sizes: list[tuple[int, int]], columns: int | None, padding: int, power_of_two: bool
) -> None:
    sprites = [Sprite(image=filled(*size, 1 + i), source_size=size) for i, size in enumerate(sizes)]
    cell = tuple(np.max(sizes, axis=0).tolist())
    grid = Grid.of(len(sizes), cell, columns=columns, padding=padding, power_of_two=power_of_two)
    sheet = draw_sheet(sprites, grid)
    assert sheet.shape == (*grid.size, 4)
    assert columns is None or grid.columns == min(columns, len(sizes))
    if power_of_two:
        assert all(side & (side - 1) == 0 for side in grid.size)
    elif padding == 0:
        assert grid.size == (cell[0] * -(-len(sizes) // grid.columns), cell[1] * grid.columns)
    for index, sprite in enumerate(sprites):
        rows, columns_seen = sprite.image.shape[:2]
        top, left = grid.place(index, (rows, columns_seen))
        assert (sheet[top : top + rows, left : left + columns_seen] == 1 + index).all()
        around = sheet[max(top - padding, 0) : top + rows + padding, max(left - padding, 0) :][
            :, : columns_seen + 2 * padding
        ]
        # nothing of a neighbour within the padding, and the padding lies inside the sheet
        assert np.isin(around, (0, 1 + index)).all()
        assert min(top, left) >= padding
        assert top + rows + padding <= grid.size[0]
    # all pixels of all sprites and nothing else
    assert (sheet[..., 3] > 0).sum() == sum(rows * columns for rows, columns in sizes)


def test_the_sheet_is_about_square_or_the_smallest_power_of_two() -> None:
    assert Grid.of(12, (10, 10)).size == (30, 40)
    assert Grid.of(12, (10, 40)).size == (60, 80)
    assert Grid.of(7, (30, 30), padding=1, power_of_two=True).size == (64, 128)
    assert Grid.of(12, (124, 124), padding=2, columns=4, power_of_two=True).size == (512, 512)


def test_frames_are_reduced_alike_and_keep_where_they_lay() -> None:
    small, large = np.zeros((2, 40, 60, 4), np.uint8)
    small[8:12, 20:30] = 255
    large[0:40, 10:50] = 255
    for sprite, box in zip(
        make_sprites([small, large], trimmed=True, largest=(20, 30)),
        [(4, 10, 2, 5), (0, 5, 20, 20)],
        strict=True,
    ):
        assert (*sprite.source_offset, *sprite.image.shape[:2]) == box
        assert sprite.source_size == (20, 30)
        assert (sprite.image == 255).all()


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.booleans())
def test_a_sprite_never_leaves_its_source_or_its_cell(
    size: tuple[int, int], largest: tuple[int, int], trimmed: bool
) -> None:
    (sprite,) = make_sprites([filled(*size)], trimmed=trimmed, largest=largest)
    for offset, side, limit, whole in zip(
        sprite.source_offset, sprite.image.shape[:2], largest, sprite.source_size, strict=True
    ):
        assert 1 <= side <= limit
        assert offset + side <= whole


def test_a_clear_image_keeps_one_pixel_and_wrong_grids_are_refused() -> None:
    (sprite,) = make_sprites([np.zeros((5, 6, 4), np.uint8)], trimmed=True)
    assert sprite.image.shape == (1, 1, 4)
    assert sprite.source_size == (5, 6)
    for wrong in ({"count": 0}, {"columns": 0}, {"padding": -1}):
        with pytest.raises(InputError):
            Grid.of(**({"count": 2, "cell": (3, 3)} | wrong))  # type: ignore[arg-type]
