"""Colours and texts of files by others: honoured, left out with a warning, or refused by name."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from building import icc_profile
from pellucid.errors import FileError, FileWarning
from pellucid.files.colour_profiles import PRIMARIES, SRGB_CURVE, SRGB_PRIMARIES, build_profile
from pellucid.files.images import read_image, read_rgba

BARS = np.random.default_rng(2).integers(0, 256, (4, 64, 3), dtype=np.uint8)
P3 = PRIMARIES[12]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes, pixels: np.ndarray = BARS) -> bytes:
    """Encodes a PNG with chunks put after its header."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    content = file.getvalue()
    return content[:33] + b"".join(chunks) + content[33:]


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))


def in_srgb(
    linear: Callable[[np.ndarray], np.ndarray], primaries: tuple[tuple[float, float], ...]
) -> np.ndarray:
    """Computes BARS in sRGB in double precision, for primaries around the white of sRGB."""

    def matrix(places: tuple[tuple[float, float], ...]) -> np.ndarray:
        xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in places]).T
        return xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])

    light = linear(BARS / 255) @ (np.linalg.inv(matrix(SRGB_PRIMARIES)) @ matrix(primaries)).T
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def of_srgb(levels: np.ndarray) -> np.ndarray:
    return np.where(levels < 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def of_light(levels: np.ndarray) -> np.ndarray:
    return levels


def of_power(levels: np.ndarray) -> np.ndarray:
    return levels**1.8


def of_video(levels: np.ndarray) -> np.ndarray:
    return np.where(levels < 4.5 * 0.018054, levels / 4.5, ((levels + 0.099297) / 1.099297) ** (1 / 0.45))


@pytest.mark.parametrize("words", ["colours of the file", "sRGB IEC61966-2.1  "])
def test_a_profile_counts_by_its_colours_and_not_by_its_name(words: str) -> None:
    def named(profile: bytes) -> bytes:
        renamed = profile.replace("colours of the file".encode("utf-16-be"), words.encode("utf-16-be"))
        assert len(renamed) == len(profile)
        return renamed

    linear = named(build_profile(SRGB_PRIMARIES, (1.0,)))
    levels = np.full((2, 2, 3), 64, np.uint8)
    assert read_rgba(png(iccp(linear), pixels=levels))[0, 0].tolist() == [137, 137, 137, 255]
    srgb = named(build_profile(SRGB_PRIMARIES, SRGB_CURVE))
    assert np.array_equal(read_rgba(png(iccp(srgb)))[..., :3], BARS)


@pytest.mark.parametrize(
    ("chunks", "linear", "primaries"),
    [
        ([chunk(b"cICP", bytes([1, 13, 0, 1]))], of_srgb, SRGB_PRIMARIES),
        ([chunk(b"cICP", bytes([12, 13, 0, 1]))], of_srgb, P3),
        ([chunk(b"cICP", bytes([9, 14, 0, 1]))], of_video, PRIMARIES[9]),
        ([chunk(b"cICP", bytes([1, 8, 0, 1]))], of_light, SRGB_PRIMARIES),
        ([chunk(b"gAMA", struct.pack(">I", 100_000))], of_light, SRGB_PRIMARIES),
        ([chunk(b"gAMA", struct.pack(">I", 55_556))], of_power, SRGB_PRIMARIES),
        ([chunk(b"gAMA", struct.pack(">I", 45_455))], of_srgb, SRGB_PRIMARIES),
        (
            [chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))],
            of_srgb,
            P3,
        ),
        # what is more exact wins
        ([chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 100_000))], of_srgb, SRGB_PRIMARIES),
        (
            [chunk(b"cICP", bytes([12, 13, 0, 1])), iccp(build_profile(SRGB_PRIMARIES, (1.0,)))],
            of_srgb,
            P3,
        ),
    ],
)
def test_what_a_png_says_about_colour_is_honoured(
    chunks: list[bytes],
    linear: Callable[[np.ndarray], np.ndarray],
    primaries: tuple[tuple[float, float], ...],
) -> None:
    found = read_rgba(png(*chunks))
    assert np.abs(found[..., :3] - in_srgb(linear, primaries)).max() <= 1.5
    if linear is of_srgb and primaries is SRGB_PRIMARIES:
        assert np.array_equal(found[..., :3], BARS)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ([9, 16, 0, 1], "PQ"),
        ([9, 18, 0, 1], "HLG"),
        ([1, 13, 0, 0], "narrow"),
        ([99, 13, 0, 1], "primaries 99"),
    ],
)
def test_colours_that_have_no_place_here_are_refused_by_name(code: list[int], name: str) -> None:
    with pytest.raises(FileError, match=name):
        read_rgba(png(chunk(b"cICP", bytes(code))))


