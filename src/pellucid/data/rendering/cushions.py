"""Outlines filled with glass, water or ice: cushions that are clear inside and seen at their rims."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from pellucid.data.rendering.glow import OUTLINES
from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import WHITE, Sketch, Stop, layer, over, smooth

CLEAR: Sequence[Sequence[Stop]] = (
    ((0.0, 0.66, 0.03, 220), (0.5, 0.86, 0.025, 215), (1.0, 0.98, 0.01, 210)),
    ((0.0, 0.62, 0.008, 240), (0.5, 0.88, 0.006, 240), (1.0, 0.99, 0.0, 240)),
    ((0.0, 0.60, 0.04, 175), (0.5, 0.84, 0.035, 180), (1.0, 0.98, 0.012, 185)),
)


def moulded(sketch: Sketch, cover: Floats, depth: float) -> tuple[Floats, Floats, Floats]:
    """Inflates an outline to a cushion.

    Args:
        sketch: of the image.
        cover: (h, w), 0 to 1.
        depth: how wide its rounded rim is, in the plane.

    Returns:
        Fresnel rim, 0 inside to 1 at the outline, and how far it leans right and down, -1 to 1.
    """
    away = cv2.distanceTransform((cover > 0.5).astype(np.uint8), cv2.DIST_L2, 5) * np.float32(sketch.pixel)
    into = np.clip(away / depth, 0, 1)
    height = sketch.blurred(np.sqrt(1 - (1 - into) ** 2), 0.02)
    lean_y, lean_x = np.gradient(sketch.blurred(height * depth, 0.02), sketch.pixel)
    right, down = (np.asarray(np.clip(each, -1, 1), np.float32) for each in (lean_x, lean_y))
    return (1 - height).astype(np.float32), right, down


def cushion(sketch: Sketch, cover: Floats, tint: Floats, depth: float, gloss: float = 0.9) -> Floats:
    """Paints any outline as a cushion of clear glass or water, with highlights as bright as `gloss`."""
    rim, right, down = moulded(sketch, cover, depth)
    alpha = (0.2 + 0.55 * rim**0.8) * sketch.density**0.6
    made = layer(tint, 0.62 - 0.45 * rim + 0.15 * down, alpha * cover)
    towards = -(right * 0.55 + down * 0.8)
    gathered = smooth(-towards, 0.25, 0.75) * 0.5
    gleam = smooth(towards, 0.45, 0.75) * smooth(rim, 0.1, 0.25) * smooth(1 - rim, 0.15, 0.4)
    made = over(layer(tint, 1.0, gathered * cover), made)
    return over(layer(WHITE, 1.0, gloss * gleam * cover), made)


def outline_of(sketch: Sketch, corners: Floats) -> Floats:
    """Covers a polygon in the plane, (n, 2), with soft edges."""
    field = np.zeros((sketch.size_px, sketch.size_px), np.uint8)
    line = np.rint((corners + 1) / sketch.pixel * 256 - 128).astype(np.int32)
    cv2.fillPoly(field, [line], 255, cv2.LINE_AA, 8)
    return field.astype(np.float32) / 255


def moulded_shape(outline: str) -> Callable[[Sketch], Floats]:
    """Makes the painter of an outline as a cushion of glass."""

    def paint(sketch: Sketch) -> Floats:
        corners = OUTLINES[outline]() * sketch.uniform(0.62, 0.78)
        cover = outline_of(sketch, corners.astype(np.float32))
        soft = sketch.blurred(cover, 0.035)
        return cushion(
            sketch, sketch.inside((soft - 0.5) * 0.1), sketch.matte(CLEAR), sketch.uniform(0.2, 0.32)
        )

    return paint
