"""Images of any size onto a canvas of another: cropped, fitted with a border, or stretched.

Source: docs/released-format.md d.3. Enlarging may leave [0, 1] by a little, as the released code does.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid.errors import InputError
from pellucid.rgba.compositing import premultiply, unpremultiply
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import AnyArray

FITS = ("crop", "fit", "stretch")
Pixels = NDArray[np.float32]


def check_fit(fit: str) -> None:
    """Raises InputError unless `fit` is one of `FITS`."""
    if fit not in FITS:
        raise InputError(f"No way of fitting is called {fit!r}. Choose one of {', '.join(FITS)}.")


def on_grey(rgba: AnyArray) -> Pixels:
    """Lays an image over the mid grey of training condition images: float32 (h, w, 3), [0, 1].

    Args:
        rgba: straight, uint8 or floats in [0, 1], (h, w, 4).
    """
    values = to_float(rgba) if rgba.dtype == np.uint8 else rgba
    return (0.5 + (values[..., :3] - 0.5) * values[..., 3:]).astype(np.float32)


def fit_pixels(pixels: Pixels, height: int, width: int, fit: str, *, border: float | None = None) -> Pixels:
    """Resamples to `height` x `width`.

    Args:
        pixels: float32 (h, w, c), no colour hidden under alpha: opaque or premultiplied.
        height: of the result, px.
        width: of the result, px.
        fit: "crop" covers the canvas and cuts what is over; "fit" shows all, with a border; "stretch"
            keeps no proportions.
        border: value of the border of "fit"; None takes the median of the image's outermost pixels.

    Raises:
        InputError: another `fit`.
    """
    check_fit(fit)
    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    if fit == "stretch":
        return _resized(pixels, height, width)
    if fit == "crop":
        scale = max(height / pixels.shape[0], width / pixels.shape[1])
        rows, columns = (max(round(side * scale), 1) for side in pixels.shape[:2])
        top, left = (rows - height) // 2, (columns - width) // 2
        return _resized(pixels, rows, columns)[top : top + height, left : left + width]
    top, left, rows, columns = fitted_box((pixels.shape[0], pixels.shape[1]), (height, width))
    scaled = _resized(pixels, rows, columns)
    canvas = np.empty((height, width, pixels.shape[2]), np.float32)
    canvas[:] = _edge_colour(scaled) if border is None else border
    canvas[top : top + rows, left : left + columns] = scaled
    return canvas


def fitted_box(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns where the fit "fit" lays an image on a canvas: (top, left, height, width), px.

    Args:
        size: (height, width) of the image.
        canvas: (height, width) that it is fitted onto.
    """
    scale = min(canvas[0] / size[0], canvas[1] / size[1])
    # at least one pixel: a line must not vanish
    rows, columns = (max(round(side * scale), 1) for side in size)
    return max((canvas[0] - rows) // 2, 0), max((canvas[1] - columns) // 2, 0), rows, columns


def fit_rgba(rgba: AnyArray, height: int, width: int, fit: str) -> AnyArray:
    """Fits an image onto a canvas, as `fit_pixels`; a border is transparent.

    For images of users and models: colour stays under alpha that rounds to 0, and halves round up. Training
    images are resized by `resize_sample`, whose bytes differ by a level here and there.

    Args:
        rgba: straight, uint8 (h, w, 4).
        height: of the result, px.
        width: of the result, px.
        fit: see `fit_pixels`.

    Returns:
        uint8 (height, width, 4), straight; the image itself where it has that size.

    Raises:
        InputError: another `fit`.
    """
    if rgba.shape[:2] == (height, width):
        return rgba
    # premultiplied, or colour hidden under alpha 0 would be mixed into the edges
    premultiplied = premultiply(to_float(rgba)).astype(np.float32)
    fitted = np.clip(fit_pixels(premultiplied, height, width, fit, border=0.0), 0, 1)
    # Lanczos overshoots: colour above its alpha would come out brighter than white
    fitted[..., :3] = np.minimum(fitted[..., :3], fitted[..., 3:])
    return to_bytes(unpremultiply(fitted))


def shrunk(rgba: AnyArray, factor: int) -> AnyArray:
    """Makes each side `factor` times shorter, premultiplied; sides are extended by their edge to whole ones.

    Args:
        rgba: straight, uint8 (h, w, 4).
        factor: 1 returns the image itself.
    """
    if factor == 1:
        return rgba
    below, right = (-side % factor for side in rgba.shape[:2])
    whole = np.pad(rgba, ((0, below), (0, right), (0, 0)), mode="edge")
    return fit_rgba(whole, whole.shape[0] // factor, whole.shape[1] // factor, "stretch")


def _edge_colour(pixels: Pixels) -> AnyArray:
    edge = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    return np.median(np.concatenate(edge), axis=0)


def _resized(pixels: Pixels, height: int, width: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    # area averaging does not alias when it shrinks; Lanczos keeps edges sharp when it enlarges
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    resized = np.asarray(cv2.resize(pixels, (width, height), interpolation=interpolation), np.float32)
    # cv2 drops the axis of a single channel
    return resized.reshape(height, width, pixels.shape[2])


def resize_sample(rgba: AnyArray, height: int, width: int) -> AnyArray:
    """Stretches a training image, without dark or coloured fringes.

    Shards and scores are made by it, so its bytes must stay: alpha under half a level loses its colour, and
    halves round to even. Images of users and models are fitted by `fit_rgba`.

    Args:
        rgba: uint8 (h, w, 4).
        height: rows wanted, px.
        width: columns wanted, px.

    Returns:
        uint8 (height, width, 4), straight alpha; colour is 0 where alpha is 0.
    """
    if rgba.shape[:2] == (height, width):
        return rgba
    values = rgba.astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255
    shrinks = height * width < rgba.shape[0] * rgba.shape[1]
    # Lanczos keeps edges sharp when it enlarges, but aliases when it shrinks
    values = cv2.resize(
        values, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    )
    # below half a level alpha rounds to 0, and dividing by it would blow noise up to full colour
    alpha = np.clip(values[..., 3:], 0, 255)
    colour = np.divide(values[..., :3] * 255, alpha, out=np.zeros_like(values[..., :3]), where=alpha >= 0.5)
    return np.rint(np.clip(np.concatenate([colour, alpha], axis=-1), 0, 255)).astype(np.uint8)
