"""What of an image's structure a control model is shown: its silhouette, its edges, or both."""

import cv2
import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.resizing import on_grey
from pellucid.rgba.types import AnyArray

KINDS = ("both", "silhouette", "edges")
SOFTENING = 0.8
"""Sigma in pixels before edges are looked for."""
WEAK, STRONG = 60, 140
"""Levels between which an edge counts if it goes on from a strong one (Canny 1986)."""


def structure(rgba: AnyArray, kind: str = "both") -> AnyArray:
    """Draws the structure of an image as uint8 (h, w, 3): the silhouette in red, the edges in green.

    Args:
        rgba: straight alpha, uint8 (h, w, 4). Where nothing is transparent, the silhouette is what differs
            from the colour of the corners, such as a shape drawn on white.
        kind: one of `KINDS`; what is not asked for stays black.

    Raises:
        InputError: another kind.
    """
    if kind not in KINDS:
        raise InputError(f"Expected a structure of {', '.join(KINDS)}, found {kind!r}. Choose one of them.")
    channels = np.zeros((*rgba.shape[:2], 3), np.uint8)
    if kind != "edges":
        channels[..., 0] = silhouette(rgba)
    if kind != "silhouette":
        channels[..., 1] = edges(rgba)
    return channels


def silhouette(rgba: AnyArray) -> AnyArray:
    """Returns alpha, uint8 (h, w); for an opaque image, what differs from the colour of its corners."""
    alpha = rgba[..., 3]
    if alpha.min() < 255:
        return alpha
    # the median of four corners: a subject may cover one
    corners = rgba[[0, 0, -1, -1], [0, -1, 0, -1], :3].astype(np.float32)
    distance = np.abs(rgba[..., :3].astype(np.float32) - np.median(corners, axis=0)).max(axis=-1)
    levels = np.ascontiguousarray(np.rint(distance).astype(np.uint8))
    return cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1].astype(np.uint8)


def edges(rgba: AnyArray) -> AnyArray:
    """Draws the edges of the image over grey and of its alpha, white on black: uint8 (h, w)."""
    grey = np.rint(on_grey(rgba) * 255).astype(np.uint8)
    # alpha too, since an object of the background's grey has no edge in colour
    parts = [cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY), np.ascontiguousarray(rgba[..., 3])]
    soft = [cv2.GaussianBlur(part, (0, 0), SOFTENING) for part in parts]
    return np.maximum.reduce([cv2.Canny(part, WEAK, STRONG) for part in soft]).astype(np.uint8)
