"""Oklab, a space of colours in which equal distances look alike: lightness, green to red, blue to yellow.

Source: Björn Ottosson, "A perceptual color space for image processing", 2020.
"""

import numpy as np

from pellucid.rgba.srgb import decode_srgb, encode_srgb
from pellucid.rgba.types import AnyArray

# the author's figures, of linear sRGB to the responses of cones, and of their cube roots to Oklab
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# inverted here, so that the two ways agree to the last digit
FROM_LAB, FROM_CONES = np.linalg.inv(TO_LAB), np.linalg.inv(TO_CONES)


def to_oklab(rgb: AnyArray) -> AnyArray:
    """Converts sRGB-encoded floats (..., 3), [0, 1], to Oklab: lightness in [0, 1], two of about ±0.4."""
    return np.cbrt(decode_srgb(rgb) @ TO_CONES.T) @ TO_LAB.T


def from_oklab(lab: AnyArray) -> AnyArray:
    """Converts Oklab (..., 3) to sRGB-encoded floats; colours that sRGB lacks are clipped to [0, 1]."""
    linear = (lab @ FROM_LAB.T) ** 3 @ FROM_CONES.T
    return encode_srgb(np.clip(linear, 0, 1))
