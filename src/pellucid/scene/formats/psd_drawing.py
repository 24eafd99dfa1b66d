"""What a PSD says of a layer without storing its pixels, drawn: vector and soft masks, fills, effects.

What is drawn becomes plain pixels and masks of layers; effects outside a layer's edge become layers below it.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from psd_tools.api.layers import Layer as Entry
from psd_tools.psd.layer_and_mask import MaskParameters
from psd_tools.terminology import Key

from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.flatten import mask_values
from pellucid.scene.formats.psd_effect_pixels import Shape, draw_below, draw_overlays, knocked_out
from pellucid.scene.formats.psd_effects import OUTER, Effect
from pellucid.scene.formats.psd_features import Drawable, effects_of
from pellucid.scene.formats.psd_fills import is_painted, paint_colour, paint_gradient
from pellucid.scene.formats.psd_gradients import Box
from pellucid.scene.formats.psd_paths import Coverage, Edges, draw_paths
from pellucid.scene.formats.psd_pixels import StoredPixels
from pellucid.scene.layer import Layer, Mask

HALF = 0.5


@dataclass
class Drawing:
    """Draws for one document, and keeps account of where."""

    pixels: StoredPixels
    height: int
    width: int
    edges: Edges
    drawn: list[str] = field(default_factory=list[str])
    """Sentences without their full stop, each of a layer."""
    vectors: bool = False
    """Whether paths were among it, whose edges may be smoothed in another way."""
    smoothed: AnyArray | None = None
    """bool (height, width): pixels at edges that were smoothed, where programs differ."""

    def mask(self, entry: Entry, kinds: Collection[Drawable]) -> Mask | None:
        """Returns the mask of a layer or group with what is drawn of it, of painted fills without paths."""
        mask = self.pixels.mask(entry)
        if mask is not None and mask.enabled and "soft mask" in kinds:
            mask = self._softened(mask, _parameters(entry))
        if "vector mask" in kinds and not is_painted(entry):
            mask = self._joined(mask, self._coverage(entry))
        return mask

    def layer(self, entry: Entry, plain: Layer, kinds: Collection[Drawable], *, holds: bool) -> list[Layer]:
        """Returns a layer with what is drawn of it, below it the layers of its effects.

        Args:
            entry: it.
            plain: all of it but its image and place.
            kinds: what is to be drawn.
            holds: something is clipped to it.
        """
        coverage = self._coverage(entry) if "vector mask" in kinds and is_painted(entry) else None
        image = self.pixels.layer(entry, self._box(coverage, plain.mask))
        layer = replace(plain, image=image, offset=self.pixels.place(entry))
        if coverage is not None:
            layer = _cut(layer, coverage)
        if "effects" not in kinds:
            return [layer]
        effects = effects_of(entry, holds=holds)
        return self._with_effects(layer, effects or [], entry.opacity / 255, entry.fill_opacity / 255)

    def _coverage(self, entry: Entry) -> Coverage:
        self.vectors = True
        found = draw_paths(entry, self.height, self.width, self.edges)
        self.pixels.pixel_limit.spend(*found.levels.shape)
        parameters = _parameters(entry)
        density, feather = None, None
        if parameters is not None:
            density, feather = parameters.vector_mask_density, parameters.vector_mask_feather
        if density is not None or feather:
            mask = Mask(image=found.levels, offset=(found.top, found.left), outside=found.outside)
            mask = self._faded(mask, density, feather)
            return Coverage(mask.image, *mask.offset, mask.outside)
        self._smooth(found.levels, found.top, found.left)
        return found

    def _softened(self, mask: Mask, parameters: MaskParameters | None) -> Mask:
        if parameters is None:
            return mask
        return self._faded(mask, parameters.user_mask_density, parameters.user_mask_feather)

    def _faded(self, mask: Mask, density: int | None, feather: float | None) -> Mask:
        """Returns a mask as large as the canvas, blurred and then thinned."""
        reach = min(int(3 * (feather or 0)) + 1, 1000)
        levels = mask_values(mask, -reach, -reach, self.height + 2 * reach, self.width + 2 * reach)
        if feather:
            levels = cv2.GaussianBlur(levels, (0, 0), float(feather))
        share = (255 if density is None else density) / 255
        thinned = np.rint(255 - (255 - levels[reach:-reach, reach:-reach].astype(np.float32)) * share)
        return Mask(image=thinned.astype(np.uint8), outside=round(255 - (255 - mask.outside) * share))

    def _joined(self, mask: Mask | None, coverage: Coverage) -> Mask:
        """Returns the mask that hides what either hides."""
        own = Mask(image=coverage.levels, offset=(coverage.top, coverage.left), outside=coverage.outside)
        if mask is None or not mask.enabled:
            return own
        size = (0, 0, self.height, self.width)
        product = mask_values(own, *size).astype(np.uint16) * mask_values(mask, *size)
        outside = round(own.outside * mask.outside / 255)
        return Mask(image=((product + 127) // 255).astype(np.uint8), outside=outside)

    def _box(self, coverage: Coverage | None, mask: Mask | None) -> Box:
        """Returns where a fill is seen, as far as its path or its mask says."""
        if coverage is not None and coverage.outside == 0:
            levels, top, left = coverage.levels, coverage.top, coverage.left
        elif mask is not None and mask.enabled and mask.outside == 0:
            levels, (top, left) = mask.image, mask.offset
        else:
            return (0, 0, self.height, self.width)
        rows, columns = np.flatnonzero(levels.any(axis=1)), np.flatnonzero(levels.any(axis=0))
        if not len(rows):
            return (0, 0, self.height, self.width)
        down, aside = (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
        return (top + down[0], left + aside[0], top + down[1], left + aside[1])

    def _smooth(self, levels: AnyArray, top: int, left: int) -> None:
        """Notes the partly covered pixels of an edge, and those beside them."""
        if self.smoothed is None:
            self.smoothed = np.zeros((self.height, self.width), bool)
        partial = ((levels > 0) & (levels < 255)).astype(np.uint8)
        own = Mask(image=partial, offset=(top, left))
        wide = cv2.dilate(mask_values(own, 0, 0, self.height, self.width), np.ones((3, 3), np.uint8))
        self.smoothed |= wide > 0

    def _with_effects(self, layer: Layer, effects: list[Effect], opacity: float, fill: float) -> list[Layer]:
        reach = max((effect.reach for effect in effects), default=0)
        height, width = layer.image.shape[:2]
        (top, left), (tall, wide) = layer.offset, (height + 2 * reach, width + 2 * reach)
        self.pixels.pixel_limit.spend(tall, wide)
        region = (top - reach, left - reach, top - reach + tall, left - reach + wide)
        alpha = np.zeros((tall, wide), np.float32)
        alpha[reach : reach + height, reach : reach + width] = to_float(layer.image[..., 3], np.float32)
        mask = layer.enabled_mask
        if mask is not None:
            alpha *= to_float(mask_values(mask, region[0], region[1], tall, wide), np.float32)
        box = _solid_box(alpha, region)

        def paint(effect: Effect, part: Box) -> RGBA8:
            return self._paint(effect, part, box)

        self._smooth(to_bytes(alpha), region[0], region[1])
        shape = Shape.of(alpha, effects)
        remaining = knocked_out(shape, effects)
        image = np.zeros((tall, wide, 4), np.uint8)
        inner = np.s_[reach : reach + height, reach : reach + width]
        image[inner] = layer.image
        image = draw_overlays(image, remaining, fill, effects, paint, region)
        kept = to_float(image[..., 3], np.float32) * opacity
        below: list[Layer] = []
        for found in draw_below(shape, kept, effects, paint, region):
            place = (region[0] + found.shift[0], region[1] + found.shift[1])
            if found.kind == "stroke":
                self._smooth(found.image[..., 3], *place)
            # what fades the layer's own paint fades no effect
            own = replace(layer, image=found.image, offset=place, mask=None, opacity=opacity)
            below.append(
                replace(own, name=f"{layer.name}: {found.kind}", blend_mode=found.mode, provenance=None)
            )
        if all(effect.kind in OUTER for effect in effects):
            return [*below, layer]
        return [*below, replace(layer, image=image[inner].copy(), mask=None, opacity=opacity)]

    def _paint(self, effect: Effect, part: Box, box: Box) -> RGBA8:
        """Paints a part of the canvas with what an effect is drawn in."""
        colours = self.pixels.colours
        if effect.kind == "gradient overlay":
            return paint_gradient(effect.paint, colours, part, box)
        top, left, bottom, right = part
        return np.broadcast_to(
            paint_colour(effect.paint[Key.Color], colours), (bottom - top, right - left, 4)
        )


def _solid_box(alpha: AnyArray, region: Box) -> Box:
    """Returns where a gradient overlay is laid: between the first and the last pixels half covered."""
    rows, columns = (np.flatnonzero((alpha >= HALF).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return region
    top, left = region[:2]
    return (top + int(rows[0]), left + int(columns[0]), top + int(rows[-1]), left + int(columns[-1]))


def _parameters(entry: Entry) -> MaskParameters | None:
    return None if entry.mask is None else entry.mask.parameters


def _cut(layer: Layer, coverage: Coverage) -> Layer:
    """Returns a fill cut to what a path covers, with its coverage as alpha."""
    image, (height, width) = layer.image, layer.image.shape[:2]
    if coverage.outside:
        own = Mask(image=coverage.levels, offset=(coverage.top, coverage.left), outside=coverage.outside)
        levels, place = mask_values(own, 0, 0, height, width), (0, 0)
    else:
        levels, place = coverage.levels, (coverage.top, coverage.left)
    rows, columns = (slice(start, start + size) for start, size in zip(place, levels.shape, strict=True))
    image = image[rows, columns].copy()
    image[..., 3] = (image[..., 3].astype(np.uint16) * levels + 127) // 255
    return replace(layer, image=image, offset=place)
