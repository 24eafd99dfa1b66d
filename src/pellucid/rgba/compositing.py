"""Porter-Duff compositing of straight-alpha images, for numpy arrays and torch tensors.

A numpy image is (..., h, w, 4). A torch image is (..., 4, h, w); a tensor whose axis -3 is not 4 but
whose last axis is 4 is taken as (..., h, w, 4). uint8 in gives uint8 out, rounded once (halves up); floats
keep their dtype. Colour is 0 where the result's alpha is 0: it is undefined there. No epsilon anywhere, and
torch gradients are finite everywhere.
"""

import re
from collections.abc import Sequence

import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.srgb import array_module, decode_srgb, encode_srgb
from pellucid.rgba.types import RGBA8, AnyArray, P, is_tensor

Colour = str | Sequence[int]
STRIP_PIXELS = 1 << 16
"""Of a strip of an image in memory, some 100 bytes a pixel while it is worked on."""


def over(front: P, back: P, *, linear: bool = False) -> P:
    """Lays `front` on `back`.

    Args:
        front: straight RGBA.
        back: straight RGBA, same height, width and dtype; leading axes broadcast.
        linear: mix in linear light instead of on sRGB-encoded values, which is the web's and PNG's practice.

    Raises:
        InputError: not two images of one dtype and size.

    Source: Porter & Duff 1984, section 4.3.
    """
    first, axis = _channels_last(front, "front")
    second, _ = _channels_last(back, "back")
    _check_pair(first, second)
    if isinstance(first, np.ndarray) and first.ndim == 3 and second.ndim == 3:
        # pixels know nothing of one another, and a strip's wide numbers stay near the caches
        laid, rows = np.empty_like(first), max(1, STRIP_PIXELS // max(first.shape[1], 1))
        for top in range(0, len(first), rows):
            part = slice(top, top + rows)
            laid[part] = _over(first[part], second[part], linear)
        return laid
    return _restore(_over(first, second, linear), axis)


def _over(first: P, second: P, linear: bool) -> P:
    if linear or not _is_bytes(first):
        return _over_float(first, second, linear)
    # whole numbers below 2^31: a result is exact, and rounded once
    wide_front, wide_back = _cast(first, "int32"), _cast(second, "int32")
    front_share = 255 * wide_front[..., 3:]
    back_share = wide_back[..., 3:] * (255 - wide_front[..., 3:])
    total = front_share + back_share  # alpha times 255 * 255
    weighted = wide_front[..., :3] * front_share + wide_back[..., :3] * back_share
    # (2 a + b) // 2 b is a / b with halves rounded up
    rgb = (2 * weighted + total) // (2 * total + (total == 0))  # 0 / 1 where there is nothing
    alpha = (2 * total + 255) // 510
    return _cast(array_module(rgb).concat([rgb, alpha], -1), "uint8")


def _over_float(front: P, back: P, linear: bool) -> P:
    xp = array_module(front)
    as_bytes = _is_bytes(front)
    if as_bytes:
        front, back = _cast(front, "float64") / 255, _cast(back, "float64") / 255
    front_rgb, front_alpha = front[..., :3], front[..., 3:]
    back_rgb, back_alpha = back[..., :3], back[..., 3:]
    if linear:
        front_rgb, back_rgb = decode_srgb(front_rgb), decode_srgb(back_rgb)
    back_share = back_alpha * (1 - front_alpha)
    alpha = front_alpha + back_share
    # divided by 1 where nothing is: where() alone would still give NaN gradients in the branch not taken
    rgb = (front_rgb * front_alpha + back_rgb * back_share) / xp.where(alpha > 0, alpha, xp.ones_like(alpha))
    rgba = xp.concat([encode_srgb(rgb) if linear else rgb, alpha], -1)
    return _cast(xp.floor(rgba * 255 + 0.5), "uint8") if as_bytes else rgba


def premultiply(rgba: P) -> P:
    """Converts straight to premultiplied colour: multiplies colour by alpha.

    Raises:
        InputError: not an image.
    """
    image, axis = _channels_last(rgba, "the image")
    rgb, alpha = _wide(image)
    rgb = (2 * rgb * alpha + 255) // 510 if _is_bytes(image) else rgb * alpha
    return _restore(_join(rgb, alpha, image), axis)


def unpremultiply(premultiplied: P) -> P:
    """Converts premultiplied to straight colour: divides by alpha, and returns 0 where alpha is 0.

    Bytes above their alpha are no premultiplied colour; they give 255. Floats are not clipped.

    Raises:
        InputError: not an image.
    """
    image, axis = _channels_last(premultiplied, "the image")
    xp = array_module(image)
    rgb, alpha = _wide(image)
    if _is_bytes(image):
        # 510 = 2 * 255: halves up, as above
        whole = (510 * rgb + alpha) // (2 * alpha + (alpha == 0))
        rgb = xp.clip(whole, 0, 255) * (alpha > 0)
    else:
        visible = alpha > 0
        rgb = xp.where(visible, rgb, xp.zeros_like(rgb)) / xp.where(visible, alpha, xp.ones_like(alpha))
    return _restore(_join(rgb, alpha, image), axis)


def flatten(rgba: P, background: P | Colour, *, linear: bool = False) -> P:
    """Lays an image on something opaque and drops the alpha.

    Args:
        rgba: straight RGBA.
        background: "#rrggbb", three levels of 0 to 255, or an RGB image of the same kind, dtype and size.
        linear: as in `over`.

    Returns:
        RGB in the image's own layout and dtype.

    Raises:
        InputError: not an image, or no such colour, or a background of another size.
    """
    image, axis = _channels_last(rgba, "the image")
    back = _opaque_like(image, background)
    _check_pair(image, back)
    flat = _channels_last(over(_restore(image, axis), _restore(back, axis), linear=linear), "the image")[0]
    return _restore(flat[..., :3], axis)


def opaque(rgb: AnyArray) -> RGBA8:
    """Gives colour, uint8 (h, w, 3), an alpha of 255 everywhere: uint8 (h, w, 4)."""
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def parse_colour(colour: Colour) -> tuple[int, int, int]:
    """Converts "#rrggbb", "#rgb" or three levels of 0 to 255 to three levels.

    Raises:
        InputError: anything else.
    """
    if isinstance(colour, str):
        if re.fullmatch(r"#[0-9a-fA-F]{3}", colour):
            colour = "#" + "".join(2 * digit for digit in colour[1:])
        levels = (
            [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
            if re.fullmatch(r"#[0-9a-fA-F]{6}", colour)
            else []
        )
    else:
        levels = [int(level) for level in colour]
    if len(levels) != 3 or not all(0 <= level <= 255 for level in levels):
        raise InputError(f"Expected a colour, found {colour!r}. Write it as #rrggbb, for example #ffcc00.")
    return levels[0], levels[1], levels[2]


def _opaque_like(image: P, background: P | Colour) -> P:
    xp = array_module(image)
    back = xp.ones_like(image) * (255 if _is_bytes(image) else 1)
    if isinstance(background, (str, Sequence)):
        for channel, level in enumerate(parse_colour(background)):
            back[..., channel] = level if _is_bytes(image) else level / 255
        return back
    channels_first = is_tensor(background) and background.ndim >= 3 and background.shape[-3] == 3
    rgb = background
    if channels_first:
        rgb = array_module(rgb).movedim(rgb, -3, -1)
    if (
        is_tensor(rgb) != is_tensor(image)
        or rgb.dtype != image.dtype
        or rgb.shape[-3:] != (*image.shape[-3:-1], 3)
    ):
        raise InputError(
            f"Expected an RGB background like the image, {image.dtype} of height and width "
            f"{tuple(image.shape[-3:-1])}, found {rgb.dtype} {tuple(background.shape)}. Resize or "
            f"convert it first."
        )
    back[..., :3] = rgb
    return back


def _channels_last(image: P, what: str) -> tuple[P, int]:
    """The image with its channels last, and the axis (-1 or -3) where they were."""
    described = type(image).__name__
    if is_tensor(image) or isinstance(image, np.ndarray):
        shape, kind = tuple(image.shape), str(image.dtype).removeprefix("torch.")
        if len(shape) >= 3 and (kind == "uint8" or "float" in kind):
            # channels first wins for a tensor of 4 x … x 4: that is torch's own layout
            if is_tensor(image) and shape[-3] == 4:
                return array_module(image).movedim(image, -3, -1), -3
            if shape[-1] == 4:
                return image, -1
        described = f"{kind} {shape}"
    raise InputError(
        f"Expected {what} as floats or uint8 of shape (..., h, w, 4), or (..., 4, h, w) in torch, found "
        f"{described}. "
        "Add an alpha channel, and convert other integers with pellucid.rgba.quantization."
    )


def _check_pair(front: P, back: P) -> None:
    if (
        is_tensor(front) != is_tensor(back)
        or front.dtype != back.dtype
        or front.shape[-3:] != back.shape[-3:]
    ):
        raise InputError(
            f"Expected two images of one kind, dtype and size, found {front.dtype} "
            f"{tuple(front.shape)} and "
            f"{back.dtype} {tuple(back.shape)}. Convert or resize one of them first."
        )
    try:
        np.broadcast_shapes(tuple(front.shape), tuple(back.shape))
    except ValueError:
        raise InputError(
            f"Expected leading axes that fit, found {tuple(front.shape)} and {tuple(back.shape)}. "
            "Lay one image on many, or as many on as many."
        ) from None


def _wide(image: P) -> tuple[P, P]:
    wide = _cast(image, "int32") if _is_bytes(image) else image
    return wide[..., :3], wide[..., 3:]


def _join(rgb: P, alpha: P, like: P) -> P:
    joined = array_module(rgb).concat([rgb, alpha], -1)
    return _cast(joined, "uint8") if _is_bytes(like) else joined


def _restore(image: P, axis: int) -> P:
    return array_module(image).movedim(image, -1, -3) if axis == -3 else image


def _is_bytes(image: P) -> bool:
    return "uint8" in str(image.dtype)


def _cast(image: P, dtype: str) -> P:
    if isinstance(image, np.ndarray):
        return image.astype(dtype)
    return image.to(getattr(array_module(image), dtype))
