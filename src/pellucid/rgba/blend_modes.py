"""Blend modes of layers: what a colour becomes where it lies on another, and how both cover.

A mode is either a function of two colours, mixed by alpha as *over* mixes (`BLEND_FUNCTIONS`), or an operator
on what both cover (`OPERATORS`). Colours are sRGB-encoded floats in [0, 1], as the painting programs blend.

Source: W3C, "Compositing and Blending Level 1", sections 9 and 10, for all modes that it has. Those that
Photoshop has beside are sums, thresholds and mixtures of them; at the limits (0 / 0, a sum of exactly 1) they
go as its users have measured it to go, which psd-tools' issue 189 collects.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float

Colour = Float[np.ndarray, "*pixels 3"]
Number = Float[np.ndarray, "*pixels 1"]
Premultiplied = Float[np.ndarray, "*pixels channels"]

BlendMode = Literal[
    "normal",
    "darken",
    "multiply",
    "color_burn",
    "linear_burn",
    "darker_color",
    "lighten",
    "screen",
    "color_dodge",
    "linear_dodge",
    "lighter_color",
    "overlay",
    "soft_light",
    "hard_light",
    "vivid_light",
    "linear_light",
    "pin_light",
    "hard_mix",
    "difference",
    "exclusion",
    "subtract",
    "divide",
    "hue",
    "saturation",
    "color",
    "luminosity",
    "plus",
    "source_atop",
    "destination_in",
    "destination_out",
    "destination_atop",
]
"""Photoshop's modes in its order and by its names, then the operators of OpenRaster."""

LUMINANCE = np.array([0.3, 0.59, 0.11])
"""Weights of red, green and blue in the modes that keep or take a luminosity."""


def blend_colours(mode: BlendMode, below: Colour, above: Colour) -> Colour:
    """Returns the colour that `above` makes of `below` where both are opaque; values in [0, 1].

    Args:
        mode: one of `BLEND_FUNCTIONS`.
        below: of the backdrop.
        above: of the layer.
    """
    return np.clip(BLEND_FUNCTIONS[mode](below, above), 0, 1)


def _ratio(numerator: Colour, denominator: Colour) -> Colour:
    """Divides; a zero below the line gives 1, and 0 / 0 gives 0."""
    quotient = numerator / np.where(denominator > 0, denominator, 1)
    return np.minimum(np.where(denominator > 0, quotient, numerator > 0), 1)


def _color_dodge(below: Colour, above: Colour) -> Colour:
    return _ratio(below, 1 - above)


def _color_burn(below: Colour, above: Colour) -> Colour:
    return 1 - _ratio(1 - below, above)


def _hard_light(below: Colour, above: Colour) -> Colour:
    doubled = 2 * above
    return np.where(above <= 0.5, below * doubled, below + doubled - 1 - below * (doubled - 1))


def _soft_light(below: Colour, above: Colour) -> Colour:
    lifted = np.where(below <= 0.25, ((16 * below - 12) * below + 4) * below, np.sqrt(below))
    darker = below - (1 - 2 * above) * below * (1 - below)
    return np.where(above <= 0.5, darker, below + (2 * above - 1) * (lifted - below))


def _vivid_light(below: Colour, above: Colour) -> Colour:
    mixed = np.where(
        above <= 0.5,
        _color_burn(below, np.minimum(2 * above, 1)),
        _ratio(below, np.minimum(2 - 2 * above, 1)),
    )
    # here the layer's extremes win over the backdrop's, unlike in burn and dodge
    return np.where(above <= 0, 0, np.where(above >= 1, 1, mixed))


def _pin_light(below: Colour, above: Colour) -> Colour:
    return np.where(above <= 0.5, np.minimum(below, 2 * above), np.maximum(below, 2 * above - 1))


def _hard_mix(below: Colour, above: Colour) -> Colour:
    total = below + above
    return ((total > 1) | ((total == 1) & (below > 0.5))).astype(below.dtype)


