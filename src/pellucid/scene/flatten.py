"""A stack of layers to one image: *over*, in float64, rounded once at the end, a strip of rows at a time."""

from collections.abc import Sequence

import numpy as np

from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.srgb import decode_srgb, encode_srgb
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.layer import GroupNode, Layer, layer_tree

STRIP_PIXELS = 1 << 19
"""Of a strip: at some 160 bytes a pixel in double precision, 80 MB whatever the canvas."""


def flatten_layers(
    layers: Sequence[Layer], height: int, width: int, *, background: RGBA8 | None = None, linear: bool = False
) -> RGBA8:
    """Composites the visible layers *over* one another, bottom first: uint8 (height, width, 4).

    A group's layers are laid together first, then the result, times the group's opacity, over what is
    below; at opacity 1 that is the same as without the group, since *over* is associative.

    Args:
        layers: bottom first.
        height: of the canvas, pixels.
        width: of the canvas, pixels.
        background: uint8 (height, width, 4), straight; None is clear.
        linear: mix in linear light instead of on sRGB-encoded values.

    Source: Porter & Duff 1984, section 4.3.
    """
    visible = [layer for layer in layers if all(node.visible for node in (layer, *layer.groups))]
    if background is None and len(visible) == 1 and visible[0].fills(height, width):
        return visible[0].image.copy()  # to the byte, colour under alpha 0 included
    below = [] if background is None else [Layer(image=background)]
    nodes = [*below, *layer_tree(visible)]
    result = np.zeros((height, width, 4), np.uint8)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = _strip(nodes, top, min(rows, height - top), width, linear=linear)
        if strip is not None:
            result[top : top + rows] = strip
    return result


def _strip(
    nodes: Sequence[Layer | GroupNode], top: int, rows: int, width: int, *, linear: bool
) -> RGBA8 | None:
    """Composites rows of a canvas; None where nothing lies on them."""
    # premultiplied and in double precision until the end: rounding after each layer would add up
    canvas = np.zeros((rows, width, 4))
    if not _lay_all(canvas, nodes, top, linear=linear):
        return None
    alpha = canvas[..., 3:]
    rgb = canvas[..., :3] / np.where(alpha > 0, alpha, 1)
    # halves up, so that two layers give to the bit what `over` gives in whole numbers
    return to_bytes(np.concatenate([encode_srgb(rgb) if linear else rgb, alpha], axis=-1), ties_up=True)


def _lay_all(canvas: AnyArray, nodes: Sequence[Layer | GroupNode], first: int, *, linear: bool) -> bool:
    """Lays nodes over a strip that begins at row `first`; tells whether any of them meets it."""
    met = False
    for node in nodes:
        if isinstance(node, Layer):
            met |= _lay(canvas, node, first, linear=linear)
        elif node.group.opacity == 1:
            # *over* is associative, so at full opacity the group makes no difference
            met |= _lay_all(canvas, node.children, first, linear=linear)
        else:
            part = np.zeros_like(canvas)
            if _lay_all(part, node.children, first, linear=linear):
                part *= node.group.opacity
                canvas *= 1 - part[..., 3:]
                canvas += part
                met = True
    return met


def _lay(canvas: AnyArray, layer: Layer, first: int, *, linear: bool) -> bool:
    """Lays `layer` over a premultiplied float strip, in place; tells whether they meet."""
    image, (top, left) = layer.image, (layer.offset[0] - first, layer.offset[1])
    rows = slice(max(top, 0), max(min(top + image.shape[0], canvas.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + image.shape[1], canvas.shape[1]), 0))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return False
    part = to_float(
        image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left], np.float64
    )
    alpha = part[..., 3:] * layer.opacity
    rgb = decode_srgb(part[..., :3]) if linear else part[..., :3]
    region = canvas[rows, columns]
    region *= 1 - alpha
    region[..., :3] += rgb * alpha
    region[..., 3:] += alpha
    return True
