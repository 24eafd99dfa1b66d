"""The flattened image that a PSD holds for programs that do not know its layers, packed strip by strip."""

import numpy as np
from psd_tools.compression import compress
from psd_tools.constants import Compression
from psd_tools.psd.image_data import ImageData

from pellucid.files.blend_space import BlendSpace, in_levels
from pellucid.rgba.compositing import flatten
from pellucid.rgba.strips import StripShrinker
from pellucid.rgba.types import RGBA8
from pellucid.scene.scene import Scene

# White, as Photoshop writes it, and as ImageMagick and GIMP expect when they take it off again.
MATTE = "#ffffff"
COUNT_BYTES = 2
"""Of a packed row's length."""


def make_preview(scene: Scene, space: BlendSpace | None) -> tuple[ImageData, RGBA8]:
    """Flattens a scene.

    Args:
        scene: to flatten.
        space: whose levels the file holds; None is sRGB's.

    Returns:
        What the file holds, and a small version in sRGB for the thumbnail.
    """
    small = StripShrinker(scene.height, scene.width)
    lengths, rows = [bytearray() for _ in range(4)], [list[bytes]() for _ in range(4)]
    clear: dict[int, list[bytes]] = {}
    for span, strip in scene.composite_strips():
        count = span.stop - span.start
        if strip is None:
            if count not in clear:
                clear[count] = _packed(np.zeros((count, scene.width, 4), np.uint8))
            packed = clear[count]
        else:
            small.add(span.start, strip)
            packed = _packed(strip if space is None else in_levels(strip, space))
        for channel, content in enumerate(packed):
            # the format has the lengths of all rows first
            lengths[channel] += content[: count * COUNT_BYTES]
            rows[channel].append(content[count * COUNT_BYTES :])
    data = b"".join([*lengths, *(part for parts in rows for part in parts)])
    return ImageData(compression=Compression.RLE, data=data), small.image


def _packed(strip: RGBA8) -> list[bytes]:
    """Packs red, green, blue and alpha of a strip by runs, each with the lengths of its rows before them."""
    count, width = strip.shape[:2]
    # readers take the white off again
    planes = (*np.moveaxis(flatten(strip, MATTE), -1, 0), strip[..., 3])
    return [compress(plane.tobytes(), Compression.RLE, width, count, 8) for plane in planes]
