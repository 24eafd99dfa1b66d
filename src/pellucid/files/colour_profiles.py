"""Colours of a file to sRGB: by an ICC profile, or by one that is made of what else the file says.

Code points of primaries and transfers are those of ITU-T H.273, which PNG (cICP) and AVIF (nclx) share.
"""

import io
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from pellucid.errors import FileError
from pellucid.rgba.types import RGBA8

Curve = tuple[float, ...]
"""(g), or (g, a, b, c, d): a level x is as bright as (a x + b)^g from d on, and as c x below."""
Chromaticities = tuple[tuple[float, float], ...]
"""x and y of red, green, blue and white."""

SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
VIDEO_CURVE: Curve = (1 / 0.45, 1 / 1.099297, 0.099297 / 1.099297, 1 / 4.5, 4.5 * 0.018054)

D65, WHITE_C, WHITE_DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
SRGB_PRIMARIES: Chromaticities = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)

UNSPECIFIED = 2
PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB_PRIMARIES,
    UNSPECIFIED: SRGB_PRIMARIES,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), WHITE_C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), WHITE_DCI),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
TRANSFERS: dict[int, Curve] = {
    1: VIDEO_CURVE,
    UNSPECIFIED: SRGB_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: VIDEO_CURVE,
    8: (1.0,),
    11: VIDEO_CURVE,
    13: SRGB_CURVE,
    14: VIDEO_CURVE,
    15: VIDEO_CURVE,
}
HIGH_RANGE = {16: "PQ", 18: "HLG"}

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""XYZ to the responses in which ICC adapts one white to another."""
D50 = np.array([0.96420288, 1.0, 0.82490540])
"""White of every profile, as its header has it."""

GRID_LEVELS = np.array([*range(0, 256, 15)], np.uint8)
UNREADABLE = "its colour profile cannot be read, so its colours are taken for sRGB"
GUESSED_INKS = "it is CMYK without a colour profile, so its colours are a rough guess"


@dataclass(frozen=True)
class CodedColour:
    """Colours by code points of H.273."""

    primaries: int
    transfer: int

    def profile(self, name: str) -> bytes:
        """Makes an ICC profile of them.

        Raises:
            FileError: of high dynamic range, or code points that are not known here.
        """
        if self.transfer in HIGH_RANGE:
            raise FileError(
                f"Cannot read {name}: it has high dynamic range ({HIGH_RANGE[self.transfer]}), which has no "
                "place in 8 bits. Convert it to sRGB with tone mapping first."
            )
        chromaticities, curve = PRIMARIES.get(self.primaries), TRANSFERS.get(self.transfer)
        if chromaticities is None or curve is None:
            raise FileError(
                f"Cannot read {name}: its colours (primaries {self.primaries}, transfer {self.transfer} of "
                "H.273) are not known here. Convert it to sRGB first."
            )
        return build_profile(chromaticities, curve)


def build_profile(chromaticities: Chromaticities, curve: Curve) -> bytes:
    """Builds an ICC profile, version 4, of three primaries and one curve.

    Raises:
        ValueError: chromaticities that span no colours.
    """
    places = np.array(chromaticities, np.float64)
    if not (places[:, 1] > 0).all():
        raise ValueError("a chromaticity without brightness")
    xyz = np.stack([places[:, 0], places[:, 1], 1 - places.sum(axis=1)]) / places[:, 1]
    responses = BRADFORD @ xyz[:, 3]
    adapted = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / responses) @ BRADFORD
    # each primary as bright as it takes for the three to make the white
    columns = adapted @ xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    if not np.isfinite(columns).all() or np.abs(columns).max() > 100:
        raise ValueError("chromaticities that span no colours")
    # parametric curves of ICC: type 0 has the exponent alone, type 3 all five
    shape = struct.pack(">4sIHH", b"para", 0, 3 if len(curve) > 1 else 0, 0) + _fixed(curve)
    words = "colours of the file".encode("utf-16-be")
    tags = {
        b"desc": struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(words), 28) + words,
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(D50.tolist()),
    }
    for colour, column in zip((b"r", b"g", b"b"), columns.T.tolist(), strict=True):
        tags[colour + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(column)
        tags[colour + b"TRC"] = shape
    return _profile_file(tags)


def _fixed(values: Iterable[float]) -> bytes:
    """Packs numbers of ICC, with 16 bits after the point."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile_file(tags: Mapping[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        table += struct.pack(">4sII", key, start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(D50.tolist())
    return header.ljust(128, b"\0") + table + body


