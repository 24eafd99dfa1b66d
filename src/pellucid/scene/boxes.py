"""Layers that are made for a part of the canvas, and lie there."""

from collections.abc import Sequence
from dataclasses import replace

from pellucid.errors import InputError
from pellucid.rgba.types import AnyArray
from pellucid.scene.scene import Scene

# Rows first, as arrays are indexed; the command line's WxH+X+Y is turned into this where it is read.
Box = tuple[int, int, int, int]
"""(top, left, height, width) in pixels of the canvas, all of it inside."""


def crop(rgba: AnyArray, box: Sequence[int]) -> AnyArray:
    """Cuts the part of an image (h, w, 4) in a box.

    Raises:
        InputError: not four numbers, or not inside the image.
    """
    rows, columns = rgba.shape[:2]
    if len(box) != 4:
        raise InputError(
            f"Expected a box of top, left, height and width, found {tuple(box)}. Give four whole numbers."
        )
    top, left, height, width = box
    if min(top, left) < 0 or min(height, width) < 1 or top + height > rows or left + width > columns:
        raise InputError(
            f"Expected a box inside {rows} rows and {columns} columns, found {height} x {width} at "
            f"row {top}, column {left}. Make it smaller, or move it."
        )
    return rgba[top : top + height, left : left + width]


def paste_scene(scene: Scene, whole: AnyArray, box: Sequence[int]) -> Scene:
    """Moves a scene of a part into the whole: `whole` becomes its background, all else lies in the box."""
    top, left = box[0], box[1]
    layers = [
        replace(layer, image=whole) if layer.name == "background" else replace(layer, offset=(top, left))
        for layer in scene.layers
    ]
    references = [replace(reference, offset=(top, left)) for reference in scene.references]
    height, width = whole.shape[:2]
    return replace(scene, layers=tuple(layers), references=tuple(references), height=height, width=width)
