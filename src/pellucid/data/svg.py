"""Renders SVG to straight RGBA."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from pellucid.errors import missing_package
from pellucid.rgba.resizing import fit_rgba

Render = Callable[[], np.ndarray]
"""Gives uint8 (h, w, 4), straight alpha, when it is called: rendering waits for its turn."""


def render_svg(svg: str, size_px: int) -> np.ndarray:
    """Renders an image onto a square, whole and in its middle: uint8 (size_px, size_px, 4).

    Args:
        svg: the document.
        size_px: height and width of the result.

    Raises:
        InputError: resvg is not installed.
        ValueError: no SVG, or one that cannot be drawn.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise missing_package("resvg-py", "rendering SVG", "train") from error
    # by its width alone, so that documents which are not square keep their proportions
    png = svg_to_bytes(svg_string=svg, width=size_px)
    return fit_rgba(np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA")), size_px, size_px, "fit")