def _luminance(colour: Colour) -> Number:
    return (colour @ LUMINANCE)[..., None]


def _spread(colour: Colour) -> Number:
    return colour.max(axis=-1, keepdims=True) - colour.min(axis=-1, keepdims=True)


def _with_luminance(colour: Colour, luminance: Number) -> Colour:
    """Shifts a colour to a luminance, and draws it towards grey as far as it takes to stay in range."""
    shifted = colour + (luminance - _luminance(colour))
    low, high = shifted.min(axis=-1, keepdims=True), shifted.max(axis=-1, keepdims=True)
    grey = luminance
    # a share of the way from grey; at a luminance of 0 or 1 nothing but grey is in range
    below = np.where(low < 0, grey / np.where(low < 0, grey - low, 1), 1)
    above = np.where(high > 1, (1 - grey) / np.where(high > 1, high - grey, 1), 1)
    return grey + (shifted - grey) * np.minimum(below, above)


def _with_saturation(colour: Colour, spread: Number) -> Colour:
    own = _spread(colour)
    return np.where(own > 0, (colour - colour.min(axis=-1, keepdims=True)) * spread, 0) / np.where(
        own > 0, own, 1
    )


def _hue(below: Colour, above: Colour) -> Colour:
    return _with_luminance(_with_saturation(above, _spread(below)), _luminance(below))


def _saturation(below: Colour, above: Colour) -> Colour:
    return _with_luminance(_with_saturation(below, _spread(above)), _luminance(below))


BLEND_FUNCTIONS: Mapping[BlendMode, Callable[[Colour, Colour], Colour]] = MappingProxyType(
    {
        "darken": np.minimum,
        "multiply": np.multiply,
        "color_burn": _color_burn,
        "linear_burn": lambda below, above: below + above - 1,
        "darker_color": lambda below, above: np.where(_luminance(above) < _luminance(below), above, below),
        "lighten": np.maximum,
        "screen": lambda below, above: below + above - below * above,
        "color_dodge": _color_dodge,
        "linear_dodge": np.add,
        "lighter_color": lambda below, above: np.where(_luminance(above) > _luminance(below), above, below),
        "overlay": lambda below, above: _hard_light(above, below),
        "soft_light": _soft_light,
        "hard_light": _hard_light,
        "vivid_light": _vivid_light,
        "linear_light": lambda below, above: below + 2 * above - 1,
        "pin_light": _pin_light,
        "hard_mix": _hard_mix,
        "difference": lambda below, above: np.abs(below - above),
        "exclusion": lambda below, above: below + above - 2 * below * above,
        "subtract": np.subtract,
        "divide": _ratio,
        "hue": _hue,
        "saturation": _saturation,
        "color": lambda below, above: _with_luminance(above, _luminance(below)),
        "luminosity": lambda below, above: _with_luminance(below, _luminance(above)),
    }
)
"""Mode to the colour where both are opaque, of backdrop and layer; the result may leave [0, 1]."""

OPERATORS: Mapping[BlendMode, Callable[[Premultiplied, Premultiplied], Premultiplied]] = MappingProxyType(
    {
        "normal": lambda below, above: below * (1 - above[..., -1:]) + above,
        "plus": lambda below, above: np.minimum(below + above, 1),
        "source_atop": lambda below, above: above * below[..., -1:] + below * (1 - above[..., -1:]),
        "destination_in": lambda below, above: below * above[..., -1:],
        "destination_out": lambda below, above: below * (1 - above[..., -1:]),
        "destination_atop": lambda below, above: below * above[..., -1:] + above * (1 - below[..., -1:]),
    }
)
"""Mode to what backdrop and layer make together, premultiplied, alpha last. Source: Porter & Duff 1984."""

EVERYWHERE = frozenset({"destination_in", "destination_atop"})
"""Modes that also change pixels which the layer does not cover: they clear them."""
