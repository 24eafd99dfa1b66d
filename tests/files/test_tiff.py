"""TIFFs as other programs write them, put together by hand: each is read right or refused by name."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import FileError
from pellucid.files.images import read_rgba
from pellucid.rgba.types import AnyArray
from pellucid.scene.scene import Scene

pytestmark = pytest.mark.filterwarnings("ignore:.*CMYK without a colour profile")

Tags = dict[int, list[int]]
SHAPE = (5, 6)
RANDOM = np.random.default_rng(3)


def tiff(
    strips: list[bytes],
    tags: Tags,
    order: str = "<",
    *,
    deflate: bool = False,
    pages: int = 1,
    later: Tags | None = None,
) -> bytes:
    """Builds a TIFF whose directories stand before their values and pixels; all numbers have 32 bits.

    `later` has the tags in which the second page and those after it differ.
    """
    if deflate:
        strips = [zlib.compress(strip) for strip in strips]
    file = b"II\x2a\0" if order == "<" else b"MM\0\x2a"
    place = 8
    parts = [file + struct.pack(order + "I", place)]
    for page in range(pages):
        entries: Tags = {
            256: [SHAPE[1]],
            257: [SHAPE[0]],
            259: [8 if deflate else 1],
            278: [SHAPE[0]],
            273: [0] * len(strips),
            279: [len(strip) for strip in strips],
            **tags,
            **((later or {}) if page else {}),
        }
        if 324 in entries:  # tiles in place of strips
            entries = {tag: values for tag, values in entries.items() if tag not in (273, 278, 279)}
        after = place + 2 + 12 * len(entries) + 4
        values_at = {}
        for tag, values in entries.items():
            values_at[tag] = after
            after += 4 * len(values) if len(values) > 1 else 0
        starts = after + np.cumsum([0, *(len(strip) for strip in strips)])
        entries[324 if 324 in entries else 273] = starts[:-1].tolist()
        directory, outside = struct.pack(order + "H", len(entries)), b""
        for tag, values in sorted(entries.items()):
            inline = values[0] if len(values) == 1 else values_at[tag]
            directory += struct.pack(order + "HHII", tag, 4, len(values), inline)
        for values in entries.values():
            outside += struct.pack(f"{order}{len(values)}I", *values) if len(values) > 1 else b""
        place = int(starts[-1])
        parts += [directory + struct.pack(order + "I", place if page + 1 < pages else 0) + outside, *strips]
    return b"".join(parts)


def packed(levels: AnyArray, bits: int, order: str) -> bytes:
    """Packs each row of levels (h, w), most significant bit first below a byte, in file order above."""
    if bits in (8, 16, 32):
        return levels.astype(f"{order}u{bits // 8}").tobytes()
    whole = (levels[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(whole.reshape(len(levels), -1), axis=1).tobytes()


def levels_of(bits: int, channels: int) -> AnyArray:
    return RANDOM.integers(0, 2**bits, (*SHAPE, channels))


def layout(photometric: int, bits: int, channels: int, **more: list[int]) -> Tags:
    extra = {338: more["extra"]} if "extra" in more else {}
    return {258: [bits] * channels, 262: [photometric], 277: [channels], **extra}


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("photometric", "channels", "extra"), [(2, 3, []), (2, 4, [2]), (2, 4, [1]), (5, 4, [])]
)
def test_planes_give_what_channels_together_give(
    photometric: int, channels: int, extra: list[int], bits: int, order: str, deflate: bool
) -> None:
    levels = levels_of(bits, channels)
    tags = layout(photometric, bits, channels, **({"extra": extra} if extra else {}))
    together = tiff([packed(levels.reshape(SHAPE[0], -1), bits, order)], tags, order, deflate=deflate)
    planes = [packed(levels[..., channel], bits, order) for channel in range(channels)]
    apart = tiff(planes, {**tags, 284: [2]}, order, deflate=deflate)
    found = read_rgba(together)
    assert np.array_equal(read_rgba(apart), found)
    if photometric == 2 and extra != [1]:
        assert np.abs(found[..., :channels] - levels / (2**bits - 1) * 255).max() <= 1


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", range(1, 17))
def test_grey_of_any_depth_is_right(bits: int, photometric: int, order: str, deflate: bool) -> None:
    levels = levels_of(bits, 1)[..., 0]
    content = tiff([packed(levels, bits, order)], layout(photometric, bits, 1), order, deflate=deflate)
    share = levels / (2**bits - 1)
    wanted = (1 - share if photometric == 0 else share) * 255
    assert np.abs(read_rgba(content)[..., 0] - wanted).max() <= 0.5


@pytest.mark.parametrize("extra", [0, 1, 2])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [4, 8, 12, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_with_alpha_is_right(photometric: int, bits: int, order: str, planar: int, extra: int) -> None:
    levels = levels_of(bits, 2)
    levels[..., 1] = np.maximum(levels[..., 1], levels[..., 0])  # as premultiplied ones must be
    planes = [levels[..., 0], levels[..., 1]] if planar == 2 else [levels.reshape(SHAPE[0], -1)]
    tags = {**layout(photometric, bits, 2, extra=[extra]), 284: [planar]}
    content = tiff([packed(plane, bits, order) for plane in planes], tags, order, deflate=order == "<")
    if photometric == 0 and extra == 1:
        with pytest.raises(FileError, match=f"{bits}-bit grey with 1 more"):
            read_rgba(content)
        return
    found, shares = read_rgba(content), levels / (2**bits - 1)
    grey = 1 - shares[..., 0] if photometric == 0 else shares[..., 0]
    alpha = shares[..., 1] if extra else np.ones(SHAPE)
    wanted = grey / np.maximum(alpha, 1e-9) if extra == 1 else grey
    assert np.abs(found[..., 3] - alpha * 255).max() <= 0.5
    assert np.abs(found[..., 0] - wanted * 255).max() <= (1 if bits == 8 else 0.6)


@pytest.mark.parametrize("scale", [1, 256, 257])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_have_entries_of_8_or_of_16_bits(bits: int, scale: int) -> None:
    entries = RANDOM.integers(0, 256, (3, 2**bits))
    entries[0, 0] = 200
    levels = levels_of(bits, 1)[..., 0]
    tags = {**layout(3, bits, 1), 320: (entries * scale).ravel().tolist()}
    found = read_rgba(tiff([packed(levels, bits, "<")], tags))
    assert np.array_equal(found[..., :3], np.moveaxis(entries[:, levels], 0, -1))


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({**layout(1, 32, 1), 339: [3]}, "32-bit float grey"),
        ({**layout(1, 16, 1), 339: [2]}, "16-bit signed grey"),
        ({**layout(1, 8, 1), 339: [2]}, "8-bit signed grey"),
        ({**layout(2, 32, 3), 339: [3] * 3}, "32-bit float RGB"),
        (layout(2, 24, 3), "24-bit RGB"),
        (layout(1, 16, 10, extra=[0] * 9), "16-bit grey with 9 more"),
        (layout(8, 8, 3), "8-bit Lab"),
        (layout(32803, 16, 1), "16-bit raw camera"),
        (layout(3, 16, 1), "16-bit palette"),
        (layout(5, 8, 5, extra=[2]), "8-bit CMYK with 1 more"),
        ({258: [5, 6, 5], 262: [2], 277: [3]}, "5/6-bit RGB"),
    ],
)
def test_other_samples_are_refused_by_name(tags: Tags, name: str) -> None:
    for pages in (1, 2):
        content = tiff([bytes(1000)], tags, pages=pages)
        with pytest.raises(FileError, match=name):
            read_rgba(content)


KINDS: dict[str, tuple[Tags, int, bool]] = {
    "grey": (layout(1, 8, 1), 1, False),
    "deflated": (layout(2, 8, 3), 1, True),
    "planes": ({**layout(2, 16, 3), 284: [2]}, 3, False),
    "deflated planes": ({**layout(2, 8, 4, extra=[2]), 284: [2]}, 4, True),
    "palette": ({**layout(3, 4, 1), 320: [700 * i for i in range(48)]}, 1, False),
}


@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_cut_off_anywhere_is_refused(tmp_path: Path, kind: str, pages: int) -> None:
    tags, planes, deflate = KINDS[kind]
    bits, channels = tags[258][0], len(tags[258])
    rows = packed(levels_of(bits, channels // planes).reshape(SHAPE[0], -1), bits, "<")
    content = tiff([rows] * planes, tags, deflate=deflate, pages=pages)
    path = tmp_path / "x.tiff"
    path.write_bytes(content)
    assert len(Scene.open(path).layers) == pages
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(FileError, match=r"truncated|empty|no PNG"):
            Scene.open(path)


def test_thumbnails_may_be_of_any_kind(tmp_path: Path) -> None:
    path = tmp_path / "x.tiff"
    path.write_bytes(tiff([bytes(120)], layout(1, 8, 1), pages=2, later={254: [1], 258: [32], 339: [3]}))
    assert len(Scene.open(path).layers) == 1


def test_a_circle_of_directories_ends() -> None:
    content = tiff([bytes(30)], layout(1, 8, 1))
    (count,) = struct.unpack_from("<H", content, 8)
    circle = bytearray(content)
    struct.pack_into("<I", circle, 10 + 12 * count, 8)
    assert np.array_equal(read_rgba(bytes(circle)), read_rgba(content))
