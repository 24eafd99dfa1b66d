"""Opaque pixels that still show the background: rims of a mask that was cut too wide, and filled holes.

Images are uint8 (h, w, 4), straight alpha. No mask tells what such pixels should be, so all of this is done
on request alone.
"""

import cv2
import numpy as np
from jaxtyping import Bool

from pellucid.rgba.mixtures import LEANS, SOLID, Levels, between, extend_from
from pellucid.rgba.types import RGBA8, AnyArray

RIMS = ("keep", "shrink", "defringe")
SAME = 12
"""Levels within which a colour is the background's."""
HOLE_PX = 16
"""Pixels of the smallest hole that is opened."""
HOLE_EDGE_PX = 2
"""So far around a hole pixels may be mixed with it."""

Mask = Bool[np.ndarray, "h w"]


def shrink(rgba: AnyArray, width: int) -> RGBA8:
    """Takes `width` pixels off the edge of what is visible; soft edges move in whole."""
    result = rgba.copy()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1,) * 2)
    # what lies beyond the image goes on as it does at its border
    result[..., 3] = cv2.erode(rgba[..., 3], disc)
    return result


def defringe(rgba: AnyArray, width: int) -> RGBA8:
    """Gives the outermost `width` opaque pixels, and what is soft beyond them, the colour further inside."""
    solid = rgba[..., 3] >= SOLID
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1,) * 2)
    core = cv2.erode(solid.astype(np.uint8), window)
    # parts too thin for a core keep theirs, as far as no core is near
    colour = extend_from(rgba[..., :3].astype(np.float32), np.maximum(core, 0.02 * solid))
    result = rgba.copy()
    rim = (rgba[..., 3] > 0) & (core == 0)
    result[rim, :3] = np.rint(np.clip(colour[rim], 0, 255))
    return result


def find_holes(rgba: AnyArray, back: Levels) -> Mask:
    """Marks opaque areas of the background's colour that touch nothing transparent."""
    alpha = rgba[..., 3]
    same = (np.abs(rgba[..., :3].astype(int) - back).max(axis=-1) <= SAME) & (alpha >= SOLID)
    _, found, facts, _ = cv2.connectedComponentsWithStats(same.astype(np.uint8), connectivity=4)
    labels = np.asarray(found, np.int32)
    enclosed = facts[:, cv2.CC_STAT_AREA] >= HOLE_PX
    clear = cv2.dilate((alpha < SOLID).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    enclosed[np.unique(labels[clear])] = False
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        enclosed[np.unique(side)] = False
    enclosed[0] = False
    return enclosed[labels]


def open_holes(rgba: AnyArray, holes: Mask, back: Levels) -> RGBA8:
    """Makes holes transparent; mixed pixels beside them get the alpha and colour that they are mixed of."""
    side = 2 * HOLE_EDGE_PX + 1
    around = cv2.dilate(holes.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    colour = rgba[..., :3].astype(np.float32)
    near = extend_from(colour, (rgba[..., 3] >= SOLID) & ~around)
    share, _ = between(colour, near, np.array(back, np.float32))
    result = rgba.copy()
    edge = around & ~holes & (share[..., 0] < LEANS) & (rgba[..., 3] > 0)
    result[edge, 3] = np.rint(share[edge][:, 0] * rgba[edge][:, 3])
    result[edge, :3] = np.rint(np.clip(near[edge], 0, 255))
    result[holes, 3] = 0
    return result
