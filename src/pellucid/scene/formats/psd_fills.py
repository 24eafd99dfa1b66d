"""Fill layers of a PSD: a colour, a gradient or a pattern is painted, as large as the canvas.

Photoshop keeps no pixels of a fill, only what it is painted from. A colour is exact where it is of the
document's own kind, or Lab. Gradients and patterns are described nowhere, and neither is what light a colour
of a document of 32 bits has: what is painted of them counts only if it agrees with the file's own image.
"""

from typing import NamedTuple, cast

import numpy as np
from psd_tools import PSDDecompressionWarning, PSDImage
from psd_tools.api.layers import FillLayer, ShapeLayer
from psd_tools.api.layers import Layer as Entry
from psd_tools.api.numpy_io import get_pattern, get_pattern_color_channels
from psd_tools.constants import ColorMode, Tag
from psd_tools.psd.descriptor import Descriptor
from psd_tools.psd.patterns import Pattern
from psd_tools.terminology import Enum, Key, Klass

from pellucid.files.matrix_profiles import lab_to_srgb
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGBA8
from pellucid.scene.formats.psd_colours import LIGHT, Colours
from pellucid.scene.formats.psd_descriptors import NOTHING, OWN, colour_levels, colour_values, number
from pellucid.scene.formats.psd_gradients import Box, parse_gradient

KINDS = {
    Tag.SOLID_COLOR_SHEET_SETTING.value: "a colour",
    Tag.GRADIENT_FILL_SETTING.value: "a gradient",
    Tag.PATTERN_FILL_SETTING.value: "a pattern",
}
"""Keys of the blocks that fills are painted from."""
STRIP_PIXELS = 1 << 18
PHASE = b"phase"


class FillObstacle(NamedTuple):
    """Why a fill cannot be shown for certain."""

    words: str
    """The end of a sentence that begins with the layer's name."""
    may_be_drawn: bool
    """Whether it can be painted, and then has to be compared."""


def is_painted(entry: Entry) -> bool:
    """Says whether a layer is a fill of which no pixels are stored."""
    record = entry._record  # pyright: ignore[reportPrivateUsage]
    empty = record.right <= record.left or record.bottom <= record.top
    return empty and isinstance(entry, FillLayer | ShapeLayer) and any(key in KINDS for key in _keys(entry))


def fill_obstacle(entry: Entry) -> FillObstacle | None:
    """Says why a fill cannot be shown for certain; None where it can, and for other layers."""
    document = entry._psd  # pyright: ignore[reportPrivateUsage]
    mode, depth = document.color_mode, document.depth
    if not is_painted(entry):
        return None
    tag, kind = next((key, words) for key, words in KINDS.items() if key in _keys(entry))
    fill = entry.tagged_blocks.get_data(Tag(tag))
    if kind == "a gradient":
        known = isinstance(fill, Descriptor) and parse_gradient(fill, OWN.get(mode, ())) is not None
        return FillObstacle("is filled with a gradient, of which no pixels are stored", known)
    if kind != "a colour":
        known = isinstance(fill, Descriptor) and _pattern(entry, fill) is not None
        return FillObstacle(f"is filled with {kind}, of which no pixels are stored", known)
    colour = _colour(entry)
    known = colour is not None and colour.classID in (*OWN.get(mode, ()), Klass.LabColor)
    if known and depth != LIGHT:
        return None
    if known:
        return FillObstacle("is filled with a colour, which in 32 bits is light of unknown strength", True)
    words = f"is filled with a colour of another kind than the document's ({mode.name} of {depth} bits)"
    return FillObstacle(words, False)


def paint(entry: Entry, colours: Colours, height: int, width: int, box: Box) -> RGBA8:
    """Paints a fill, as large as asked.

    Args:
        entry: a fill without pixels.
        colours: what levels of its document mean.
        height: of the canvas, pixels.
        width: of the canvas, pixels.
        box: where the layer is seen, over which an aligned gradient is laid.

    Raises:
        ValueError, LookupError: the file is damaged.
    """
    blocks = entry.tagged_blocks
    gradient = blocks.get_data(Tag.GRADIENT_FILL_SETTING)
    if isinstance(gradient, Descriptor):
        return paint_gradient(gradient, colours, (0, 0, height, width), box)
    pattern = blocks.get_data(Tag.PATTERN_FILL_SETTING)
    if isinstance(pattern, Descriptor):
        return _tiled(entry, pattern, colours, height, width)
    colour = _colour(entry)
    if colour is None:
        raise ValueError("a fill without colour")
    return np.broadcast_to(paint_colour(colour, colours), (height, width, 4)).copy()


