"""Colours of more than 8 bits: converted first and rounded once, against formulas in doubles."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from building import icc_profile
from colour_truth import lab_of_inks, press_profile, srgb_of_lab, srgb_of_light
from pellucid.errors import FileError
from pellucid.files.colour_profiles import PRIMARIES, SRGB_CURVE, SRGB_PRIMARIES, build_profile
from pellucid.files.deep_colours import deep_to_srgb
from pellucid.files.images import read_rgba
from pellucid.files.matrix_profiles import lab_to_srgb, parse_matrix_profile
from pellucid.rgba.quantization import narrow_to_bytes
from pellucid.rgba.types import AnyArray

RANDOM = np.random.default_rng(11)


def deep(channels: int, power: float = 1) -> AnyArray:
    """Levels of 16 bits, many of them dark where `power` is above 1."""
    return np.rint(RANDOM.random((40, 50, channels)) ** power * 65535).astype(np.uint16)


@pytest.mark.parametrize("power", [1, 4])
def test_linear_light_is_right_down_into_the_dark(power: float) -> None:
    levels = deep(3, power)
    found = deep_to_srgb(levels, build_profile(SRGB_PRIMARIES, (1.0,)), [])
    assert np.abs(found - srgb_of_light(levels / 65535)).max() <= 0.6


@pytest.mark.parametrize("curve", [(2.2,), (1.8,), SRGB_CURVE])
@pytest.mark.parametrize("primaries", [9, 12, 5])
def test_curves_and_primaries_give_what_bytes_give(primaries: int, curve: tuple[float, ...]) -> None:
    profile = build_profile(PRIMARIES[primaries], curve)
    levels = RANDOM.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG", icc_profile=profile)
    found = deep_to_srgb(levels.astype(np.uint16) * 257, profile, [])
    # what LittleCMS does with bytes is itself a level off in the dark
    assert np.abs(found - read_rgba(file.getvalue())[..., :3].astype(int)).max() <= 2


def test_the_colours_of_srgb_are_only_narrowed() -> None:
    levels = deep(3)
    for profile in (b"", build_profile(SRGB_PRIMARIES, SRGB_CURVE)):
        assert np.array_equal(deep_to_srgb(levels, profile, []), narrow_to_bytes(levels))


def test_grey_becomes_three_equal_levels() -> None:
    levels = deep(1, 2)
    found = deep_to_srgb(levels, build_profile(SRGB_PRIMARIES, (1.0,)), [])
    assert np.abs(found - srgb_of_light(levels / 65535)).max() <= 0.6


def test_inks_are_within_a_level_of_the_press() -> None:
    levels = deep(4)
    truth = srgb_of_lab(lab_of_inks(levels / 65535))
    found = deep_to_srgb(levels, press_profile(), [])
    assert np.abs(found - truth).max() <= 1.5  # LittleCMS and the formula differ by 0.3


def test_bytes_of_inks_are_within_a_level_of_the_press() -> None:
    levels = RANDOM.integers(0, 256, (40, 50, 4), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels, "CMYK").save(file, "TIFF", icc_profile=press_profile())
    truth = srgb_of_lab(lab_of_inks(levels / 255))
    assert np.abs(read_rgba(file.getvalue())[..., :3] - truth).max() <= 1


def test_lab_is_that_of_the_formula() -> None:
    lab = RANDOM.random((2000, 3)) * (100, 255, 255) - (0, 128, 128)
    away = np.abs(lab_to_srgb(lab) * 255 - srgb_of_lab(lab))
    # far outside the gamut the last digits of a matrix count
    assert away.max() <= 1.5
    assert np.percentile(away, 99) <= 0.2


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_damaged_profile_is_no_profile(cut: int) -> None:
    profile = build_profile(SRGB_PRIMARIES, (1.0,))[:cut]
    assert parse_matrix_profile(profile) is None
    notes = list[str]()
    if cut:
        deep_to_srgb(deep(3), profile, notes)
        assert notes


def test_profiles_for_other_colours_are_refused() -> None:
    with pytest.raises(FileError, match="CMYK levels with a RGB colour profile"):
        deep_to_srgb(deep(4), build_profile(SRGB_PRIMARIES, (1.0,)), [])
    with pytest.raises(FileError, match="RGB levels with a CMYK colour profile"):
        deep_to_srgb(deep(3), press_profile(), [])
    with pytest.raises(FileError, match="GRAY levels with a Lab colour profile"):
        deep_to_srgb(deep(1), icc_profile("LAB"), [])
    with pytest.raises(FileError, match="damaged"):
        deep_to_srgb(deep(4), b"nothing", [])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_of_16_bits_is_rounded_after_its_profile(channels: int) -> None:
    levels = deep(channels, 3)
    stored = levels[..., [2, 1, 0, 3][:channels]] if channels > 1 else levels
    ok, content = cv2.imencode(".png", stored)
    assert ok
    profile = b"x\0\0" + zlib.compress(build_profile(SRGB_PRIMARIES, (1.0,)))
    body = b"iCCP" + profile
    chunk = struct.pack(">I", len(profile)) + body + struct.pack(">I", zlib.crc32(body))
    file = content.tobytes()
    found = read_rgba(file[:33] + chunk + file[33:])
    assert np.abs(found[..., :3] - srgb_of_light(levels[..., :3] / 65535)).max() <= 0.6
    if channels == 4:
        assert np.abs(found[..., 3] - levels[..., 3] / 257).max() <= 0.5
