"""Fill layers of a PSD: a colour is painted, as large as the canvas; gradients and patterns are refused.

Photoshop keeps no pixels of a fill, only what it is painted from. A colour is exact where it is of the
document's own kind, or Lab. How gradients are smoothed, and patterns placed and scaled, is described nowhere.
"""

import colorsys
from collections.abc import Callable

import numpy as np
from psd_tools.api.layers import FillLayer
from psd_tools.api.layers import Layer as Entry
from psd_tools.constants import ColorMode, Tag
from psd_tools.psd.descriptor import Descriptor
from psd_tools.terminology import Key, Klass

from pellucid.files.matrix_profiles import lab_to_srgb
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.formats.psd_colours import LIGHT, Colours

KINDS = {
    Tag.SOLID_COLOR_SHEET_SETTING.value: "a colour",
    Tag.GRADIENT_FILL_SETTING.value: "a gradient",
    Tag.PATTERN_FILL_SETTING.value: "a pattern",
}
"""Keys of the blocks that fills are painted from."""
OWN = {
    ColorMode.RGB: (Klass.RGBColor, Klass.HSBColor),
    ColorMode.GRAYSCALE: (Klass.Grayscale,),
    ColorMode.CMYK: (Klass.CMYKColor,),
    ColorMode.LAB: (),
}
"""Kinds of colours that are levels of a document of a mode. Lab means the same in every document."""


def is_painted(entry: Entry) -> bool:
    """Says whether a layer is a fill of which no pixels are stored."""
    record = entry._record  # pyright: ignore[reportPrivateUsage]
    return isinstance(entry, FillLayer) and (record.right <= record.left or record.bottom <= record.top)


def fill_obstacle(entry: FillLayer) -> str:
    """Says why a fill cannot be shown, as the end of a sentence; empty where it can."""
    document = entry._psd  # pyright: ignore[reportPrivateUsage]
    mode, depth = document.color_mode, document.depth
    if not is_painted(entry):
        return ""
    kind = next((words for key, words in KINDS.items() if key in _keys(entry)), "something")
    if kind != "a colour":
        return f"is filled with {kind}, of which no pixels are stored"
    colour = _colour(entry)
    known = colour is not None and colour.classID in (*OWN.get(mode, ()), Klass.LabColor)
    if not known or depth == LIGHT:
        return f"is filled with a colour of another kind than the document's ({mode.name} of {depth} bits)"
    return ""


def paint(entry: Entry, colours: Colours, height: int, width: int) -> RGBA8:
    """Paints a fill of one colour, as large as asked.

    Raises:
        ValueError: the file is damaged.
    """
    colour = _colour(entry)
    if colour is None:
        raise ValueError("a fill without colour")
    opaque = np.ones((1, 1, 1))
    if colour.classID == Klass.LabColor:
        lab = _values(colour, Key.Luminance, Key.A, Key.B)
        pixel = np.dstack([to_bytes(lab_to_srgb(lab)), to_bytes(opaque)])
    else:
        pixel = colours.to_srgb(LEVELS[colour.classID](colour), opaque)
    return np.broadcast_to(pixel, (height, width, 4)).copy()


def _keys(entry: Entry) -> set[bytes]:
    return {bytes(tag) for tag in entry.tagged_blocks}


def _colour(entry: Entry) -> Descriptor | None:
    fill = entry.tagged_blocks.get_data(Tag.SOLID_COLOR_SHEET_SETTING)
    colour = fill.get(Key.Color) if isinstance(fill, Descriptor) else None
    return colour if isinstance(colour, Descriptor) else None


def _values(colour: Descriptor, *keys: Key) -> AnyArray:
    """Returns numbers of a colour, float (1, 1, n)."""
    values = np.array([[[float(colour[key]) for key in keys]]])
    if not np.isfinite(values).all():
        raise ValueError("a colour that is no number")
    return values


def _rgb(colour: Descriptor) -> AnyArray:
    return _values(colour, Key.Red, Key.Green, Key.Blue) / 255


def _hsb(colour: Descriptor) -> AnyArray:
    hue, saturation, brightness = _values(colour, Key.Hue, Key.Saturation, Key.Brightness)[0, 0].tolist()
    return np.array([[colorsys.hsv_to_rgb(hue / 360, saturation / 100, brightness / 100)]])


def _grey(colour: Descriptor) -> AnyArray:
    # stored as ink
    return 1 - _values(colour, Key.Gray) / 100


def _inks(colour: Descriptor) -> AnyArray:
    # levels of CMYK are what is left of the paper
    return 1 - _values(colour, Key.Cyan, Key.Magenta, Key.Yellow, Key.Black) / 100


LEVELS: dict[bytes, Callable[[Descriptor], AnyArray]] = {
    Klass.RGBColor.value: _rgb,
    Klass.HSBColor.value: _hsb,
    Klass.Grayscale.value: _grey,
    Klass.CMYKColor.value: _inks,
}
"""What turns each kind of colour into levels of the document, float (1, 1, channels), [0, 1]."""
