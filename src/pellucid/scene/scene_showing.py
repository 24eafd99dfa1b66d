"""Scenes as notebooks show them: a small picture on a checkerboard, and the layers beside it."""

from typing import TYPE_CHECKING

import numpy as np

from pellucid.rgba.resizing import shrunk
from pellucid.rgba.types import RGBA8
from pellucid.scene.showing import SIDE_PX, image_html, layer_row, png_of

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene

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


def scene_html(scene: "Scene") -> str:
    """Returns a scene as HTML without scripts: its picture, and a row for each layer, top first."""
    shown = list(reversed(scene.layers))[:LISTED]
    rows = [layer_row(layer) for layer in shown]
    if len(scene.layers) > LISTED:
        rows.append(f"<tr><td></td><td>and {len(scene.layers) - LISTED} more</td></tr>")
    return (
        '<div style="display:flex;gap:1em;align-items:flex-start;flex-wrap:wrap">'
        f"{image_html(png_of(preview(scene)), 'scene')}"
        f"<div><div>{scene.width} x {scene.height}</div><table>{''.join(rows)}</table></div></div>"
    )


def scene_text(scene: "Scene") -> str:
    """Returns a scene in a line, its layers top first."""
    names = ", ".join(repr(layer.name[:40]) for layer in list(reversed(scene.layers))[:4])
    more = f" and {len(scene.layers) - 4} more" if len(scene.layers) > 4 else ""
    layers = "1 layer" if len(scene.layers) == 1 else f"{len(scene.layers)} layers"
    return f"<Scene {scene.width} x {scene.height}, {layers}: {names}{more}>"