def paint_colour(colour: Descriptor, colours: Colours) -> RGBA8:
    """Converts a colour of the document's kind, or Lab, to one opaque pixel (1, 1, 4)."""
    opaque = np.ones((1, 1, 1))
    if colour.classID == Klass.LabColor:
        lab = colour_values(colour, Key.Luminance, Key.A, Key.B)
        return np.dstack([to_bytes(lab_to_srgb(lab)), to_bytes(opaque)])
    return colours.to_srgb(colour_levels(colour), opaque)


def paint_gradient(fill: Descriptor, colours: Colours, region: Box, box: Box) -> RGBA8:
    """Paints a region of the canvas, (top, left, bottom, right), with a gradient laid over a box."""
    gradient = parse_gradient(fill, OWN[colours.mode])
    if gradient is None:
        raise ValueError("a gradient of another kind")
    top, left, bottom, right = region
    result = np.empty((bottom - top, right - left, 4), np.uint8)
    rows = max(1, STRIP_PIXELS // (right - left))
    for first in range(top, bottom, rows):
        strip = slice(first, min(first + rows, bottom))
        levels = gradient.paint(box, strip, slice(left, right))
        result[first - top : strip.stop - top] = colours.to_srgb(levels[..., :-1], levels[..., -1:])
    return result


def _tiled(entry: Entry, fill: Descriptor, colours: Colours, height: int, width: int) -> RGBA8:
    """Paints a pattern, from the canvas's corner or what is said of its place."""
    found = _pattern(entry, fill)
    if found is None:
        raise ValueError("a pattern of another kind")
    try:
        tile, channels = get_pattern(found), get_pattern_color_channels(found)
    except PSDDecompressionWarning as warning:  # the reader makes errors of them
        raise ValueError("a pattern that cannot be unpacked") from warning
    alpha = tile[..., -1:] if tile.shape[2] > channels else np.ones_like(tile[..., :1])
    image = colours.to_srgb(tile[..., :channels], alpha)
    phase = fill.get(PHASE)
    known = phase if isinstance(phase, Descriptor) else NOTHING
    down = np.arange(height) - round(number(known, Key.Vertical, 0))
    aside = np.arange(width) - round(number(known, Key.Horizontal, 0))
    return image[np.ix_(down % image.shape[0], aside % image.shape[1])]


def _pattern(entry: Entry, fill: Descriptor) -> Pattern | None:
    """Finds the pattern of a fill; None where it is absent, turned, scaled or of other colours."""
    document = entry._psd  # pyright: ignore[reportPrivateUsage]
    said = fill.get(Enum.Pattern)
    identity = getattr(said.get(Key.ID), "value", "") if isinstance(said, Descriptor) else ""
    name = str(identity).rstrip("\0")
    found = cast(PSDImage, document)._get_pattern(name)  # pyright: ignore[reportPrivateUsage]
    straight = number(fill, Key.Scale, 100) == 100 and number(fill, Key.Angle, 0) == 0
    if not isinstance(found, Pattern) or not straight:
        return None
    own = found.image_mode is document.color_mode and document.depth != LIGHT
    return found if own and found.image_mode in (ColorMode.RGB, ColorMode.GRAYSCALE) else None


def _keys(entry: Entry) -> set[bytes]:
    return {bytes(tag) for tag in entry.tagged_blocks}


def _colour(entry: Entry) -> Descriptor | None:
    fill = entry.tagged_blocks.get_data(Tag.SOLID_COLOR_SHEET_SETTING)
    colour = fill.get(Key.Color) if isinstance(fill, Descriptor) else None
    return colour if isinstance(colour, Descriptor) else None
