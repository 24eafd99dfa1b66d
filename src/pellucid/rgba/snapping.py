"""Alpha that a decoder left a little off 0 or 255, set to what it means; gradients of alpha stay.

Images are uint8 (h, w, 4), straight alpha.
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from pellucid.rgba.resizing import fit_rgba, fitted_box
from pellucid.rgba.types import RGBA8, AnyArray, check_rgba8

Alpha = UInt8[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]

NOISE = 8
"""Levels that alpha may lie off 0 or 255 and still be meant as that."""
UNSEEN = 1
"""Levels that nobody sees, and that join nothing."""
LEAST_PX = 4
"""Pixels beyond the noise that make a visible area; fewer are noise themselves."""
FAINT_PX = 16
"""Pixels that make one if none is beyond: the last of smoke."""


def snap_alpha(rgba: AnyArray) -> RGBA8:
    """Sets alpha of 1 to 8 to 0, and of 247 to 254 to 255, but where a gradient leads there.

    Decoded alpha is seldom 0 or 255 to the last level, so that no image could be trimmed. What is off by two
    levels or more and touches what is off by more is the end of an edge, of smoke, glow, glass or a soft
    shadow, and stays; so does an image in which nothing is off by more.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.

    Returns:
        A new image. Colour stays; alpha of 9 to 246 does too. Snapping twice is snapping once.

    Raises:
        InputError: not a uint8 RGBA image.
    """
    check_rgba8(rgba)
    result, alpha = rgba.copy(), rgba[..., 3]
    result[_noise(alpha), 3] = 0
    result[_noise(255 - alpha), 3] = 255
    return result


def fit_snapped(rgba: AnyArray, height: int, width: int, fit: str) -> AnyArray:
    """Fits an image as `fit_rgba`; one that was snapped gets no new haze when it is enlarged.

    Lanczos rings: it leaves alpha of a few levels outside an edge, and takes a few from 255 inside. Where all
    that lies around is 0, or 255, the result is too. An image that `snap_alpha` would change is fitted as it
    is.

    Args:
        rgba: straight, uint8 (h, w, 4).
        height: of the result, px.
        width: of the result, px.
        fit: see `fit_pixels`; "crop", for opaque layers, is left to `fit_rgba`.
    """
    fitted = fit_rgba(rgba, height, width, fit)
    enlarges = fitted.shape[0] * fitted.shape[1] > rgba.shape[0] * rgba.shape[1]
    if fit == "crop" or not enlarges or not _is_snapped(rgba):
        return fitted
    box = 0, 0, height, width
    if fit == "fit":
        box = fitted_box((rgba.shape[0], rgba.shape[1]), (height, width))
    top, left, rows, columns = box
    # blended from the four pixels around, in floats: 0 or 255 only where all four are
    around = np.asarray(cv2.resize(rgba[..., 3].astype(np.float32), (columns, rows)))
    result = fitted.copy()
    alpha = result[top : top + rows, left : left + columns, 3]
    alpha[around == 0] = 0
    alpha[around == 255] = 255
    return result


def _is_snapped(rgba: AnyArray) -> bool:
    return bool((snap_alpha(rgba)[..., 3] == rgba[..., 3]).all())


def _noise(depth: Alpha) -> Mask:
    """Marks pixels a little off 0 that no larger depth leads to."""
    shallow = (depth > 0) & (depth <= NOISE)
    if not shallow.any():
        return shallow
    count, labels = cv2.connectedComponents((depth > UNSEEN).astype(np.uint8), connectivity=8)
    beyond = np.bincount(labels.ravel(), (depth > NOISE).ravel(), count) >= LEAST_PX
    beyond |= np.bincount(labels.ravel(), minlength=count) >= FAINT_PX
    beyond[0] = False
    if not beyond.any():
        return np.zeros_like(shallow)  # nothing tells noise from image
    return shallow & ~beyond[np.asarray(labels, np.int32)]
