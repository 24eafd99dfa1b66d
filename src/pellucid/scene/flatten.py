"""A stack of layers to one image: in float64, rounded once at the end, a strip of rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pellucid.files.blend_space import BlendSpace
from pellucid.rgba.blend_modes import EVERYWHERE, OPERATORS, BlendMode, blend_colours
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.srgb import decode_srgb, encode_srgb
from pellucid.rgba.strips import strip_slices
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.layer import (
    Group,
    GroupNode,
    Layer,
    Mask,
    clipping_runs,
    facts,
    layer_tree,
    lies_over,
)


@dataclass(slots=True)
class _Paint:
    """What a layer or group brings to a part of a strip."""

    rows: slice
    columns: slice
    premultiplied: AnyArray
    """float64 (h, w, 4), or (h, w, 1) of alpha alone."""


def flatten_layers(
    layers: Sequence[Layer],
    height: int,
    width: int,
    *,
    background: RGBA8 | None = None,
    linear: bool = False,
    space: BlendSpace | None = None,
) -> RGBA8:
    """Composites the visible layers, bottom first: uint8 (height, width, 4).

    The layers make an image by themselves, and that is laid over the background: a blend mode does not
    see it, as in programs whose canvas is transparent.

    Args:
        layers: bottom first.
        height: of the canvas, pixels.
        width: of the canvas, pixels.
        background: uint8 (height, width, 4), straight; None is clear.
        linear: mix in linear light instead of on sRGB-encoded values; what a blend mode makes of two colours
            is still computed on encoded values.
        space: whose levels are mixed instead of sRGB's; not with `linear`.

    Source: Porter & Duff 1984, section 4.3; W3C, "Compositing and Blending Level 1"; for clipping and groups
        that pass through, Photoshop.
    """
    result = np.zeros((height, width, 4), np.uint8)
    for rows, strip in flatten_strips(
        layers, height, width, background=background, linear=linear, space=space
    ):
        if strip is not None:
            result[rows] = strip
    return result


def flatten_strips(
    layers: Sequence[Layer],
    height: int,
    width: int,
    *,
    background: RGBA8 | None = None,
    linear: bool = False,
    space: BlendSpace | None = None,
    step: int | None = None,
) -> Iterator[tuple[slice, RGBA8 | None]]:
    """Yields what `flatten_layers` returns by strips, so that the canvas need not fit into memory.

    Takes its arguments, and `step`, the rows of a strip.

    Yields:
        The rows of a strip, and the strip, uint8 (rows, width, 4); None in place of clear ones.
    """
    if background is None and len(layers) == 1 and layers[0].fills(height, width):
        # to the byte, colour under alpha 0 included
        yield from ((rows, layers[0].image[rows]) for rows in strip_slices(height, width, step))
        return
    nodes = layer_tree(layers)
    if background is not None:
        nodes = (Layer(image=background), GroupNode(Group(), nodes))
    compositor = _Compositor(linear=linear, space=space)
    for rows, canvas in compositor.strips(nodes, height, width, step):
        yield rows, None if canvas is None else compositor.to_bytes(canvas)


def alpha_histogram(layers: Sequence[Layer], height: int, width: int) -> Int64[np.ndarray, "256"]:
    """Counts the pixels of each alpha level in what `flatten_layers` returns, without its colours."""
    compositor, counts = _Compositor(alpha_only=True), np.zeros(256, np.int64)
    for _, canvas in compositor.strips(layer_tree(layers), height, width):
        if canvas is not None:
            counts += np.bincount(compositor.to_bytes(canvas).reshape(-1), minlength=256)
    counts[0] += height * width - counts.sum()
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compositor:
    """Works on arrays whose last channel is alpha; the others are colour, of which `alpha_only` has none."""

    linear: bool = False
    alpha_only: bool = False
    space: BlendSpace | None = None

    def strips(
        self, nodes: Sequence[Layer | GroupNode], height: int, width: int, step: int | None = None
    ) -> Iterator[tuple[slice, AnyArray | None]]:
        """Yields the rows of each strip, and the strip, premultiplied; None where nothing lies."""
        for rows in strip_slices(height, width, step):
            # in double precision until the end: rounding after each layer would add up
            canvas = np.zeros((rows.stop - rows.start, width, 1 if self.alpha_only else 4))
            yield rows, canvas if self.lay_all(canvas, nodes, rows.start) else None

    def to_bytes(self, canvas: AnyArray) -> AnyArray:
        """Rounds a premultiplied strip to straight bytes."""
        colour = self._encoded(_straight(canvas))
        if self.space is not None:
            colour = self.space.to_srgb(colour)
        straight = np.concatenate([colour, canvas[..., -1:]], axis=-1)
        # halves up, so that two layers give to the bit what `over` gives in whole numbers
        return to_bytes(straight, ties_up=True)

    def lay_all(self, canvas: AnyArray, nodes: Sequence[Layer | GroupNode], first: int) -> bool:
        """Lays nodes over a premultiplied strip that begins at row `first`; tells whether any meets it."""
        met = False
        for base, clipped in clipping_runs(nodes):
            shown = facts(base)
            if not shown.visible:
                continue  # and with it what is clipped to it
            if isinstance(base, GroupNode) and not clipped and _passes(base):
                met |= self._pass_through(canvas, base, first)
                continue
            paint = self._paint(base, canvas.shape, first)
            if paint is not None:
                self._clip(paint, clipped, canvas.shape, first)
                self._mix(canvas[paint.rows, paint.columns], paint.premultiplied, _mode(shown))
                met = True
        return met

    def _pass_through(self, canvas: AnyArray, node: GroupNode, first: int) -> bool:
        """Lays what is in a group over the canvas itself, as far as opacity and mask of the group let it."""
        group = node.group
        if group.opacity == 1 and group.enabled_mask is None:
            return self.lay_all(canvas, node.children, first)
        with_group = canvas.copy()
        if not self.lay_all(with_group, node.children, first):
            return False
        whole = (slice(0, canvas.shape[0]), slice(0, canvas.shape[1]))
        canvas += (with_group - canvas) * _shares(group, *whole, first)
        return True

    def _paint(self, node: Layer | GroupNode, shape: tuple[int, ...], first: int) -> _Paint | None:
        """Returns what a node brings to a strip, times opacity and mask; None where it brings nothing."""
        if isinstance(node, Layer):
            return self._layer_paint(node, shape, first)
        part = np.zeros(shape)
        if not self.lay_all(part, node.children, first) and _mode(node.group) not in EVERYWHERE:
            return None
        rows, columns = slice(0, shape[0]), slice(0, shape[1])
        part *= _shares(node.group, rows, columns, first)
        return _Paint(rows, columns, part)

    def _layer_paint(self, layer: Layer, shape: tuple[int, ...], first: int) -> _Paint | None:
        image, (top, left) = layer.image, (layer.offset[0] - first, layer.offset[1])
        rows, columns = _meet(top, image.shape[0], shape[0]), _meet(left, image.shape[1], shape[1])
        met = image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        seen = _seen_part(met[..., 3])
        if seen is None and layer.blend_mode not in EVERYWHERE:
            return None
        if seen is not None:
            met, rows, columns = met[seen], _within(rows, seen[0]), _within(columns, seen[1])
        part = to_float(met[..., 3:] if self.alpha_only else met, np.float64)
        part[..., -1:] *= _shares(layer, rows, columns, first)
        if self.linear:
            part[..., :-1] = decode_srgb(part[..., :-1])
        elif self.space is not None:
            part[..., :-1] = self.space.from_srgb(part[..., :-1])
        part[..., :-1] *= part[..., -1:]
        if layer.blend_mode not in EVERYWHERE:
            return _Paint(rows, columns, part)
        whole = np.zeros(shape)
        whole[rows, columns] = part
        return _Paint(slice(0, shape[0]), slice(0, shape[1]), whole)

    def _clip(
        self, base: _Paint, clipped: Sequence[Layer | GroupNode], shape: tuple[int, ...], first: int
    ) -> None:
        """Recolours what a node brings by the nodes that are clipped to it; where it is stays as it was."""
        shown = [node for node in clipped if facts(node).visible]
        if not shown:
            return
        # as if the base were opaque: its alpha says where the result is, not how it is mixed
        opaque = np.ones(shape)
        opaque[base.rows, base.columns, :-1] = _straight(base.premultiplied)
        for node in shown:
            paint = self._paint(node, shape, first)
            if paint is not None:
                self._mix(
                    opaque[paint.rows, paint.columns], paint.premultiplied, _mode(facts(node)), atop=True
                )
        colour = opaque[base.rows, base.columns, :-1]
        base.premultiplied[..., :-1] = colour * base.premultiplied[..., -1:]

    def _mix(self, below: AnyArray, above: AnyArray, mode: BlendMode, *, atop: bool = False) -> None:
        """Lays a premultiplied part over another, in place; `atop` keeps the alpha below, which is 1."""
        if mode in OPERATORS or self.alpha_only:  # what blends by its colour covers as normal does
            mixed = OPERATORS.get(mode, OPERATORS["normal"])(below, above)
        else:
            alpha, backdrop = above[..., -1:], below[..., -1:]
            colours = self._encoded(_straight(below)), self._encoded(_straight(above))
            blended = self._decoded(blend_colours(mode, *colours))
            mixed = below * (1 - alpha) + above
            # where both are, the layer's own colour gives way to what the two make
            mixed[..., :-1] += alpha * backdrop * blended - backdrop * above[..., :-1]
        below[...] = mixed
        if atop:
            below[..., -1] = 1

    def _encoded(self, colour: AnyArray) -> AnyArray:
        return encode_srgb(colour) if self.linear else colour

    def _decoded(self, colour: AnyArray) -> AnyArray:
        return decode_srgb(colour) if self.linear else colour


def _passes(node: GroupNode) -> bool:
    """Says whether what is in a group may be laid over what is below it, one by one."""
    if node.group.blend_mode == "pass_through":
        return True
    # a group that is seen as it is makes no difference
    return (
        lies_over(node)
        and node.group.opacity == 1
        and node.group.enabled_mask is None
        and node.children_lie_over
    )


def _mode(shown: Layer | Group) -> BlendMode:
    """Returns the mode in which paint is laid; a group that cannot pass through is isolated."""
    return "normal" if shown.blend_mode == "pass_through" else shown.blend_mode


def _straight(premultiplied: AnyArray) -> AnyArray:
    alpha = premultiplied[..., -1:]
    return premultiplied[..., :-1] / np.where(alpha > 0, alpha, 1)


def _meet(start: int, size: int, length: int) -> slice:
    """Returns the part of [0, length) that [start, start + size) covers; empty where they do not meet."""
    begin = min(max(start, 0), length)
    return slice(begin, max(min(start + size, length), begin))


def _seen_part(alpha: AnyArray) -> tuple[slice, slice] | None:
    """Returns the rows and columns in which some alpha is above 0; None if there are none."""
    rows, columns = (np.flatnonzero(alpha.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _within(whole: slice, part: slice) -> slice:
    return slice(whole.start + part.start, whole.start + part.stop)


def mask_values(mask: Mask, top: int, left: int, height: int, width: int) -> AnyArray:
    """Returns a mask on a part of the canvas, as uint8 (height, width)."""
    values = np.full((height, width), mask.outside, np.uint8)
    down, right = mask.offset[0] - top, mask.offset[1] - left
    rows, columns = _meet(down, mask.image.shape[0], height), _meet(right, mask.image.shape[1], width)
    values[rows, columns] = mask.image[
        rows.start - down : rows.stop - down, columns.start - right : columns.stop - right
    ]
    return values


def _shares(shown: Layer | Group, rows: slice, columns: slice, first: int) -> AnyArray | float:
    """Returns what opacity and mask of a node leave of its alpha, (h, w, 1) or one number, [0, 1]."""
    mask = shown.enabled_mask
    if mask is None:
        return shown.opacity
    size = rows.stop - rows.start, columns.stop - columns.start
    values = mask_values(mask, first + rows.start, columns.start, *size)
    return shown.opacity * to_float(values[..., None], np.float64)
