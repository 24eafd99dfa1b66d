"""Values out of a descriptor of a PSD: numbers, enumerations, colours as levels of the document."""

import colorsys
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from psd_tools.constants import ColorMode
from psd_tools.psd.descriptor import Descriptor
from psd_tools.terminology import Key, Klass

from pellucid.rgba.types import AnyArray

OWN: dict[ColorMode, tuple[bytes, ...]] = {
    ColorMode.RGB: (Klass.RGBColor, Klass.HSBColor),
    ColorMode.GRAYSCALE: (Klass.Grayscale,),
    ColorMode.CMYK: (Klass.CMYKColor,),
    ColorMode.LAB: (),
}
"""Kinds of colours that are levels of a document of a mode. Lab means the same in every document."""


NOTHING: Mapping[bytes, Any] = {}
"""Stands for a descriptor that is not there."""


def number(values: Descriptor | Mapping[bytes, Any], key: bytes, otherwise: float) -> float:
    """Returns a number of a descriptor, or another where it has none.

    Raises:
        ValueError: it is infinite, or no number.
    """
    value = values.get(key)
    found = otherwise if value is None else float(value)
    if not math.isfinite(found):
        raise ValueError("a value that is no number")
    return found


def enumerated(values: Descriptor, key: bytes) -> bytes:
    """Returns which of several a descriptor says; empty where it says nothing."""
    return bytes(getattr(values.get(key), "enum", b""))


def colour_levels(colour: Descriptor) -> AnyArray:
    """Returns a colour as levels of a document of its own kind, float (1, 1, channels), [0, 1].

    Raises:
        ValueError, LookupError: the file is damaged.
    """
    return LEVELS[colour.classID](colour)


def colour_values(colour: Descriptor, *keys: bytes) -> AnyArray:
    """Returns numbers of a colour, float (1, 1, n).

    Raises:
        ValueError: one is infinite, or no number.
    """
    values = np.array([[[float(colour[key]) for key in keys]]])
    if not np.isfinite(values).all():
        raise ValueError("a colour that is no number")
    return values


def _rgb(colour: Descriptor) -> AnyArray:
    # of 32 bits too, where levels are light: measured on a real document
    return colour_values(colour, Key.Red, Key.Green, Key.Blue) / 255


def _hsb(colour: Descriptor) -> AnyArray:
    keys = Key.Hue, Key.Saturation, Key.Brightness
    hue, saturation, brightness = colour_values(colour, *keys)[0, 0].tolist()
    return np.array([[colorsys.hsv_to_rgb(hue / 360, saturation / 100, brightness / 100)]])


def _grey(colour: Descriptor) -> AnyArray:
    # stored as ink
    return 1 - colour_values(colour, Key.Gray) / 100


def _inks(colour: Descriptor) -> AnyArray:
    # levels of CMYK are what is left of the paper
    return 1 - colour_values(colour, Key.Cyan, Key.Magenta, Key.Yellow, Key.Black) / 100


LEVELS: dict[bytes, Callable[[Descriptor], AnyArray]] = {
    Klass.RGBColor.value: _rgb,
    Klass.HSBColor.value: _hsb,
    Klass.Grayscale.value: _grey,
    Klass.CMYKColor.value: _inks,
}
"""What turns each kind of colour into levels of the document, float (1, 1, channels), [0, 1]."""
