"""TIFFs of more than 8 bits: every layout gives all bits, which are rounded once."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from colour_truth import lab_of_inks, press_profile, srgb_of_lab, srgb_of_light
from files.test_tiff import RANDOM, SHAPE, layout, levels_of, packed, tiff
from pellucid.errors import FileError
from pellucid.files.colour_profiles import SRGB_PRIMARIES, build_profile
from pellucid.files.images import read_rgba
from pellucid.rgba.types import AnyArray
from pellucid.scene.scene import Scene

pytestmark = pytest.mark.filterwarnings("ignore:.*CMYK without a colour profile")

COMPRESSIONS = {
    "raw": 1,
    "tiff_lzw": 5,
    "tiff_adobe_deflate": 8,
    "packbits": 32773,
    "lzma": 34925,
    "zstd": 50000,
}


def compressed(rows: bytes, height: int, compression: str) -> bytes:
    """Packs bytes as Pillow packs grey ones."""
    if compression == "raw":
        return rows
    file = io.BytesIO()
    lines = np.frombuffer(rows, np.uint8).reshape(height, -1)
    Image.fromarray(lines).save(file, "TIFF", compression=compression)
    with Image.open(file) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        (start,), (size,) = image.tag_v2[273], image.tag_v2[279]
    return file.getvalue()[start : start + size]


@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("tiles", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kind", [(1, 1, 1), (2, 3, 1), (2, 4, 2), (5, 4, 1)])
def test_strips_and_tiles_of_any_packing(
    kind: tuple[int, int, int], compression: str, order: str, tiles: bool, predictor: int
) -> None:
    photometric, channels, planar = kind
    levels = levels_of(16, channels)
    rows = 16 if tiles else 2
    wide = np.zeros((16, 16, channels), np.int64) if tiles else levels.copy()
    wide[: SHAPE[0], : SHAPE[1]] = levels
    planes = [wide[..., [channel]] for channel in range(channels)] if planar == 2 else [wide]
    if predictor == 2 and compression not in ("raw", "packbits"):
        planes = [np.diff(plane, axis=1, prepend=0) % 65536 for plane in planes]
    pieces = [plane[top : top + rows] for plane in planes for top in range(0, len(plane), rows)]
    strips = [
        compressed(packed(piece.reshape(len(piece), -1), 16, order), len(piece), compression)
        for piece in pieces
    ]
    tags = layout(photometric, 16, channels, **({"extra": [2]} if kind[:2] == (2, 4) else {}))
    tags |= {284: [planar], 317: [predictor], 259: [COMPRESSIONS[compression]], 278: [2]}
    if tiles:
        tags |= {322: [16], 323: [16], 324: [0] * len(strips), 325: [len(strip) for strip in strips]}
    found, shares = read_rgba(tiff(strips, tags, order)), levels / 65535
    wanted = (1 - shares[..., :3]) * (1 - shares[..., 3:]) if photometric == 5 else shares[..., :3]
    assert np.abs(found[..., :3] - wanted * 255).max() <= 0.501
    if kind[:2] == (2, 4):
        assert np.abs(found[..., 3] - shares[..., 3] * 255).max() <= 0.501


@pytest.mark.parametrize("bits", [*range(8, 17), 3, 5])
@pytest.mark.parametrize("order", ["<", ">"])
def test_premultiplied_colours_are_divided_with_all_bits(bits: int, order: str) -> None:
    levels = levels_of(bits, 4)
    levels[..., :3] = levels[..., :3] * levels[..., 3:] // (2**bits - 1)
    content = tiff([packed(levels.reshape(SHAPE[0], -1), bits, order)], layout(2, bits, 4, extra=[1]), order)
    wanted = levels[..., :3] / np.maximum(levels[..., 3:], 1) * 255
    assert np.abs(read_rgba(content)[..., :3] - wanted).max() <= 0.51


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pages_of_16_bits_stand_upright_with_their_profile(orientation: int, tmp_path: Path) -> None:
    levels = levels_of(16, 3)
    profile = build_profile(SRGB_PRIMARIES, (1.0,))
    tags = {**layout(2, 16, 3), 274: [orientation]}
    rows = packed(levels.reshape(SHAPE[0], -1), 16, "<")
    content = with_profile(tiff([rows], tags), profile)
    plain = tiff([packed(levels.reshape(SHAPE[0], -1) // 257, 8, "<")], {**tags, 258: [8] * 3})
    found = read_rgba(content)
    assert found.shape == read_rgba(plain).shape
    upright = read_rgba(with_profile(plain, profile))
    assert np.abs(found.astype(int) - upright).max() <= 14  # a level of 8 bits is 13 in the dark
    if orientation == 1:
        assert np.abs(found[..., :3] - srgb_of_light(levels / 65535)).max() <= 0.7
    path = tmp_path / "x.tiff"
    path.write_bytes(tiff([rows], tags, pages=2))
    both = [layer.image for layer in Scene.open(path).layers]
    assert np.array_equal(both[0], both[1])
    assert np.array_equal(both[0], read_rgba(tiff([rows], tags)))


def with_profile(content: bytes, profile: bytes) -> bytes:
    """Adds an ICC profile to a TIFF of one page by moving its directory behind the end."""
    count = int.from_bytes(content[8:10], "little")
    entries = content[10 : 10 + 12 * count]
    place = len(content)
    entry = np.array([34675, 7], "<u2").tobytes() + np.array([len(profile), place], "<u4").tobytes()
    # tags rise, and none of these files has a higher one
    directory = (count + 1).to_bytes(2, "little") + entries + entry + bytes(4)
    start = (place + len(profile)).to_bytes(4, "little")
    return content[:4] + start + content[8:] + profile + directory


def test_inks_of_16_bits_by_their_press() -> None:
    levels = levels_of(16, 4)
    content = tiff([packed(levels.reshape(SHAPE[0], -1), 16, "<")], layout(5, 16, 4))
    wanted = srgb_of_lab(lab_of_inks(levels / 65535))
    assert np.abs(read_rgba(with_profile(content, press_profile()))[..., :3] - wanted).max() <= 1.5


@pytest.mark.parametrize("tag", [256, 257, 258, 259, 277, 278, 284, 317, 322, 323, 324, 325, 338])
def test_wrong_numbers_are_refused_or_harmless(tag: int) -> None:
    rows = packed(levels_of(16, 3).reshape(SHAPE[0], -1), 16, "<")
    for value in (0, 1, 2, 3, 7, 65535, 2**31, 2**32 - 1):
        content = tiff([rows], {**layout(2, 16, 3), tag: [value]})
        try:
            found: AnyArray = read_rgba(content, max_pixels=10_000)
        except FileError:
            continue
        assert found.size


def test_every_cut_is_seen() -> None:
    rows = packed(RANDOM.integers(0, 65536, (SHAPE[0], SHAPE[1] * 3)), 16, "<")
    content = tiff([rows], layout(2, 16, 3), pages=2)
    for length in range(len(content)):
        with pytest.raises(FileError):
            read_rgba(content[:length])
