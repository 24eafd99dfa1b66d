"""Icons: the largest image, clear where its alpha or its mask says so."""

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from files.animations import PALETTE
from pellucid.errors import FileError
from pellucid.files.images import encode_image, read_image, read_rgba
from pellucid.rgba.types import AnyArray

TWO_SENTENCES = r"\. [A-Z].*\.$"


def noise(height: int, width: int, channels: int, seed: int = 0) -> AnyArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def rows(bits: AnyArray) -> bytes:
    """Packs bits, (h, n), into rows of whole four bytes, the lowest first."""
    filled = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 32)))
    return np.packbits(filled[::-1], axis=1).tobytes()


def bitmap(depth: int, rgba: AnyArray, hidden: AnyArray) -> tuple[bytes, AnyArray]:
    """Builds an entry, and the colours that are in it: (h, w, 3)."""
    height, width = hidden.shape
    table = b""
    if depth <= 8:
        numbers = rgba[..., 0] & ((1 << depth) - 1)
        colours = np.frombuffer(PALETTE, np.uint8).reshape(-1, 3)
        table = b"".join(bytes([*colours[number][::-1], 0]) for number in range(1 << depth))
        bits: AnyArray = np.unpackbits(numbers[..., None].astype(np.uint8), axis=2)
        samples, shown = bits[..., 8 - depth :], colours[numbers]
    elif depth == 16:
        five = rgba[..., :3].astype(np.uint16) >> 3
        words = (five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]).astype("<u2")
        samples = np.unpackbits(words[..., None].view(np.uint8), axis=2)
        shown = (five * 255 // 31).astype(np.uint8)
    else:
        order = [2, 1, 0, 3][: depth // 8]
        samples, shown = np.unpackbits(rgba[..., order], axis=2), rgba[..., :3]
    header = struct.pack("<IiiHHIIiiII", 40, width, 2 * height, 1, depth, 0, 0, 0, 0, 0, 0)
    return header + table + rows(samples.reshape(height, -1)) + rows(hidden.astype(np.uint8)), shown


def icon(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Builds an icon of entries: height, width and depth as they are listed, and content."""
    listed, content = b"", b""
    for height, width, depth, entry in entries:
        start = 6 + 16 * len(entries) + len(content)
        listed += struct.pack("<4B2H2I", width & 255, height & 255, 0, 0, 1, depth, len(entry), start)
        content += entry
    return struct.pack("<3H", 0, 1, len(entries)) + listed + content


@settings(max_examples=80)
@given(
    depth=st.sampled_from([1, 4, 8, 16, 24, 32]),
    height=st.integers(1, 5),
    width=st.integers(1, 40),
    says=st.sampled_from([None, 0, 24]),
    rest=st.sampled_from([b"", bytes(7)]),
    has_alpha=st.booleans(),
)
def test_an_icon_is_clear_where_its_mask_says(
    depth: int, height: int, width: int, says: int | None, rest: bytes, has_alpha: bool
) -> None:
    rgba, hidden = noise(height, width, 4), noise(height, width, 1, 1)[..., 0] > 127
    rgba[0, 0, 3] = 9  # at least one
    if not has_alpha:
        rgba[..., 3] = 0
    entry, shown = bitmap(depth, rgba, hidden)
    found = read_image(icon((height, width, depth if says is None else says, entry + rest)))
    assert found.format == "ICO"
    if depth == 32 and has_alpha:
        assert np.array_equal(found.rgba, rgba)
        return
    assert np.array_equal(found.rgba[..., 3], np.where(hidden, 0, 255))
    # five bits are widened in more than one way
    assert np.abs(found.rgba[..., :3].astype(int) - shown).max() <= (8 if depth == 16 else 0)


@pytest.mark.external
@pytest.mark.skipif(shutil.which("convert") is None, reason="needs ImageMagick")
@pytest.mark.parametrize("depth", [1, 4, 8, 24, 32])
def test_image_magick_reads_an_icon_alike(depth: int, tmp_path: Path) -> None:
    entry, _ = bitmap(depth, noise(16, 16, 4), noise(16, 16, 1, 1)[..., 0] > 127)
    content = icon((16, 16, depth, entry))
    call = ["convert", "ico:-", "-depth", "8", "rgba:-"]
    raw = subprocess.run(call, input=content, capture_output=True, check=True).stdout
    theirs, ours = np.frombuffer(raw, np.uint8).reshape(16, 16, 4), read_rgba(content)
    assert np.array_equal(theirs[..., 3], ours[..., 3])
    assert np.array_equal(theirs[ours[..., 3] > 0], ours[ours[..., 3] > 0])


def test_the_largest_image_is_read() -> None:
    small, _ = bitmap(32, noise(8, 8, 4), np.zeros((8, 8), bool))
    few, _ = bitmap(4, noise(16, 16, 4), np.zeros((16, 16), bool))
    many, _ = bitmap(32, noise(16, 16, 4), np.zeros((16, 16), bool))
    large = noise(300, 256, 4)
    entries = [(8, 8, 32, small), (16, 16, 4, few), (16, 16, 0, many)]
    assert np.array_equal(read_rgba(icon(*entries)), noise(16, 16, 4))
    # listed as 0 x 0, as 256 pixels are; the PNG itself counts
    found = read_rgba(icon(*entries, (0, 0, 32, encode_image(large))))
    assert np.array_equal(found, large)


@pytest.mark.parametrize("depth", [1, 24, 32])
def test_icons_of_an_unusual_kind_are_refused(depth: int) -> None:
    entry, _ = bitmap(depth, noise(8, 8, 4), np.zeros((8, 8), bool))
    single = entry[:8] + struct.pack("<i", 8) + entry[12:]
    packed = entry[:16] + struct.pack("<I", 1) + entry[20:]
    for wrong in (single, packed, b"", entry[:20]):
        with pytest.raises(FileError, match=TWO_SENTENCES):
            read_image(icon((8, 8, depth, wrong)))
    with pytest.raises(FileError, match="without images"):
        read_image(icon())
    with pytest.raises(FileError, match="more than the limit of 63"):
        read_image(icon((8, 8, depth, entry)), max_pixels=63)
