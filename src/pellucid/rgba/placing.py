"""Images ready to place: cut to what is seen, with even margins, or fitted into a box."""

import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.resizing import fit_rgba
from pellucid.rgba.types import AnyArray

Box = tuple[int, int, int, int]
"""(top, left, height, width), px."""


def visible_box(rgba: AnyArray) -> Box | None:
    """Returns the smallest box of a uint8 (h, w, 4) image that holds all alpha above 0; None without any."""
    rows, columns = (np.flatnonzero(rgba[..., 3].any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left


def trim(rgba: AnyArray, margin: int = 0) -> AnyArray:
    """Cuts a uint8 (h, w, 4) image to its visible pixels, and adds `margin` clear px around them.

    A wholly transparent image has nothing to cut to and comes back as it is.

    Raises:
        InputError: a negative margin.
    """
    check_margin(margin)
    box = visible_box(rgba)
    if box is None:
        return rgba
    top, left, height, width = box
    around = ((margin, margin), (margin, margin), (0, 0))
    return np.pad(rgba[top : top + height, left : left + width], around)


def fit_visible(
    rgba: AnyArray, height: int, width: int, margin: int = 0, scale: float | None = None
) -> AnyArray:
    """Brings what is visible of an image into a canvas, in its proportions and in the middle.

    Args:
        rgba: straight, uint8 (h, w, 4).
        height: of the result, px.
        width: of the result, px.
        margin: px that stay clear on every side.
        scale: of each side; None makes it as large as the margin lets it, see `common_scale`.

    Returns:
        uint8 (height, width, 4).

    Raises:
        InputError: a margin that leaves no room.
    """
    check_margin(margin, (height, width))
    seen = trim(rgba)
    if visible_box(seen) is None:
        return np.zeros((height, width, 4), np.uint8)
    factor = common_scale([seen], height, width, margin) if scale is None else scale
    rows, columns = (
        min(max(round(side * factor), 1), limit - 2 * margin)
        for side, limit in zip(seen.shape[:2], (height, width), strict=True)
    )
    canvas = np.zeros((height, width, 4), np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    canvas[top : top + rows, left : left + columns] = fit_rgba(seen, rows, columns, "stretch")
    return canvas


MARGIN_SIDE = 512
"""Side of the square that the margin of `fit_square` is meant of, px: the largest icon that is usual."""


def fit_square(rgba: AnyArray, side: int, margin: int | None = None) -> AnyArray:
    """Brings an image onto a square, as for an icon, in its proportions and in the middle.

    Args:
        rgba: straight, uint8 (h, w, 4).
        side: of the square, px.
        margin: px that stay clear around what is visible, of a square of 512, and in proportion of others;
            None shows the image with the clear pixels that it has around it.

    Returns:
        uint8 (side, side, 4).

    Raises:
        InputError: a margin that leaves no room.
    """
    if margin is None:
        return fit_rgba(rgba, side, side, "fit")
    check_margin(margin, (MARGIN_SIDE, MARGIN_SIDE))
    return fit_visible(rgba, side, side, min(round(margin * side / MARGIN_SIDE), (side - 1) // 2))


def common_scale(images: list[AnyArray], height: int, width: int, margin: int = 0) -> float:
    """Returns the largest factor by which what is visible of every image fits into a canvas with a margin."""
    check_margin(margin, (height, width))
    boxes = [box for box in map(visible_box, images) if box is not None]
    factors = [
        min((height - 2 * margin) / rows, (width - 2 * margin) / columns) for _, _, rows, columns in boxes
    ]
    return min(factors, default=1.0)


def check_margin(margin: int, canvas: tuple[int, int] | None = None) -> None:
    """Raises InputError for a margin below 0, or one that leaves no room on a canvas."""
    if margin < 0:
        raise InputError(f"Expected a margin of 0 or more, found {margin}. Give whole pixels.")
    if canvas is not None and 2 * margin >= min(canvas):
        raise InputError(
            f"Expected a margin below half of {canvas[1]} x {canvas[0]}, found {margin}. Choose less."
        )
