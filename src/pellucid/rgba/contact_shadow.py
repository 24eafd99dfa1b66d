"""The soft shadow of a thing that stands on something: under its feet, and wider and fainter around them."""

import cv2
import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import RGBA8, AnyArray, check_rgba8

# All lengths are shares of the height of what is seen: shadows grow with things. Chosen by eye
# (docs/log.md, 2026-11-27).
FEET = 0.1
"""Lowest part of the thing, which touches the ground."""
FLAT = (0.07, 0.22)
"""Depth of the shadow of the feet, and of the whole thing, on the ground."""
SOFT = (0.02, 0.055)
"""Deviation of the blur of both."""
DARK = (0.8, 0.5)
"""Opacity of both."""
MARGIN = 0.25
"""Room around the thing; the blur has ended there."""
SOLID = 64
"""Alpha, levels, from which on a pixel counts as the thing, and not as glow or smoke."""


def contact_shadow(rgba: AnyArray, colour: tuple[int, int, int] = (0, 0, 0)) -> tuple[RGBA8, tuple[int, int]]:
    """Draws the shadow of an image of a thing that stands upright on its lowest pixels.

    Args:
        rgba: uint8 (h, w, 4), straight.
        colour: of the shadow, levels.

    Returns:
        The shadow, uint8 (rows, columns, 4), straight; and its (top, left) from the image's corner, px.

    Raises:
        InputError: no image, or one of which nothing is solid.
    """
    alpha = check_rgba8(rgba)[..., 3]
    rows, columns = (np.flatnonzero((alpha >= SOLID).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        raise InputError(
            "Expected an image of something that casts a shadow, found none. Leave the shadow out."
        )
    thing = to_float(alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    height = max(thing.shape[0], 4)
    margin = int(np.ceil(MARGIN * height))
    parts = (thing[-max(1, round(FEET * height)) :], thing)
    light = np.ones((height + 2 * margin, thing.shape[1] + 2 * margin), np.float32)
    ground = margin + thing.shape[0]
    for part, flat, soft, dark in zip(parts, FLAT, SOFT, DARK, strict=True):
        depth = max(1, round(flat * height))
        flattened = np.zeros_like(light)
        # half of it lies behind the thing, and half in front of its lowest line
        top = ground - depth + depth // 2 - round(soft * height / 2)
        squeezed = cv2.resize(part, (part.shape[1], depth), interpolation=cv2.INTER_AREA)
        flattened[top : top + depth, margin : margin + part.shape[1]] = squeezed
        blurred = np.asarray(cv2.GaussianBlur(flattened, (0, 0), max(soft * height, 0.5)))
        # two shadows on one place: each lets a share of the light through
        light *= 1 - dark * blurred
    shadow = np.empty((*light.shape, 4), np.uint8)
    shadow[..., :3], shadow[..., 3] = colour, to_bytes(np.clip(1 - light, 0, 1))
    shadow[shadow[..., 3] == 0] = 0
    # most of the room is above, beside the thing
    first = int(np.flatnonzero(shadow[..., 3].any(axis=1))[0])
    return shadow[first:], (int(rows[0]) - margin + first, int(columns[0]) - margin)