@pytest.mark.parametrize(
    "bad",
    [
        iccp(b"nonsense"),
        iccp(icc_profile("sRGB")[:300]),
        chunk(b"iCCP", b"x\0\0not packed"),
        chunk(b"iCCP", b""),
        chunk(b"cHRM", bytes(32)),
        chunk(b"eXIf", b"nonsense"),
        chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_100_000))),
        chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(1_100_000))),
        chunk(b"iTXt", b"k\0\0\0\0\0" + b"x" * 1_100_000),
    ],
    ids=lambda bad: f"{bad[4:8].decode()}-{len(bad)}",
)
def test_a_bad_or_long_chunk_beside_the_pixels_is_left_out_with_a_warning(bad: bytes) -> None:
    with pytest.warns(FileWarning, match=r"(cannot be read|make no sense|too long)"):
        found = read_rgba(png(bad))
    assert np.array_equal(found[..., :3], BARS)


@pytest.mark.parametrize(
    "kind", [b"cICP", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"zTXt", b"tEXt", b"prVt"]
)
def test_empty_chunks_beside_the_pixels_cost_nothing(kind: bytes) -> None:
    assert np.array_equal(read_rgba(png(chunk(kind, b"")))[..., :3], BARS)


def test_other_texts_stay_beside_one_that_is_too_long() -> None:
    long = chunk(b"tEXt", b"workflow\0" + b"x" * 1_100_000)
    with pytest.warns(FileWarning, match="'workflow'"):
        found = read_image(png(long, chunk(b"tEXt", b"prompt\0a cat")))
    assert found.metadata == {"prompt": "a cat"}


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "TIFF"])
def test_a_profile_that_cannot_be_read_is_left_out_in_every_format(format: str) -> None:
    file = io.BytesIO()
    Image.fromarray(BARS).save(file, format, icc_profile=b"nonsense" * 20)
    plain = io.BytesIO()
    Image.fromarray(BARS).save(plain, format)
    with pytest.warns(FileWarning, match="profile"):
        found = read_rgba(file.getvalue())
    assert np.array_equal(found, read_rgba(plain.getvalue()))


def test_a_profile_for_grey_does_not_make_colours_grey() -> None:
    grey = bytearray(build_profile(SRGB_PRIMARIES, (1.8,)))
    grey[16:20] = b"GRAY"
    with pytest.warns(FileWarning, match="grey"):
        assert np.array_equal(read_rgba(png(iccp(bytes(grey))))[..., :3], BARS)


def avif(**options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.repeat(BARS, 16, axis=0)).save(
        file, "AVIF", quality=100, subsampling="4:4:4", **options
    )
    return file.getvalue()


def coded(primaries: int, transfer: int) -> bytes:
    content = avif()
    place = content.index(b"colrnclx") + 8
    return content[:place] + struct.pack(">HH", primaries, transfer) + content[place + 4 :]


def test_avif_colours_by_code_points_are_honoured() -> None:
    plain = read_rgba(avif())
    assert np.array_equal(read_rgba(coded(1, 13)), plain)
    assert np.array_equal(read_rgba(coded(2, 2)), plain)
    for primaries, transfer in ((12, 13), (9, 14)):
        wanted = read_rgba(png(chunk(b"cICP", bytes([primaries, transfer, 0, 1])), pixels=plain[..., :3]))
        assert not np.array_equal(wanted, plain)
        assert np.array_equal(read_rgba(coded(primaries, transfer)), wanted)
    with pytest.raises(FileError, match="PQ"):
        read_rgba(coded(9, 16))


def clapped(*numbers: int) -> bytes:
    """Puts a clean aperture in the place of a profile of the same size."""
    content = avif(icc_profile=bytes(28))
    place = content.index(b"colrprof")
    changed = bytearray(content)
    changed[place : place + 36] = b"clap" + struct.pack(">IIIIiIiI", *numbers)
    # the decoder wants cropping marked as what a reader must know: the highest bit of each property's number
    listed = content.index(b"ipma") + 15
    for position in range(listed, listed + content[listed - 1]):
        changed[position] |= 0x80
    return bytes(changed)


def test_avif_cropping_is_honoured_or_refused() -> None:
    whole = read_rgba(avif())
    assert whole.shape == (64, 64, 4)
    # 20 wide, 10 high, its centre 3 right of and 5 above the whole one's
    found = read_rgba(clapped(20, 1, 10, 1, 3, 1, -5, 1))
    assert np.array_equal(found, whole[22:32, 25:45])
    for numbers in ((21, 1, 10, 1, 0, 1, 0, 1), (80, 1, 10, 1, 0, 1, 0, 1), (20, 0, 10, 1, 0, 1, 0, 1)):
        with pytest.raises(FileError):
            read_rgba(clapped(*numbers))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_exif_that_cannot_be_read_is_left_out(format: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "abcdefgh"
    file = io.BytesIO()
    Image.fromarray(BARS).save(file, format, exif=exif)
    content = file.getvalue()
    start = max(content.rfind(head, 0, content.index(b"abcdefgh")) for head in (b"II\x2a\0", b"MM\0\x2a"))
    with pytest.warns(FileWarning, match="EXIF"):
        found = read_image(content[:start] + b"nonsense" + content[start + 8 :])
    assert np.array_equal(found.rgba, read_rgba(content))
    assert found.metadata == {}
