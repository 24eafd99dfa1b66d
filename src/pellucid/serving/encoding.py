"""Results as callers ask for them: another file format, a smaller file, an opaque image."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from pellucid.files.images import encode_image
from pellucid.rgba.resizing import fit_rgba
from pellucid.rgba.types import RGBA8
from pellucid.scene.scene import Scene
from pellucid.serving.results import Background, measured_background

ImageFormat = Literal["png", "webp", "jpeg"]
MATTE = "#ffffff"
"""Colour below images that are asked for opaque."""
LOSSLESS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How an image is handed out."""

    format: ImageFormat = "png"
    compression: int = LOSSLESS
    """Of WebP and JPEG, 0 to 100: their quality; a WebP of 100 is lossless."""
    opaque: bool = False
    """Whether it is laid on white. A JPEG always is, since it has no alpha."""
    size: tuple[int, int] | None = None
    """(height, width) that it is resampled to, in its own proportions on a clear canvas."""


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """The content of a file, and what was measured of the image in it."""

    content: bytes
    background: Background
    height: int
    width: int


def encode_file(path: Path, encoding: Encoding) -> EncodedImage:
    """Encodes a result as it was asked for; what is a PNG already is handed out to the byte."""
    scene = Scene.open(path)
    opaque = encoding.opaque or encoding.format == "jpeg"
    rgba = scene.composite(MATTE if opaque else None)
    if encoding.size is not None and encoding.size != rgba.shape[:2]:
        rgba = fit_rgba(rgba, *encoding.size, "fit")
        opaque = False
    as_it_is = path.suffix == ".png" and encoding.format == "png" and not opaque and encoding.size is None
    content = path.read_bytes() if as_it_is else _encode(rgba, scene, encoding)
    return EncodedImage(content, measured_background(rgba), rgba.shape[0], rgba.shape[1])


def _encode(rgba: RGBA8, scene: Scene, encoding: Encoding) -> bytes:
    if encoding.format == "jpeg":
        return _by_pillow(np.ascontiguousarray(rgba[..., :3]), "JPEG", quality=encoding.compression)
    if encoding.format == "webp" and encoding.compression < LOSSLESS:
        # colours may be coarse, edges not: alpha stays as it is
        return _by_pillow(rgba, "WEBP", quality=encoding.compression, alpha_quality=100, exact=True)
    return encode_image(rgba, encoding.format.upper(), metadata=scene.provenance)


def _by_pillow(pixels: np.ndarray, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format, **options)
    return file.getvalue()
