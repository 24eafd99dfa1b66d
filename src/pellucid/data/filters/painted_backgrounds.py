"""Finds backgrounds that are painted into an image where it should be transparent.

Image banks offer many "transparent" images whose transparency is a picture of a checkerboard, or whose
subject lies on one plain colour. Both are opaque, and would teach a model to paint them.
"""

import numpy as np
from numpy.typing import NDArray

from pellucid.rgba.types import RGBA8

GREY_RANGE = 14
"""Levels by which the channels of a checkerboard's greys may differ: JPEG and scaling tint them."""
LEVEL_WIDTH = 10
"""Levels around a grey that still count as that grey."""
CELL_PX = (3, 65)
"""Sides of cells that are looked for: smallest, and the first that is too large."""
RING_SHARE = 0.5
"""Share of the border that both greys cover together; a chessboard that is the subject covers less."""
LONGEST_SIDE_PX = 512
"""Larger images are looked at in their upper left part of this size, which shows their background too."""
UNIFORM_LEVELS = 4
"""Levels by which a plain background may vary."""


def checkerboard_share(rgba: RGBA8) -> float:
    """Returns how much an image's greys agree with a checkerboard that reaches its border, 0 to 1.

    Marks the two most frequent greys with -1 and 1. In a checkerboard a shift by one cell, down or to the
    right, turns each mark into the other, and a shift by one cell in both directions changes nothing. The
    least of the three agreements is the score of a cell size; stripes fail one of them.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.

    Returns:
        The best score of all cell sizes; 0 where no two greys cover half of the border.
    """
    # one corner shows the pattern as well as the whole, at a fraction of the time
    part = rgba[:LONGEST_SIDE_PX, :LONGEST_SIDE_PX]
    marks = _two_greys(part, max(8, min(part.shape[:2]) // 8))
    if marks is None or float((_ring(marks, 2) != 0).mean()) < RING_SHARE:
        return 0.0
    # two cells at least must fit, or a shift compares nothing
    largest = min(CELL_PX[1], min(marks.shape) // 2)
    return max((_agreement(marks, cell) for cell in range(CELL_PX[0], largest)), default=0.0)


def matte_share(rgba: RGBA8) -> float:
    """Returns the share of an image's border, 0 to 1, that is opaque and of one plain colour.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
    """
    ring = _ring(rgba, 2).astype(np.int16)
    # not 255: tools that flatten an image leave 254 here and there
    opaque = ring[:, 3] >= 250
    if not opaque.any():
        return 0.0
    typical = np.median(ring[opaque, :3], axis=0)
    plain = (np.abs(ring[:, :3] - typical) <= UNIFORM_LEVELS).all(axis=1)
    return float((opaque & plain).mean())


def _two_greys(rgba: RGBA8, width: int) -> NDArray[np.int8] | None:
    """Marks pixels of the two most frequent greys with -1 (darker) and 1, all others with 0.

    Looks at the outermost `width` pixels alone: a grey subject in the middle may outweigh the background.
    """
    colour = rgba[..., :3].astype(np.int16)
    grey = colour.mean(axis=2)
    neutral = (colour.max(axis=2) - colour.min(axis=2) <= GREY_RANGE) & (rgba[..., 3] >= 250)
    neutral[width:-width, width:-width] = False
    counts = np.bincount(grey[neutral].astype(np.int64), minlength=256).astype(np.float64)
    # JPEG spreads a grey over its neighbours
    smooth = np.convolve(counts, np.ones(5), mode="same")
    first = int(smooth.argmax())
    smooth[max(0, first - LEVEL_WIDTH) : first + LEVEL_WIDTH + 1] = 0
    second = int(smooth.argmax())
    if smooth[second] < 0.05 * counts.sum():
        return None
    middle, reach = (first + second) / 2, abs(first - second) / 2
    near = neutral & (np.abs(np.abs(grey - middle) - reach) <= min(LEVEL_WIDTH, reach))
    return np.where(near, np.where(grey > middle, 1, -1), 0).astype(np.int8)


def _agreement(marks: NDArray[np.int8], cell: int) -> float:
    right = _share(marks[:, cell:], marks[:, :-cell], -1)
    down = _share(marks[cell:], marks[:-cell], -1)
    both = _share(marks[cell:, cell:], marks[:-cell, :-cell], 1)
    return min(right, down, both)


def _share(shifted: NDArray[np.int8], marks: NDArray[np.int8], product: int) -> float:
    products = shifted * marks
    known = int((products != 0).sum())
    # a few marked pixels agree with anything
    return float((products == product).sum()) / known if known >= 0.03 * products.size else 0.0


def _ring(image: NDArray[np.generic], width: int) -> NDArray[np.generic]:
    """Collects the outermost pixels: (n,) or (n, c)."""
    sides = (
        image[:width],
        image[-width:],
        image[width:-width, :width],
        image[width:-width, -width:],
    )
    return np.concatenate([side.reshape(-1, *image.shape[2:]) for side in sides])
