"""Whole scenes over one another, each flattened by itself, a strip of rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pellucid.rgba.blend_modes import BlendMode
from pellucid.rgba.compositing import Colour
from pellucid.rgba.strips import StripImage, sparse_zeros, strip_slices
from pellucid.rgba.types import AnyArray
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene


@dataclass(frozen=True)
class PlacedScene:
    """A scene that is laid over others as its flattened image."""

    scene: Scene
    name: str = "layer"
    offset: tuple[int, int] = (0, 0)
    opacity: float = 1.0
    blend_mode: BlendMode = "normal"

    def as_layer(self) -> Layer:
        """Flattens it to a layer."""
        layer = flatten_to_layer(self.scene, self.name)
        offset = (layer.offset[0] + self.offset[0], layer.offset[1] + self.offset[1])
        return replace(layer, offset=offset, opacity=self.opacity, blend_mode=self.blend_mode)


def stack_scenes(
    placed: Sequence[PlacedScene],
    size: tuple[int, int],
    background: Colour | None = None,
    *,
    linear: bool = False,
) -> StripImage:
    """Lays flattened scenes over one another, bottom first; no canvas is held as a whole.

    Args:
        placed: at least one.
        size: height and width of the canvas, pixels.
        background: as of `Scene.composite`.
        linear: as of `Scene.composite`; each scene by itself is mixed as it says.

    Raises:
        InputError: a background that is no colour; when the first strip is asked for.
    """
    return StripImage(*size, _stacked(placed, *size, background, linear))


def _stacked(
    placed: Sequence[PlacedScene], height: int, width: int, background: Colour | None, linear: bool
) -> Iterator[tuple[slice, AnyArray | None]]:
    sources = [_Rows(each.scene) for each in placed]
    # stands for what is clear, so that a single image is recognised, and kept to the byte
    clear = np.zeros((1, 1, 4), np.uint8)
    for span in strip_slices(height, width):
        layers: list[Layer] = []
        for each, source in zip(placed, sources, strict=True):
            top, left = each.offset
            start, strip = source.take(span.start - top, span.stop - top)
            image, place = (clear, 0) if strip is None else (strip, start + top - span.start)
            layers.append(
                Layer(image=image, offset=(place, left), opacity=each.opacity, blend_mode=each.blend_mode)
            )
        if background is None and all(layer.image is clear for layer in layers):
            yield span, None
            continue
        rows = span.stop - span.start
        laid = Scene(layers=tuple(layers), height=rows, width=width)
        yield from ((span, strip) for _, strip in laid.composite_strips(background, linear=linear, rows=rows))


class _Rows:
    """The rows of a flattened scene, from the top, in pieces that others choose."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._strips = scene.composite_strips()
        self._held: list[tuple[slice, AnyArray | None]] = []

    def take(self, start: int, stop: int) -> tuple[int, AnyArray | None]:
        """Returns the first of the rows in [start, stop), and these rows; None in place of clear ones."""
        start, stop = max(start, 0), min(stop, self._scene.height)
        if stop <= start:
            return 0, None
        while not self._held or self._held[-1][0].stop < stop:
            self._held.append(next(self._strips))
            self._held = [each for each in self._held if each[0].stop > start]
        self._held = [each for each in self._held if each[0].stop > start]
        met = [(span, strip) for span, strip in self._held if strip is not None and span.start < stop]
        if not met:
            return start, None
        part = np.zeros((stop - start, self._scene.width, 4), np.uint8)
        for span, strip in met:
            first, last = max(span.start, start), min(span.stop, stop)
            part[first - start : last - start] = strip[first - span.start : last - span.start]
        return start, part


def cover_of(scene: Scene) -> tuple[slice, slice]:
    """Returns rows and columns outside which nothing of a scene is seen; at least one pixel."""
    boxes = [
        (layer.offset[axis], layer.offset[axis] + layer.image.shape[axis])
        for axis in (0, 1)
        for layer in scene.layers
        if layer.visible
    ]
    half = len(boxes) // 2
    return _cover(boxes[:half], scene.height), _cover(boxes[half:], scene.width)


def _cover(spans: Sequence[tuple[int, int]], side: int) -> slice:
    start = min((start for start, _ in spans), default=0)
    stop = max((stop for _, stop in spans), default=1)
    start = min(max(start, 0), side - 1)
    return slice(start, max(min(stop, side), start + 1))


def flatten_to_layer(scene: Scene, name: str) -> Layer:
    """Flattens a scene to a layer of its size; of a large canvas to one of what is on it.

    What of a large layer is clear takes no memory.
    """
    if len(scene.layers) == 1 and scene.layers[0].fills(scene.height, scene.width):
        return Layer(image=scene.layers[0].image, name=name)
    image = StripImage(scene.height, scene.width, scene.composite_strips())
    if not image.is_large:
        return Layer(image=image.gather(), name=name)
    rows, columns = cover_of(scene)
    part = sparse_zeros(rows.stop - rows.start, columns.stop - columns.start)
    for span, strip in image.strips:
        met = slice(max(span.start, rows.start), min(span.stop, rows.stop))
        if strip is not None and met.start < met.stop:
            inner = strip[met.start - span.start : met.stop - span.start, columns]
            written = np.flatnonzero(inner.any(axis=(0, 2)))
            if len(written):
                seen = slice(int(written[0]), int(written[-1]) + 1)
                part[met.start - rows.start : met.stop - rows.start, seen] = inner[:, seen]
    return Layer(image=part, name=name, offset=(rows.start, columns.start))
