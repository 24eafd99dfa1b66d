"""Colours of more than 8 bits to bytes of sRGB, rounded once.

Profiles of screens are computed in floats. Pillow hands LittleCMS bytes alone, so a profile that is a table,
as those of printers are, is asked for the corners of bytes around each colour, and the answers are
interpolated.
"""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageCms

from pellucid.errors import FileError
from pellucid.files.colour_profiles import (
    GUESSED_INKS,
    SRGB_PRIMARIES,
    UNREADABLE,
    build_profile,
    colour_space,
    is_srgb,
)
from pellucid.files.matrix_profiles import parse_matrix_profile
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGB8, AnyArray

STRIP = 1 << 18
"""Pixels converted at a time: floats of a whole image would take eight times its memory."""
SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}

Conversion = Callable[[AnyArray], AnyArray]
"""Levels (n, channels) in [0, 1] to sRGB (n, 3) in [0, 1]."""


def linear_srgb() -> bytes:
    """Makes the profile of light in sRGB's primaries, which floats without a profile are taken for."""
    return build_profile(SRGB_PRIMARIES, (1.0,))


def deep_to_srgb(levels: AnyArray, profile: bytes, notes: list[str], *, top: float | None = None) -> RGB8:
    """Converts an image's colours to sRGB, within a level of what doubles give.

    Args:
        levels: uint16, or floats: (h, w, 1) grey, (h, w, 3) RGB, (h, w, 4) CMYK with 0 for no ink.
        profile: a file of ICC; it may be empty, for sRGB and for inks that only darken.
        notes: gets a sentence if the profile cannot be read, so that colours are taken for sRGB, or
            if inks have none.
        top: the highest level; of uint16 65535 by default, of floats 1.

    Raises:
        FileError: a profile for another kind of colour.
    """
    if levels.shape[2] == 4 and not profile:
        notes.append(GUESSED_INKS)
    convert = _conversion(levels.shape[2], profile, notes)
    return convert_strips(levels, convert, top or (65535 if levels.dtype == np.uint16 else 1))


def convert_strips(levels: AnyArray, convert: Conversion, top: float = 1) -> RGB8:
    """Converts levels (h, w, channels) in [0, top] to bytes of sRGB, a strip at a time."""
    height, width, channels = levels.shape
    result = np.empty((height * width, 3), np.uint8)
    flat = levels.reshape(-1, channels)
    for part in _strips(len(flat)):
        result[part] = to_bytes(convert(flat[part].astype(np.float64) / top))
    return result.reshape(height, width, 3)


def _strips(count: int) -> Iterator[slice]:
    for start in range(0, count, STRIP):
        yield slice(start, min(start + STRIP, count))


def _conversion(channels: int, profile: bytes, notes: list[str]) -> Conversion:
    if not profile:
        return _by_formula if channels == 4 else _as_it_is
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = colour_space(source)
        if space == "GRAY" and channels == 3:
            notes.append("its colour profile is for grey, so its colours are taken for sRGB")
            return _as_it_is
        if space not in MODES or (space == "CMYK") != (channels == 4):
            raise FileError(
                f"Cannot read {SPACES[channels]} levels with a {space} colour profile. Save them as RGB."
            )
        # as bytes are: sRGB under any name is left alone
        if space != "CMYK" and is_srgb(source, MODES[space]):
            return _as_it_is
        found = parse_matrix_profile(profile)
        convert = found.to_srgb if found else _by_table(source, MODES[space])
    except FileError:
        raise
    except (ImageCms.PyCMSError, OSError) as error:
        if channels == 4:
            raise FileError("Cannot read CMYK levels: their profile is damaged. Embed it again.") from error
        notes.append(UNREADABLE)
        return _as_it_is
    # a grey image may have a profile of RGB
    return lambda levels: convert(_repeated(levels) if space == "RGB" else levels)


def _repeated(levels: AnyArray) -> AnyArray:
    return np.repeat(levels, 3, axis=1) if levels.shape[1] == 1 else levels


_as_it_is = _repeated


def _by_formula(inks: AnyArray) -> AnyArray:
    """Converts inks of no known press as Pillow does those of bytes."""
    return (1 - inks[:, :3]) * (1 - inks[:, 3:])


def _by_table(source: ImageCms.ImageCmsProfile, mode: str) -> Conversion:
    """Makes a conversion between corners of bytes: the simplex around each colour, n + 1 of them."""
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(
        source,
        target,  # pyright: ignore[reportUnknownArgumentType] - of PIL's C code
        mode,
        "RGB",
        ImageCms.Intent.PERCEPTUAL,
        ImageCms.Flags.NOOPTIMIZE,  # its own coarser table is up to 31 levels off where colours are cut
    )

    def of_bytes(levels: AnyArray) -> AnyArray:
        image = Image.fromarray(levels[None] if mode != "L" else levels[None, :, 0], mode)
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None  # it is where the image is changed in place
        return np.asarray(converted)[0].astype(np.float64)

    def convert(levels: AnyArray) -> AnyArray:
        scaled = np.clip(levels, 0, 1) * 255
        corner = np.minimum(np.floor(scaled), 254).astype(np.uint8)
        shares = scaled - corner
        order = np.argsort(-shares, axis=1)
        # of falling shares the first corner has 1 minus the largest, each next one the step down
        steps = np.take_along_axis(shares, order, axis=1)
        weights = -np.diff(steps, axis=1, prepend=1.0, append=0.0)
        total = weights[:, :1] * of_bytes(corner)
        for number in range(levels.shape[1]):
            corner[np.arange(len(corner)), order[:, number]] += 1
            total += weights[:, number + 1 : number + 2] * of_bytes(corner)
        return total / 255

    return convert
