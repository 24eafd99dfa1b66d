"""Layers as notebooks show them: a small picture on a checkerboard, and what is known of them."""

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from pellucid.rgba.preview import on_checkerboard
from pellucid.rgba.resizing import shrunk
from pellucid.rgba.types import AnyArray

if TYPE_CHECKING:
    from pellucid.scene.layer import Layer

SIDE_PX = 512
"""Longest side of a picture; of a layer's beside it, LAYER_PX."""
LAYER_PX = 48
CELL_PX = 8


def png_of(rgba: AnyArray, side_px: int = SIDE_PX) -> bytes:
    """Encodes an image, uint8 (h, w, 4), on a checkerboard, shrunk to at most `side_px`, as a PNG."""
    from PIL import Image

    small = shrunk(rgba, -(-max(rgba.shape[:2]) // side_px))
    file = io.BytesIO()
    Image.fromarray(on_checkerboard(small, cell_px=CELL_PX)).save(file, "PNG")
    return file.getvalue()


def layer_html(layer: "Layer") -> str:
    """Returns a layer as HTML: its picture and what is known of it."""
    return f"<div>{image_html(png_of(layer.image), layer.name)}<div>{_words(layer)}</div></div>"


def layer_text(layer: "Layer") -> str:
    """Returns a layer in a line."""
    height, width = layer.image.shape[:2]
    return f"<Layer {layer.name[:40]!r}, {width} x {height}{''.join(', ' + each for each in _looks(layer))}>"


def layer_row(layer: "Layer") -> str:
    """Returns a row of a table: the layer's picture, and what is known of it."""
    picture = image_html(png_of(layer.image, LAYER_PX), layer.name)
    return f'<tr><td>{picture}</td><td style="text-align:left">{_words(layer)}</td></tr>'


def _words(layer: "Layer") -> str:
    height, width = layer.image.shape[:2]
    name = " / ".join([*(group.name for group in layer.groups), layer.name])
    return f"<b>{escape(name[:120])}</b><br>{', '.join([f'{width} x {height}', *_looks(layer)])}"


def _looks(layer: "Layer") -> list[str]:
    """Returns what is unusual of a layer, and its place."""
    top, left = layer.offset
    told = [
        ((top, left) != (0, 0), f"at {left}, {top}"),
        (layer.opacity < 1, f"{layer.opacity:.0%}"),
        (layer.blend_mode != "normal", layer.blend_mode),
        (layer.clipped, "clipped"),
        (layer.mask is not None, "masked"),
        (not layer.visible, "hidden"),
    ]
    return [word for is_so, word in told if is_so]


def image_html(png: bytes, name: str) -> str:
    """Returns a PNG as an element of HTML that holds it."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(name[:120])}" src="data:image/png;base64,{data}">'
