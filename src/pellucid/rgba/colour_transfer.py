"""Colours of one image brought near those of another, by their middle and spread.

Source: Reinhard, Ashikhmin, Gooch and Shirley, "Color transfer between images", 2001. Differs: Oklab instead
of lαβ; medians and quantiles instead of means and deviations, so that a few bright pixels decide nothing;
every change is limited, since a thing has colours of its own beside those of its light; black and white stay.
"""

from dataclasses import dataclass

import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.oklab import from_oklab, to_oklab
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import RGB8, AnyArray, check_rgba8

MOST_LIGHTER = 0.08
"""Farthest that the middle lightness moves, of [0, 1]."""
MOST_TINT = 0.03
"""Farthest that colours move; a tungsten lamp's white is 0.06 from daylight's."""
SPREADS = (0.9, 1.1)
"""Least and most that contrast and saturation are multiplied by."""
QUANTILES = (0.16, 0.5, 0.84)
"""Of a normal distribution: the middle, and a deviation to both sides."""
FAINT = 16
"""Alpha, levels, up to which a pixel says nothing of colours."""
SAMPLES = 200_000
"""Most pixels that are measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourStatistics:
    """Where the colours of an image lie in Oklab."""

    middle: AnyArray
    """(3,): medians."""
    spread: AnyArray
    """(3,): half the distance between the outer QUANTILES."""

    @classmethod
    def of(cls, rgba: AnyArray) -> "ColourStatistics":
        """Measures an image, uint8 (h, w, 4), straight; a pixel counts as much as it is seen.

        Raises:
            InputError: no image, or one of which nothing is seen.
        """
        pixels = check_rgba8(rgba).reshape(-1, 4)
        seen = pixels[pixels[:, 3] > FAINT]
        if not len(seen):
            raise InputError("Expected an image with something to see, found it clear. Pass another.")
        seen = seen[:: max(1, len(seen) // SAMPLES)]
        lab, weights = to_oklab(to_float(seen[:, :3], np.float64)), seen[:, 3].astype(np.float64)
        low, middle, high = np.stack([_quantiles(lab[:, axis], weights) for axis in range(3)], axis=1)
        return cls(middle=middle, spread=(high - low) / 2)


def transfer_colours(rgba: AnyArray, target: ColourStatistics) -> RGB8:
    """Brings the colours of an image near those that were measured of another.

    Args:
        rgba: uint8 (h, w, 4), straight.
        target: of the other image.

    Returns:
        uint8 (h, w, 3): the new colours, also under alpha 0.

    Raises:
        InputError: no image, or one of which nothing is seen.
    """
    source = ColourStatistics.of(rgba)
    lab = to_oklab(to_float(rgba[..., :3], np.float64))
    moved = target.middle - source.middle
    lighter = float(np.clip(moved[0], -MOST_LIGHTER, MOST_LIGHTER))
    tint = moved[1:] * min(1.0, MOST_TINT / max(float(np.hypot(*moved[1:])), 1e-9))
    contrast = _limited(target.spread[0], source.spread[0])
    saturation = _limited(float(np.hypot(*target.spread[1:])), float(np.hypot(*source.spread[1:])))
    lightness = lab[..., :1]
    # a parabola that is 1 in the middle: black and white, which no light changes much, stay
    ends = 4 * lightness * (1 - lightness)
    spread = (lightness - source.middle[0]) * (contrast - 1)
    # light colours what is bright; what is black reflects none of it
    coloured = lab[..., 1:] * saturation + tint * np.minimum(1, 2 * lightness)
    return to_bytes(from_oklab(np.concatenate([lightness + ends * (lighter + spread), coloured], axis=-1)))


def _limited(wanted: float, found: float) -> float:
    return float(np.clip(wanted / max(found, 1e-9), *SPREADS))


def _quantiles(values: AnyArray, weights: AnyArray) -> AnyArray:
    order = np.argsort(values)
    shares = np.cumsum(weights[order])
    return values[order][np.searchsorted(shares, np.array(QUANTILES) * shares[-1])]
