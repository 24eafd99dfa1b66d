"""The space in which a document's layers are mixed: sRGB to its levels and back, in floats.

A document with a profile of its own is mixed by its program on the levels that the profile describes. Images
here are sRGB, so a mix of them takes the way there and back.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pellucid.files.deep_colours import convert_strips
from pellucid.files.matrix_profiles import MatrixProfile, d50_to_srgb, parse_matrix_profile
from pellucid.rgba.srgb import decode_srgb, encode_srgb
from pellucid.rgba.types import RGBA8, AnyArray

STEPS = 4097
"""Of a curve that is turned round: between two, levels of 8 bits move by less than a tenth."""


@dataclass(frozen=True, eq=False)
class BlendSpace:
    """Levels of a profile of three curves and three primaries, or of one curve for grey."""

    profile: MatrixProfile
    light_of_steps: tuple[AnyArray, ...]
    """Of red, green and blue: light at even steps of the level."""
    from_light: AnyArray
    """Light of sRGB to light of the space."""

    def from_srgb(self, colour: AnyArray) -> AnyArray:
        """Converts sRGB (…, 3) in [0, 1] to levels (…, 3) in [0, 1], cut to the space's gamut."""
        light, steps = decode_srgb(colour) @ self.from_light.T, np.linspace(0, 1, STEPS)
        channels = enumerate(self.light_of_steps)
        return np.stack([np.interp(light[..., i], known, steps) for i, known in channels], axis=-1)

    def to_srgb(self, levels: AnyArray) -> AnyArray:
        """Converts levels (…, 3) in [0, 1] to sRGB (…, 3) in [0, 1], cut to its gamut."""
        if self.profile.primaries is not None:
            return self.profile.to_srgb(levels)
        return encode_srgb(np.clip(self.profile.curves[0](levels), 0, 1))


def in_levels(rgba: RGBA8, space: BlendSpace) -> RGBA8:
    """Converts the colours of an image to the nearest levels of a space; alpha stays."""
    return np.dstack([convert_strips(rgba[..., :3], space.from_srgb, 255), rgba[..., 3]])


@lru_cache(maxsize=4)
def blend_space(profile: bytes) -> BlendSpace | None:
    """Reads a profile; returns None if it is of tables, of other colours than RGB and grey, or damaged."""
    parsed = parse_matrix_profile(profile)
    if parsed is None:
        return None
    curves = parsed.curves * (3 // len(parsed.curves))
    # never falling, as interpolation wants it
    steps = np.linspace(0, 1, STEPS)
    light = tuple(np.maximum.accumulate(curve(steps)) for curve in curves)
    grey = parsed.primaries is None
    return BlendSpace(parsed, light, np.eye(3) if grey else np.linalg.inv(d50_to_srgb() @ parsed.primaries))
