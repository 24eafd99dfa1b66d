"""Measures that tell what an image shows: colours, see-through parts, connected things.

Images are straight uint8 (h, w, 4).
"""

import cv2
import numpy as np

from pellucid.data.recolouring import COLOURS, GREY_CHROMA
from pellucid.rgba.oklab import to_oklab
from pellucid.rgba.placing import visible_box
from pellucid.rgba.types import RGBA8, AnyArray

SOLID = 200
"""Alpha below which a pixel counts as see-through."""
HUE_DEGREES = 30
LIGHTNESS, CHROMA = 0.2, 0.07
"""How far a colour may lie from what was asked for, and how much chroma grey may have (Oklab)."""
OF_MATERIALS = (35, 0.07, 0.15)
"""How far hue in degrees, chroma and lightness of a material may lie from the program's."""
UNCOLOURED = ("black", "white", "grey", "brown")
"""Colours that are told by their lightness."""


def has_colour(rgba: AnyArray, name: str) -> bool:
    """Tells whether what is solid in an image has a colour of `pellucid.data.recolouring`.

    The median of coloured pixels lies within 30 degrees of its hue in OKLCH, and three in ten pixels are
    coloured; for black, white, grey and brown the median lightness lies within 0.2 of the colour's and, but
    for brown, the median chroma is below 0.07.
    """
    colour, found = COLOURS[name], median_colour(rgba)
    if found is None:
        return False
    lightness, chroma, hue, coloured = found
    if name in UNCOLOURED:
        return abs(lightness - colour.lightness) < LIGHTNESS and (name == "brown" or chroma < CHROMA)
    return coloured >= 0.3 and degrees_apart(hue, colour.hue) < HUE_DEGREES


def median_colour(rgba: AnyArray) -> tuple[float, float, float, float] | None:
    """Returns medians of solid pixels in OKLCH; None of an image without any.

    Returns:
        Lightness, chroma, hue in degrees of those that are coloured, and their share.
    """
    lab = to_oklab(rgba[rgba[..., 3] >= SOLID][:, :3] / 255)
    if len(lab) == 0:
        return None
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    coloured = lab[chroma >= GREY_CHROMA]
    hue = np.degrees(np.arctan2(np.median(coloured[:, 2]), np.median(coloured[:, 1]))) if len(coloured) else 0
    share = len(coloured) / len(lab)
    return float(np.median(lab[:, 0])), float(np.median(chroma)), float(hue), share


def degrees_apart(first: float, second: float) -> float:
    """Returns the angle between two hues, 0 to 180 degrees."""
    return abs((first - second + 180) % 360 - 180)


def is_see_through(rgba: AnyArray) -> bool:
    """Tells whether at least half of the pixels inside the silhouette have an alpha under 200."""
    inside = cv2.erode((rgba[..., 3] > 12).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return bool(inside.any()) and float((rgba[..., 3][inside] < SOLID).mean()) >= 0.5


def has_material(rgba: AnyArray, wanted: AnyArray) -> bool:
    """Tells whether an image is solid and has the colours of another one, which shows the material."""
    found, known = median_colour(rgba), median_colour(wanted)
    if found is None or known is None or is_see_through(rgba):
        return False
    hue, chroma, lightness = OF_MATERIALS
    # a hue says nothing where there is hardly any colour
    same_hue = known[1] < CHROMA or degrees_apart(found[2], known[2]) < hue
    return same_hue and abs(found[1] - known[1]) < chroma and abs(found[0] - known[0]) < lightness


def connected_things(rgba: AnyArray) -> list[RGBA8]:
    """Cuts out the connected parts of alpha over 0.4, the largest first.

    Crumbs under a hundredth of the canvas are left out.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((rgba[..., 3] > 102).astype(np.uint8))
    order = sorted(range(1, count), key=lambda index: -stats[index, cv2.CC_STAT_AREA])
    return [
        np.where((labels == index)[..., None], rgba, 0)
        for index in order
        if stats[index, cv2.CC_STAT_AREA] >= rgba.shape[0] * rgba.shape[1] / 100
    ]


def filled_square(rgba: AnyArray, side: int = 64) -> RGBA8:
    """Lays what is visible on a square, as large as it goes, so that its size and place count for nothing."""
    faint = rgba.copy()
    faint[rgba[..., 3] <= 25] = 0
    box = visible_box(faint)
    if box is None:
        return np.zeros((side, side, 4), np.uint8)
    top, left, rows, columns = box
    cut = rgba[top : top + rows, left : left + columns]
    longer = max(rows, columns)
    square = np.zeros((longer, longer, 4), np.uint8)
    above, before = (longer - rows) // 2, (longer - columns) // 2
    square[above : above + rows, before : before + columns] = cut
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA))
