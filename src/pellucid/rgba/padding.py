"""Colour under transparent pixels: the "padded RGB" that a VAE and the offset encoder are fed.

An image pyramid of premultiplied colour is laid over itself from coarse to fine, so that hidden pixels take
the colour of what is visible near by, smoothly, and no edge of the alpha shows in the colour.
"""

import cv2
import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGBA8, AnyArray, RGBFloat32, check_rgba8

SHRINK = 1.2  # ratio between pyramid levels, the released value
EMPTY = 1e-8  # an alpha sum below this counts as this: a fully transparent image is padded with black
Planes = list[cv2.typing.MatLike]


def pyramid_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Returns (height, width) of each level, finest first, until one side is a single pixel.

    Raises:
        InputError: a side is not positive.
    """
    if min(height, width) < 1:
        raise InputError(
            f"Expected sides of 1 pixel or more, found {height} x {width}. Pass an image with pixels."
        )
    sizes = [(height, width)]
    while min(sizes[-1]) > 1:
        sizes.append((int(sizes[-1][0] / SHRINK), int(sizes[-1][1] / SHRINK)))
    return sizes


def pad_rgb(rgba: AnyArray) -> RGBFloat32:
    """Extends visible colour under transparent pixels.

    Args:
        rgba: uint8 (h, w, 4), straight alpha. Colour where alpha is 0 is ignored.

    Returns:
        RGB, [0, 1] but for rounding (not clipped). Equals the input's colour, exactly, wherever alpha is 255;
        black where nothing at all is visible.

    Raises:
        InputError: not a uint8 RGBA image.

    Source: LayerDiffuse section 3.1 ("padded RGB"), arithmetic of the released code, to the last bit. Pixels
        of four channels shrink fastest, planes are blended fastest (`benchmarks/pad_rgb.py`).
    """
    check_rgba8(rgba)
    # two short cuts, for opaque and for empty images, whose results are the same
    if rgba[..., 3].min() == 255:
        return np.divide(rgba[..., :3], np.float32(255), dtype=np.float32)  # nothing to extend
    if not rgba[..., 3].any():
        return np.zeros((*rgba.shape[:2], 3), np.float32)
    pyramid = _pyramid(rgba)
    # the mean colour of the coarsest level is what lies farthest from anything visible
    coarsest = np.stack(pyramid[-1], axis=-1)
    weight = np.maximum(coarsest[..., 3].sum(axis=(0, 1)), EMPTY)
    colour = np.ascontiguousarray(coarsest[..., :3]).sum(axis=(0, 1)) / weight
    planes: Planes = [np.full((1, 1), level, np.float32) for level in colour]
    while pyramid:
        level = pyramid.pop()  # freed as soon as it is used
        height, width = level[3].shape
        hidden = np.subtract(1, level[3], out=level[3])
        # the order of operations is the released one: another gives other last bits
        for channel in range(3):
            plane = cv2.resize(planes[channel], (width, height), interpolation=cv2.INTER_LINEAR)
            plane *= hidden
            plane += level[channel]
            planes[channel] = plane
    return cv2.merge(planes)


def _pyramid(rgba: AnyArray) -> list[Planes]:
    """Builds planes (red, green, blue, all premultiplied, and alpha) of each level, finest first."""
    planes: Planes = [np.divide(plane, np.float32(255), dtype=np.float32) for plane in cv2.split(rgba)]
    for colour in planes[:3]:
        colour *= planes[3]
    levels, image = [planes], cv2.merge(planes)
    for height, width in pyramid_sizes(*rgba.shape[:2])[1:]:
        image = _shrunk(image, height, width)
        levels.append(list(cv2.split(image)))
    return levels


def _shrunk(image: cv2.typing.MatLike, height: int, width: int) -> cv2.typing.MatLike:
    """Shrinks by area. Of 2 x 2 pixels cv2 adds four channels in another order than one; released is one."""
    size, area = (width, height), cv2.INTER_AREA
    if height == width == 1:
        planes = [cv2.resize(plane, size, interpolation=area) for plane in cv2.split(image)]
        return np.stack(planes, axis=-1).reshape(1, 1, 4)
    return cv2.resize(image, size, interpolation=area).reshape(height, width, 4)


def extend_colour(rgba: AnyArray, *, seen_from: int = 16) -> RGBA8:
    """Pads colour where alpha is almost 0, and keeps it wherever it can be seen.

    `pad_rgb` also mixes the surroundings into partly transparent pixels, which changes how they look over a
    background; here they keep their colour, and there is still no edge of colour under transparency.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
        seen_from: alpha level from which a pixel's own colour is kept.

    Returns:
        uint8 (h, w, 4), the same alpha.
    """
    colour = to_bytes(np.clip(pad_rgb(rgba), 0, 1))
    kept = np.where(rgba[..., 3:] >= seen_from, rgba[..., :3], colour)
    return np.concatenate([kept, rgba[..., 3:]], axis=-1)
