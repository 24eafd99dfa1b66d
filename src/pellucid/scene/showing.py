"""Scenes and layers as notebooks show them: a small picture on a checkerboard, and the layers beside it."""

import base64
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from pellucid.rgba.preview import on_checkerboard
from pellucid.rgba.resizing import shrunk
from pellucid.rgba.types import RGBA8, AnyArray

if TYPE_CHECKING:
    from pellucid.scene.layer import Layer
    from pellucid.scene.scene import Scene

SIDE_PX = 512
"""Longest side of a picture; of a layer's beside it, LAYER_PX."""
LAYER_PX = 48
CELL_PX = 8
LISTED = 24
"""Most layers that are listed; documents may have thousands."""


def preview(scene: "Scene", side_px: int = SIDE_PX) -> RGBA8:
    """Returns what is seen of a scene, shrunk by a whole number to at most `side_px`, strip by strip."""
    factor = -(-max(scene.height, scene.width) // side_px)
    if factor == 1:
        return scene.composite()
    small = np.zeros((-(-scene.height // factor), -(-scene.width // factor), 4), np.uint8)
    # whole numbers of small rows, so that none is mixed from two strips
    for rows, strip in scene.composite_strips(rows=factor * max(1, 64 // factor)):
        if strip is not None:
            part = shrunk(strip, factor)
            small[rows.start // factor :][: len(part)] = part
    return small


def png_of(rgba: AnyArray, side_px: int = SIDE_PX) -> bytes:
    """Encodes an image, uint8 (h, w, 4), on a checkerboard, shrunk to at most `side_px`, as a PNG."""
    from PIL import Image

    small = shrunk(rgba, -(-max(rgba.shape[:2]) // side_px))
    file = io.BytesIO()
    Image.fromarray(on_checkerboard(small, cell_px=CELL_PX)).save(file, "PNG")
    return file.getvalue()


def scene_html(scene: "Scene") -> str:
    """Returns a scene as HTML without scripts: its picture, and a row for each layer, top first."""
    shown = list(reversed(scene.layers))[:LISTED]
    rows = [_row(layer) for layer in shown]
    if len(scene.layers) > LISTED:
        rows.append(f"<tr><td></td><td>and {len(scene.layers) - LISTED} more</td></tr>")
    return (
        '<div style="display:flex;gap:1em;align-items:flex-start;flex-wrap:wrap">'
        f"{_image(png_of(preview(scene)), 'scene')}"
        f"<div><div>{scene.width} x {scene.height}</div><table>{''.join(rows)}</table></div></div>"
    )


def layer_html(layer: "Layer") -> str:
    """Returns a layer as HTML: its picture and what is known of it."""
    return f"<div>{_image(png_of(layer.image), layer.name)}<div>{_words(layer)}</div></div>"


def scene_text(scene: "Scene") -> str:
    """Returns a scene in a line, its layers top first."""
    names = ", ".join(repr(layer.name[:40]) for layer in list(reversed(scene.layers))[:4])
    more = f" and {len(scene.layers) - 4} more" if len(scene.layers) > 4 else ""
    layers = "1 layer" if len(scene.layers) == 1 else f"{len(scene.layers)} layers"
    return f"<Scene {scene.width} x {scene.height}, {layers}: {names}{more}>"


def layer_text(layer: "Layer") -> str:
    """Returns a layer in a line."""
    height, width = layer.image.shape[:2]
    return f"<Layer {layer.name[:40]!r}, {width} x {height}{''.join(', ' + each for each in _looks(layer))}>"


def _row(layer: "Layer") -> str:
    picture = _image(png_of(layer.image, LAYER_PX), layer.name)
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


def _image(png: bytes, name: str) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(name[:120])}" src="data:image/png;base64,{data}">'
