"""Things in another colour, as `recolour` makes them, without an edge between what is changed and not.

`recolour` decides pixel by pixel what is grey, and keeps greys; of an animal with a little colour in its fur
it changes patches. Here a thing that is mostly grey is tinted whole, and elsewhere greys come in by degrees.
"""

import numpy as np

from pellucid.data.composing.surfaces import LINEAR
from pellucid.data.recolouring import Colour
from pellucid.rgba.oklab import TO_CONES, TO_LAB
from pellucid.rgba.srgb import encode_srgb
from pellucid.rgba.types import RGBA8, AnyArray

GREY = 0.02, 0.06
"""Chroma up to which a pixel stays as it is, and from which on it takes the colour whole."""
MOSTLY_GREY = 0.62
"""With less than this share of coloured pixels a thing is tinted whole."""
DARK = 0.2, 0.6
"""Lightness over the median up to which a pixel is never made lighter, and from which on it is wholly."""
PALE = 0.85
"""From this median lightness on, a thing is white."""
MATRICES = tuple(matrix.astype(np.float32) for matrix in (TO_CONES.T, TO_LAB.T))
INVERSES = tuple(np.linalg.inv(matrix).astype(np.float32) for matrix in (TO_LAB.T, TO_CONES.T))


def painted(rgba: RGBA8, colour: Colour) -> RGBA8:
    """Gives a thing another colour; shading and alpha stay.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
        colour: one of `recolouring.COLOURS`.
    """
    visible = rgba[..., 3] > 0
    if not visible.any():
        return rgba.copy()
    pixels = rgba[visible]
    lab = np.cbrt(LINEAR[pixels[:, :3]] @ MATRICES[0]) @ MATRICES[1]
    lightness, chroma = lab[:, 0].clip(1e-4, 1), np.hypot(lab[:, 1], lab[:, 2])
    weight = pixels[:, 3].astype(np.float32)
    share = ((chroma - GREY[0]) / (GREY[1] - GREY[0])).clip(0, 1)
    whole = bool((share * weight).sum() < MOSTLY_GREY * weight.sum())
    if whole:
        share = np.ones_like(share)
    chosen = share > 0.5
    median = float(np.median(lightness[chosen]).clip(0.02, 0.98))
    pale = whole and median > PALE
    new_lightness = lightness + share * (_moved(lightness, median, colour.lightness, pale) - lightness)
    if whole:  # most colour at middle lightness, none at black and white
        strength = (1 - (2 * new_lightness - 1) ** 2).clip(0, 1) ** 0.5 * (lightness / 0.25).clip(0, 1)
        if not pale:
            strength = strength * (1 - ((lightness - 0.93) / 0.07).clip(0, 1))
    else:
        strength = (chroma / np.median(chroma[chosen])).clip(0, 1.3)
    strength = strength * colour.chroma
    hue = np.radians(colour.hue)
    lab[:, 0] = new_lightness
    lab[:, 1] += share * (strength * np.cos(hue) - lab[:, 1])
    lab[:, 2] += share * (strength * np.sin(hue) - lab[:, 2])
    linear = ((lab @ INVERSES[0]) ** 3 @ INVERSES[1]).clip(0, 1)
    result = rgba.copy()
    result[visible, :3] = np.rint(encode_srgb(linear) * 255).astype(np.uint8)
    return result


def _moved(lightness: AnyArray, median: float, wanted: float, pale: bool) -> AnyArray:
    """Moves lightnesses in [0, 1] so that their median becomes the wanted one; their order stays."""
    # a power keeps black and white; of a white thing nothing but white would be left by it
    moved = lightness * (wanted / median) if pale else lightness ** (np.log(wanted) / np.log(median))
    # eyes and outlines of what becomes lighter stay dark, or nothing would tell a white wolf from a cloud
    share = ((lightness / median - DARK[0]) / (DARK[1] - DARK[0])).clip(0, 1)
    return np.where(moved > lightness, lightness + share * (moved - lightness), moved).clip(0, 1)
