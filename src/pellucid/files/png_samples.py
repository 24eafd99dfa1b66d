"""Samples of a PNG of 16 bits, which Pillow cuts to 8."""

import io

import numpy as np
from PIL import Image

from pellucid.files.deep_colours import deep_to_srgb
from pellucid.files.png_chunks import SIGNATURE
from pellucid.rgba.quantization import narrow_to_bytes
from pellucid.rgba.types import RGBA8

DEPTH = 24
"""Place of the bits of a sample, in the header."""


def is_deep_png(content: bytes) -> bool:
    """Says whether a file is a PNG of 16 bits."""
    return content.startswith(SIGNATURE) and content[DEPTH : DEPTH + 1] == b"\x10"


def read_deep_png(content: bytes, profile: bytes, notes: list[str]) -> RGBA8:
    """Reads a PNG of 16 bits in sRGB, rounded once; a transparent key is compared in 16 bits.

    Args:
        content: the file.
        profile: a file of ICC, or empty.
        notes: gets a sentence if the profile cannot be read.

    Raises:
        FileError: a profile for another kind of colour.
        ValueError: samples that cannot be decoded.
    """
    import cv2

    # OpenCV, since Pillow knows no RGB of 16 bits
    levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None or levels.dtype != np.uint16:  # pyright: ignore[reportUnnecessaryComparison] - None
        raise ValueError("16-bit samples cannot be decoded")
    levels = np.atleast_3d(levels).astype(np.uint16)
    channels = levels.shape[2]
    # OpenCV's order is blue, green, red
    colour = levels[..., :1] if channels < 3 else levels[..., [2, 1, 0]]
    alpha = levels[..., -1:] if channels in (2, 4) else np.full_like(levels[..., :1], 65535)
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        transparent_key = image.info.get("transparency")
    if transparent_key is not None and channels in (1, 3):
        keyed = (colour == np.asarray(transparent_key, np.uint16)).all(axis=-1, keepdims=True)
        alpha = np.where(keyed, 0, alpha).astype(np.uint16)
    return np.dstack([deep_to_srgb(colour, profile, notes), narrow_to_bytes(alpha)])
