"""Channels of a PSD packed strip by strip: of large layers, and of the flattened image that it holds."""

from collections.abc import Callable

import numpy as np
from psd_tools.compression import compress
from psd_tools.constants import Compression
from psd_tools.psd.image_data import ImageData

from pellucid.files.blend_space import BlendSpace, in_levels
from pellucid.rgba.compositing import flatten
from pellucid.rgba.strips import StripImage, StripShrinker
from pellucid.rgba.types import RGBA8, AnyArray
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
    image = StripImage(scene.height, scene.width, scene.composite_strips()).shrinking_to(small)

    def planes_of(strip: RGBA8) -> list[AnyArray]:
        levels = strip if space is None else in_levels(strip, space)
        # readers take the white off again
        return [*np.moveaxis(flatten(levels, MATTE), -1, 0), levels[..., 3]]

    lengths, rows = _packed(image, planes_of)
    data = b"".join([*lengths, *(part for parts in rows for part in parts)])
    return ImageData(compression=Compression.RLE, data=data), small.image


def pack_channels(image: StripImage) -> list[bytes]:
    """Packs red, green, blue and alpha of a layer by runs, each with the lengths of its rows first."""
    lengths, rows = _packed(image, lambda strip: list(np.moveaxis(strip, -1, 0)))
    return [b"".join([counts, *parts]) for counts, parts in zip(lengths, rows, strict=True)]


def _packed(
    image: StripImage, planes_of: Callable[[RGBA8], list[AnyArray]]
) -> tuple[list[bytearray], list[list[bytes]]]:
    """Packs four channels: the lengths of the rows of each, and the rows, which follow in the format."""
    lengths, rows = [bytearray() for _ in range(4)], [list[bytes]() for _ in range(4)]
    clear: dict[int, list[bytes]] = {}
    for span, strip in image.strips:
        count = span.stop - span.start
        if strip is not None or count not in clear:
            whole = np.zeros((count, image.width, 4), np.uint8) if strip is None else strip
            planes = (np.ascontiguousarray(plane) for plane in planes_of(whole))
            packed = [compress(plane.tobytes(), Compression.RLE, image.width, count, 8) for plane in planes]
            if strip is None:
                clear[count] = packed
        else:
            packed = clear[count]
        for channel, content in enumerate(packed):
            lengths[channel] += content[: count * COUNT_BYTES]
            rows[channel].append(content[count * COUNT_BYTES :])
    return lengths, rows