def to_srgb(rgba: RGBA8, profile: bytes, notes: list[str], *, cmyk: Image.Image | None = None) -> RGBA8:
    """Converts colours from an ICC profile to sRGB and keeps alpha.

    Args:
        rgba: the image; its colours come back as they are if the profile is sRGB's, under any name.
        profile: a file of ICC.
        notes: gets a sentence if the profile cannot be read; the image is then as it was.
        cmyk: the image before it became RGB, if it was CMYK.

    Raises:
        FileError: a profile for another kind of colour.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = colour_space(source)
        if space == "GRAY" and (rgba[..., :1] != rgba[..., 1:3]).any():
            notes.append("its colour profile is for grey, so its colours are taken for sRGB")
            return rgba
        if space == "GRAY":
            colour = Image.fromarray(np.ascontiguousarray(rgba[..., 0]))
        elif space == "CMYK" and cmyk is not None:
            colour = cmyk
        elif space == "RGB":
            colour = Image.fromarray(np.ascontiguousarray(rgba[..., :3]))
        else:
            raise FileError(f"Cannot read an image with a {space} colour profile. Save it as RGB.")
        # converting sRGB to sRGB through a profile would still move some levels by rounding
        if space != "CMYK" and is_srgb(source, colour.mode):
            return rgba
        converted = _convert(colour, source, ImageCms.Intent.PERCEPTUAL)
    except FileError:
        raise
    except (ImageCms.PyCMSError, OSError):
        notes.append(UNREADABLE)
        return rgba
    # profiles are about colour; alpha is a share and passes
    return np.dstack([np.asarray(converted), rgba[..., 3]])


def is_other_space(profile: bytes) -> bool:
    """Says whether a profile of RGB or grey shows other colours than sRGB; what cannot be read does not."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = {"RGB": "RGB", "GRAY": "L"}.get(colour_space(source))
        return mode is not None and not is_srgb(source, mode)
    except (ImageCms.PyCMSError, OSError):
        return False


def is_srgb(source: ImageCms.ImageCmsProfile, mode: str) -> bool:
    """Says whether a profile shows each colour within a level of what sRGB shows, whatever its name."""
    if mode == "L":
        grid = np.arange(256, dtype=np.uint8)[None]
        wanted = grid[..., None]
    else:
        grid = np.stack(np.meshgrid(GRID_LEVELS, GRID_LEVELS, GRID_LEVELS), axis=-1).reshape(1, -1, 3)
        wanted = grid
    # the colours as they were measured: in sRGB's own table for paper the perceptual ones are others
    shown = _convert(Image.fromarray(grid), source, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    return int(np.abs(np.asarray(shown).astype(int) - wanted).max()) <= 1


def _convert(image: Image.Image, source: ImageCms.ImageCmsProfile, intent: ImageCms.Intent) -> Image.Image:
    target = ImageCms.createProfile("sRGB")
    # of inks LittleCMS makes a coarser table first, up to 31 levels off where colours are cut
    flags = ImageCms.Flags.NOOPTIMIZE if image.mode == "CMYK" else ImageCms.Flags.NONE
    converted = ImageCms.profileToProfile(image, source, target, intent, outputMode="RGB", flags=flags)  # pyright: ignore[reportUnknownArgumentType] - of PIL's C code
    assert converted is not None  # it is where the image is changed in place
    return converted


def colour_space(profile: ImageCms.ImageCmsProfile) -> str:
    """Returns what a profile is for: GRAY, RGB, CMYK, Lab or others of ICC's names."""
    opened = profile.profile
    return getattr(opened, "xcolor_space", "").strip()  # pyright: ignore[reportUnknownArgumentType] - of PIL's C code
