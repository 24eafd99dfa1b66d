"""Sprite sheets: many images in a grid of even cells on one clear canvas, and where each of them lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.placing import Box, check_margin, visible_box
from pellucid.rgba.resizing import fit_rgba
from pellucid.rgba.types import RGBA8, AnyArray

Size = tuple[int, int]
"""(height, width), px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprite:
    """An image of a sheet, and where it lay in the image that it was cut out of."""

    image: RGBA8
    """Straight, uint8 (h, w, 4)."""
    source_size: Size
    """Of the image before clear pixels around it were cut away."""
    source_offset: tuple[int, int] = (0, 0)
    """(top, left) of `image` in it, px."""


def make_sprites(
    images: Sequence[AnyArray], *, trimmed: bool = False, largest: Size | None = None
) -> list[Sprite]:
    """Makes sprites of images that belong together, such as the frames of an animation.

    Args:
        images: straight, uint8 (h, w, 4) each.
        trimmed: cut away what is wholly clear around each; of a clear image one pixel is left.
        largest: reduce what is larger, all by one factor, so that frames do not jump.
    """
    boxes = [(visible_box(rgba) or (0, 0, 1, 1)) if trimmed else (0, 0, *rgba.shape[:2]) for rgba in images]
    limits = largest or (0, 0)
    factors = [limit / side for box in boxes for limit, side in zip(limits, box[2:], strict=True)]
    factor = min([1.0, *factors]) if largest else 1.0
    return [_cut(rgba, box, factor) for rgba, box in zip(images, boxes, strict=True)]


def _cut(rgba: AnyArray, box: Box, factor: float) -> Sprite:
    top, left, rows, columns = box
    image = rgba[top : top + rows, left : left + columns]
    if factor == 1:
        return Sprite(image=image, source_size=rgba.shape[:2], source_offset=(top, left))
    # at least one pixel: a line must not vanish
    rows, columns = max(round(rows * factor), 1), max(round(columns * factor), 1)
    top, left = round(top * factor), round(left * factor)
    height, width = (round(side * factor) for side in rgba.shape[:2])
    return Sprite(
        image=fit_rgba(image, rows, columns, "stretch"),
        # rounding must not leave the sprite outside its source
        source_size=(max(height, top + rows), max(width, left + columns)),
        source_offset=(top, left),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Cells of one size, in reading order, with the same clear space around each."""

    cell: Size
    columns: int
    padding: int
    """Clear px on every side of each cell, so that the sheet divides into equal parts."""
    size: Size
    """Of the whole sheet."""

    @classmethod
    def of(
        cls,
        count: int,
        cell: Size,
        *,
        columns: int | None = None,
        padding: int = 0,
        power_of_two: bool = False,
    ) -> "Grid":
        """Lays out cells.

        Args:
            count: of cells, 1 or more.
            cell: size of each.
            columns: cells in a row; None makes the sheet about square, or the smallest power of two.
            padding: see above.
            power_of_two: make each side a power of two, as old graphics chips want it; what is over at the
                right and below stays clear.

        Raises:
            InputError: a negative padding, or no cell or column.
        """
        if count < 1 or (columns is not None and columns < 1):
            raise InputError(
                f"Expected a cell and a column at least, found {count} and {columns}. Give images, and 1 or "
                "more columns."
            )
        check_margin(padding)

        def sheet(across: int) -> Size:
            sides = [
                number * (side + 2 * padding)
                for number, side in zip((-(-count // across), across), cell, strict=True)
            ]
            rows, width = (1 << (side - 1).bit_length() for side in sides) if power_of_two else sides
            return rows, width

        def cost(across: int) -> tuple[int, int, int]:
            height, width = sheet(across)
            area, longest = height * width, max(height, width)
            # of layouts that are as good the wider one, since pages and screens are wide
            return (area, longest, -across) if power_of_two else (longest, area, -across)

        across = min(range(1, count + 1), key=cost) if columns is None else min(columns, count)
        return cls(cell=cell, columns=across, padding=padding, size=sheet(across))

    def place(self, index: int, size: Size) -> tuple[int, int]:
        """Returns (top, left) of an image of a size in the middle of a cell, px."""
        row, column = divmod(index, self.columns)
        top, left = (
            number * (side + 2 * self.padding) + self.padding + (side - own) // 2
            for number, side, own in zip((row, column), self.cell, size, strict=True)
        )
        return top, left


def draw_sheet(sprites: Sequence[Sprite], grid: Grid) -> RGBA8:
    """Lays sprites on a clear canvas, one a cell: straight, uint8 (h, w, 4)."""
    sheet = np.zeros((*grid.size, 4), np.uint8)
    for index, sprite in enumerate(sprites):
        rows, columns = sprite.image.shape[:2]
        top, left = grid.place(index, (rows, columns))
        sheet[top : top + rows, left : left + columns] = sprite.image
    return sheet
