"""Images of any kind, as callers hold them, to the one form that everything here takes."""

from pathlib import Path

import numpy as np

from pellucid.errors import InputError
from pellucid.files.images import read_rgba
from pellucid.rgba.compositing import opaque
from pellucid.rgba.quantization import narrow_to_bytes, to_bytes
from pellucid.rgba.types import RGBA8, AnyArray

MAX_SIDE_PX = 8192
"""Longest side that models here paint or repaint."""

HALF_LEVEL = 0.5 / 255
"""So far outside of [0, 1] floats still round to the ends."""

NO_RANGE = ("I", "F", "LAB")
"""PIL's modes whose levels mean what their maker wants, or whose colours PIL converts wrongly."""


def to_rgba8(image: object) -> RGBA8:
    """Converts an image of any kind to uint8 (h, w, 4), straight alpha, sRGB.

    Args:
        image: an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), uint8, 16 bits or floats in [0, 1]; a PIL
            image of any mode but I, F and LAB, turned as its EXIF orientation says; or the path of a file.

    Raises:
        InputError: none of these, or a shape that is no image.
        FileError: a path that cannot be read.
    """
    if isinstance(image, (str, Path)):
        array: AnyArray = read_rgba(image)
    elif isinstance(image, np.ndarray):
        given: AnyArray = image
        array = _to_bytes(given)
    else:
        array = _from_pil(image)
    if max(array.shape[:2]) > MAX_SIDE_PX:
        raise InputError(
            f"Expected at most {MAX_SIDE_PX} pixels a side, found {array.shape[0]} x {array.shape[1]}. "
            "Shrink it first."
        )
    return array


def _from_pil(image: object) -> AnyArray:
    from PIL import Image, ImageOps

    if not isinstance(image, Image.Image):
        raise InputError(
            f"Expected an image as array, PIL image or path, found {type(image).__name__}. Convert it first."
        )
    if image.mode in NO_RANGE:
        raise InputError(
            f"Expected an image of 8 or 16 bits, found PIL's mode {image.mode}, whose range is not known. "
            "Convert it to L or RGB first, or pass an array."
        )
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):  # converting would make white of every level above 255
        return _to_bytes(np.asarray(upright).astype(np.uint16))
    return np.asarray((upright.convert("LA") if upright.mode == "La" else upright).convert("RGBA"))


def _check_range(array: AnyArray) -> None:
    """Raises InputError for floats that clipping would change by more than rounding does.

    Most often they are levels of 0 to 255, or [-1, 1], and would be made white or black in silence.
    """
    known = array[~np.isnan(array)]  # NaN is told by `to_bytes`
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if low < -HALF_LEVEL or high > 1 + HALF_LEVEL:
        raise InputError(
            f"Expected floats in [0, 1], found {low:.4g} to {high:.4g}. Divide levels by 255, map [-1, 1] "
            "with x / 2 + 0.5, and clip what an interpolation has overshot."
        )


def _to_bytes(array: AnyArray) -> AnyArray:
    if np.issubdtype(array.dtype, np.floating):
        _check_range(array)
    levels = to_bytes(array) if np.issubdtype(array.dtype, np.floating) else narrow_to_bytes(array)
    if levels.ndim == 2:
        levels = levels[..., None]
    if levels.ndim != 3 or levels.shape[2] not in (1, 3, 4) or levels.size == 0:
        raise InputError(
            f"Expected an image of shape (h, w), (h, w, 3) or (h, w, 4), found {array.shape}. "
            "Put channels last."
        )
    if levels.shape[2] == 4:
        return levels
    # one channel is grey: the same level three times
    return opaque(np.broadcast_to(levels, (*levels.shape[:2], 3)))
