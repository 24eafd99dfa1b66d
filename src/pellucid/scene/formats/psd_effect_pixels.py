"""Effects of a PSD layer as pixels: overlays in its own image, all others as images below it.

How far a stroke lies is measured from the edge that each pixel's coverage tells, as psd-tools does. The
layer is not seen under a stroke, however thin that is painted. A shadow of size s and spread p is the shape
grown by s p, then averaged twice over s (1 - p) pixels each way. In a real document strokes and overlays
drawn so are within a level, and the shadow within 2 on 99.9 % of its pixels. A glow is cut at its range, and
both follow natural splines as contours, as in another document, as far as that can be told.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from pellucid.rgba.blend_modes import BlendMode, blend_colours
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.formats.psd_effects import BELOW, OUTER, Effect
from pellucid.scene.formats.psd_gradients import Box

FAR = 1e4
"""A distance beyond all strokes."""
TINY = 1e-6
STRIP_PIXELS = 1 << 18


class EffectImage(NamedTuple):
    """An effect that lies below its layer."""

    kind: str
    image: RGBA8
    shift: tuple[int, int]
    """Down and right of the layer's region, pixels."""
    mode: BlendMode


Painter = Callable[[Effect, Box], RGBA8]
"""Paints a part of the canvas, (top, left, bottom, right), with what an effect is drawn in."""


class Shape(NamedTuple):
    """What effects of a layer are measured from, on a region that has room for all."""

    alpha: AnyArray
    """float32 (h, w), what is seen of the layer without them."""
    distance: AnyArray
    """float32 (h, w), see `edge_distance`."""

    @classmethod
    def of(cls, alpha: AnyArray, effects: Sequence[Effect]) -> "Shape":
        """Measures a layer, as far as its effects need it."""
        widths = [max(abs(effect.band[0]), abs(effect.band[1]), effect.grown) for effect in effects]
        return cls(alpha, edge_distance(alpha, max(widths) + 1) if max(widths) > 0 else np.zeros_like(alpha))


def draw_below(
    shape: Shape, kept: AnyArray, effects: Sequence[Effect], paint: Painter, region: Box
) -> list[EffectImage]:
    """Draws shadows, glows and strokes, bottom first.

    Args:
        shape: of the layer.
        kept: float32 (h, w), what of the region the layer itself will cover, above the images.
        effects: as they are drawn.
        paint: gives their colours.
        region: where on the canvas the shape is.
    """
    found: list[EffectImage] = []
    for effect in effects:
        if effect.kind not in BELOW:
            continue
        cover = _stroke(shape, effect) if effect.kind == "stroke" else _soft(shape, effect)
        hidden, covered = (_moved(each, effect.shift) for each in (kept, shape.alpha))
        if effect.kind in OUTER and effect.conceals:
            cover = cover * (1 - covered)
        if effect.kind == "stroke" or effect.conceals:
            # the layer above hides some once more, so there is more of it below
            cover = np.minimum(cover / np.maximum(1 - hidden, TINY), 1)
        image = paint(effect, region).copy()
        image[..., 3] = to_bytes(cover * np.float32(effect.opacity) * to_float(image[..., 3], np.float32))
        found.append(EffectImage(effect.kind, image, effect.shift, effect.mode))
    return found


def knocked_out(shape: Shape, effects: Sequence[Effect]) -> AnyArray:
    """Returns what strokes leave of a layer's shape, float32 (h, w)."""
    left = shape.alpha
    for effect in effects:
        if effect.kind == "stroke":
            left = np.maximum(left - _inner_stroke(shape, effect), 0)
    return left


