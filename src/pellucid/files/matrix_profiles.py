"""ICC profiles that are curves and a matrix, computed in floats.

LittleCMS, as Pillow offers it, knows RGB of 8 bits only. Profiles of RGB and grey for screens are three
curves and three primaries, which take a few lines of numpy and keep every level of 16 bits and of floats.
Numbers are those of the ICC's specification: 10.6 and 10.18 for curves, annex F.3 for the model.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import ImageCms

from pellucid.rgba.srgb import encode_srgb
from pellucid.rgba.types import AnyArray

HEADER, ENTRY = 128, 12
TABLES = (b"A2B0", b"A2B1", b"D2B0", b"D2B1")
"""Tags that win over curves and a matrix."""
PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
"""Type of a parametric curve to the number of its parameters."""

D50 = np.array([0.96420288, 1.0, 0.82490540])
EPSILON, KAPPA = 216 / 24389, 24389 / 27


@dataclass(frozen=True)
class Curve:
    """Levels to light: a table, or parameters of ICC's fourth type."""

    table: AnyArray | None = None
    parameters: tuple[float, ...] = (1.0, 1.0, 0.0, 1.0, -1.0, 0.0, 0.0)
    """g, a, b, c, d, e, f: (a x + b)^g + e from d on, c x + f below."""

    def __call__(self, levels: AnyArray) -> AnyArray:
        """Converts levels in [0, 1], of any shape, to light in [0, 1]."""
        if self.table is not None:
            places = np.linspace(0, 1, len(self.table))
            return np.interp(levels, places, self.table)
        g, a, b, c, d, e, f = self.parameters
        powers = np.maximum(a * levels + b, 0) ** g + e
        return np.clip(np.where(levels >= d, powers, c * levels + f), 0, 1)


@dataclass(frozen=True)
class MatrixProfile:
    """A profile of RGB or grey: a curve a channel and, of RGB, the primaries in D50 as columns."""

    curves: tuple[Curve, ...]
    primaries: AnyArray | None

    def to_srgb(self, levels: AnyArray) -> AnyArray:
        """Converts levels (…, 3), of grey (…, 1), in [0, 1], to sRGB (…, 3) in [0, 1], cut to its gamut."""
        light = np.stack([curve(levels[..., i]) for i, curve in enumerate(self.curves)], axis=-1)
        if self.primaries is not None:
            light = light @ (d50_to_srgb() @ self.primaries).T
        encoded = encode_srgb(np.clip(light, 0, 1))
        return encoded if self.primaries is not None else np.repeat(encoded, 3, axis=-1)


def lab_to_srgb(lab: AnyArray) -> AnyArray:
    """Converts CIE L*a*b* of D50, (…, 3), L* in [0, 100], to sRGB in [0, 1], cut to its gamut."""
    y = (lab[..., 0] + 16) / 116
    roots = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(roots**3 > EPSILON, roots**3, (116 * roots - 16) / KAPPA) * D50
    return encode_srgb(np.clip(xyz @ d50_to_srgb().T, 0, 1))


def parse_matrix_profile(profile: bytes) -> MatrixProfile | None:
    """Parses a profile; returns None if it is of another kind, or cannot be read."""
    try:
        tags = _tags(profile)
        space, connection = profile[16:20], profile[20:24]
        if connection != b"XYZ " or any(tag in tags for tag in TABLES):
            return None
        if space == b"GRAY":
            return MatrixProfile((_curve(tags[b"kTRC"]),), None)
        if space != b"RGB ":
            return None
        curves = tuple(_curve(tags[colour + b"TRC"]) for colour in (b"r", b"g", b"b"))
        columns = [_fixed(tags[colour + b"XYZ"], 8, 3) for colour in (b"r", b"g", b"b")]
    except (struct.error, LookupError, ValueError):
        return None
    return MatrixProfile(curves, np.array(columns).T)


@lru_cache(maxsize=1)
def d50_to_srgb() -> AnyArray:
    """Returns the matrix from XYZ of D50 to light of sRGB."""
    # of the very profile to which bytes are converted
    srgb = ImageCms.createProfile("sRGB")
    target = parse_matrix_profile(ImageCms.ImageCmsProfile(srgb).tobytes())  # pyright: ignore[reportUnknownArgumentType] - of PIL's C code
    assert target is not None
    assert target.primaries is not None
    return np.linalg.inv(target.primaries)


def _tags(profile: bytes) -> Mapping[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, HEADER)
    if count > 100:
        raise ValueError("too many tags")
    tags = dict[bytes, bytes]()
    for number in range(count):
        name, start, size = struct.unpack_from(">4sII", profile, HEADER + 4 + ENTRY * number)
        tags[name] = profile[start : start + size]
    return tags


def _fixed(data: bytes, start: int, count: int) -> tuple[float, ...]:
    return tuple(value / 65536 for value in struct.unpack_from(f">{count}i", data, start))


def _curve(data: bytes) -> Curve:
    if data.startswith(b"para"):
        (kind,) = struct.unpack_from(">H", data, 8)
        return Curve(parameters=_parameters(kind, _fixed(data, 12, PARAMETERS[kind])))
    if not data.startswith(b"curv"):
        raise ValueError("no curve")
    (count,) = struct.unpack_from(">I", data, 8)
    if count == 0:
        return Curve()
    if count == 1:
        (power,) = struct.unpack_from(">H", data, 12)
        return Curve(parameters=(power / 256, 1.0, 0.0, 1.0, -1.0, 0.0, 0.0))
    table = np.frombuffer(data, ">u2", count, 12)
    return Curve(table=table.astype(np.float64) / 65535)


def _parameters(kind: int, values: tuple[float, ...]) -> tuple[float, ...]:
    """Writes a parametric curve of any type as one of the fourth: g, a, b, c, d, e, f."""
    if kind == 0:
        return (values[0], 1.0, 0.0, 1.0, -1.0, 0.0, 0.0)
    if kind in (1, 2):
        g, a, b = values[:3]
        if a == 0:
            raise ValueError("a curve without slope")
        offset = values[3] if kind == 2 else 0.0
        return (g, a, b, 0.0, -b / a, offset, offset)
    return (*values, 0.0, 0.0) if kind == 3 else values