def draw_overlays(
    image: RGBA8, kept: AnyArray, fill: float, effects: Sequence[Effect], paint: Painter, region: Box
) -> RGBA8:
    """Draws overlays into a layer's image, whose alpha becomes what is seen of it.

    Args:
        image: uint8 (h, w, 4), on the region.
        kept: float32 (h, w), what is seen of it: its own alpha, times its masks, less its strokes.
        fill: the layer's fill opacity, which fades its own paint and no effect.
        effects: as they are drawn.
        paint: gives their colours.
        region: where on the canvas that is.
    """
    overlays = [effect for effect in effects if effect.kind not in BELOW]
    if not overlays:
        return np.dstack([image[..., :3], to_bytes(kept * np.float32(fill))])
    top, left, _, right = region
    rows = max(1, STRIP_PIXELS // (right - left))
    result = np.empty_like(image)
    for first in range(0, len(image), rows):
        part = slice(first, min(first + rows, len(image)))
        box = (top + part.start, left, top + part.stop, right)
        share = np.full((*kept[part].shape, 1), fill)
        premultiplied = to_float(image[part, :, :3], np.float64) * share
        for effect in overlays:
            painted = to_float(paint(effect, box), np.float64)
            cover, above = painted[..., 3:] * effect.opacity, painted[..., :3]
            if effect.mode != "normal":
                above = blend_colours(effect.mode, premultiplied / np.maximum(share, TINY), above)
            premultiplied = premultiplied * (1 - cover) + above * cover
            share = share * (1 - cover) + cover
        result[part, :, :3] = to_bytes(premultiplied / np.maximum(share, TINY))
        result[part, :, 3:] = to_bytes(kept[part][..., None] * share)
    return result


def _inner_stroke(shape: Shape, effect: Effect) -> AnyArray:
    """Returns the part of a stroke that lies inside a layer's edge, (h, w)."""
    low, high = effect.band
    if low >= 0:
        return np.zeros_like(shape.alpha)
    if high <= 0:
        return np.minimum(_stroke(shape, effect), shape.alpha)
    within, beyond = _band(shape.distance, low, 0), _band(shape.distance, 0, high)
    total = within + beyond
    share = np.divide(within, total, out=np.zeros_like(total), where=total > 0)
    return _stroke(shape, effect) * share


def _stroke(shape: Shape, effect: Effect) -> AnyArray:
    low, high = effect.band
    return _band(shape.distance, low, high) if high > low else np.zeros_like(shape.alpha)


def _band(distance: AnyArray, low: float, high: float) -> AnyArray:
    return np.clip(np.float32(high + 0.5) - distance, 0, 1) * np.clip(distance - np.float32(low - 0.5), 0, 1)


def _soft(shape: Shape, effect: Effect) -> AnyArray:
    """Returns how much of a shadow or glow is at each pixel, (h, w), where it has not been moved yet."""
    grown = effect.grown
    cover = np.clip(np.float32(grown + 0.5) - shape.distance, 0, 1) if grown > 0 else shape.alpha
    width = effect.size - grown
    strength = np.clip(_averaged(_averaged(cover, width), width) / np.float32(effect.range), 0, 1)
    if effect.contour is None:
        return strength
    places = np.linspace(0, 1, len(effect.contour))
    return np.interp(strength, places, effect.contour).astype(np.float32)


def _moved(plane: AnyArray, shift: tuple[int, int]) -> AnyArray:
    """Returns what of a plane lies under each pixel once that is moved; beyond the plane is nothing."""
    down, right = shift
    if not down and not right:
        return plane
    height, width = plane.shape
    moved = np.zeros_like(plane)
    rows, columns = _kept(down, height), _kept(right, width)
    moved[rows, columns] = plane[
        rows.start + down : rows.stop + down, columns.start + right : columns.stop + right
    ]
    return moved


def _kept(step: int, size: int) -> slice:
    """Returns the places of a row that are still within it a step further on."""
    return slice(min(max(0, -step), size), max(min(size, size - step), min(max(0, -step), size)))


def _averaged(cover: AnyArray, width: float) -> AnyArray:
    """Averages over a width in pixels, which may end within one, along rows and columns."""
    if width <= 1:
        return cover
    half = (width - 1) / 2
    whole = int(np.ceil(half))
    kernel = np.ones(2 * whole + 1, np.float32)
    kernel[0] = kernel[-1] = 1 - (whole - half)
    kernel /= kernel.sum()
    return cv2.sepFilter2D(cover, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)


def edge_distance(alpha: AnyArray, reach: float) -> AnyArray:
    """Returns how far each pixel's middle is from the edge of a shape, float32 (h, w), negative inside.

    A partly covered pixel tells where the edge runs through it: half a pixel less what is covered from its
    middle. All others take the nearest of these, or the step from covered to not.

    Args:
        alpha: float32 (h, w), [0, 1].
        reach: what is farther off need not be right.
    """
    partial = (alpha > 0) & (alpha < 1)
    steps = _step_distance(alpha)
    if not partial.any():
        return steps
    near = (0.5 - alpha).astype(np.float32)
    inside = alpha >= 1
    stated = np.where(inside, -_nearest(partial, -near, reach), _nearest(partial, near, reach))
    stated[partial] = near[partial]
    hard = (inside & _touches(alpha <= 0)) | ((alpha <= 0) & _touches(inside))
    if not hard.any():
        return stated
    to_partial, to_hard = _distance_to(partial), _distance_to(hard)
    return np.where(partial | (to_partial <= to_hard), stated, steps).astype(np.float32)


def _step_distance(alpha: AnyArray) -> AnyArray:
    inside = alpha >= 0.5
    if inside.all() or not inside.any():
        return np.full(alpha.shape, -FAR if inside.all() else FAR, np.float32)
    return np.where(inside, 0.5 - _distance_to(~inside), _distance_to(inside) - 0.5).astype(np.float32)


def _distance_to(seeds: AnyArray) -> AnyArray:
    return cv2.distanceTransform((~seeds).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _touches(pixels: AnyArray) -> AnyArray:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return cv2.dilate(pixels.astype(np.uint8), cross) > 0


def _nearest(seeds: AnyArray, offset: AnyArray, reach: float) -> AnyArray:
    """Returns the smallest of distance to a seed plus its offset, float32 (h, w); `FAR` beyond reach."""
    height, width = seeds.shape
    source = (~seeds).astype(np.uint8)
    far, labels = cv2.distanceTransformWithLabels(source, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(seeds)
    of_label = np.empty(len(rows) + 1, np.int64)
    of_label[np.asarray(labels[rows, columns], np.int64)] = np.arange(len(rows))
    down, aside = np.nonzero(far <= reach + 2)
    best = np.full(len(down), FAR, np.float32)
    # offsets span a pixel, so the nearest pixel need not win: those of the neighbours are tried as well
    for step, move in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)):
        beside = labels[np.clip(down + step, 0, height - 1), np.clip(aside + move, 0, width - 1)]
        seed = of_label[np.asarray(beside, np.int64)]
        distance = np.hypot(down - rows[seed], aside - columns[seed]) + offset[rows[seed], columns[seed]]
        best = np.minimum(best, distance)
    result = np.full(seeds.shape, FAR, np.float32)
    result[down, aside] = best
    return result
