"""BMPs whose pixels are bit fields of any width, with alpha or without."""

import struct
from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import FileError
from pellucid.files.images import read_rgba

MASKS = [
    (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    (16, (0xF00, 0xF0, 0xF, 0xF000)),
    (16, (0xF000, 0xF00, 0xF0, 0xF)),
    (16, (0x1F, 0x7E0, 0xF800, 0)),
    (16, (0xF800, 0x7E0, 0x1F, 0)),
    (32, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000)),
    (32, (0xFF, 0xFF00, 0xFF0000, 0)),
    (32, (0xFF0000, 0xFF00, 0xFF, 0x7F000000)),
    (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
]
HEIGHT, WIDTH = 5, 7


def bmp(levels: np.ndarray, bits: int, masks: tuple[int, ...], header: int, *, top_down: bool) -> bytes:
    """Builds a file of words (h, w) with a header of 40, 56, 108 or 124 bytes."""
    height, width = levels.shape
    row = (width * bits + 31) // 32 * 4
    words = levels.astype(f"<u{bits // 8}")
    rows = [line.tobytes().ljust(row, b"\0") for line in (words if top_down else words[::-1])]
    # the oldest header has masks behind it, of alpha with a kind of its own
    kind = 6 if header == 40 and masks[3] else 3
    size = struct.pack("<IiiHHI20x", header, width, -height if top_down else height, 1, bits, kind)
    start = 14 + max(header, 56)
    head = struct.pack("<2sIII", b"BM", start + len(rows) * row, 0, start)
    return head + (size + struct.pack("<4I", *masks)).ljust(start - 14, b"\0") + b"".join(rows)


def field(levels: np.ndarray, mask: int) -> np.ndarray:
    shift = (mask & -mask).bit_length() - 1
    return np.floor(((levels & mask) >> shift) * 255 / (mask >> shift) + 0.5)


@pytest.mark.parametrize(("bits", "masks"), MASKS)
@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize("top_down", [False, True])
def test_fields_are_read_by_their_masks(
    tmp_path: Path, bits: int, masks: tuple[int, ...], header: int, *, top_down: bool
) -> None:
    levels = np.random.default_rng(0).integers(0, 1 << bits, (HEIGHT, WIDTH), dtype=np.int64)
    path = tmp_path / "x.bmp"
    path.write_bytes(bmp(levels, bits, masks, header, top_down=top_down))
    found = read_rgba(path)
    alpha = field(levels, masks[3]) if masks[3] else np.full(levels.shape, 255)
    expected = np.stack([*(field(levels, mask) for mask in masks[:3]), alpha], axis=-1)
    # Pillow rounds fields of 5 and 6 bits another way where it reads them itself
    assert np.abs(found.astype(int) - expected).max() <= (1 if masks[3] == 0 and bits == 16 else 0)


def test_alpha_that_nobody_set_is_opaque(tmp_path: Path) -> None:
    path = tmp_path / "x.bmp"
    levels = np.full((HEIGHT, WIDTH), 0x1234)
    path.write_bytes(bmp(levels, 16, MASKS[0][1], 108, top_down=False))
    assert (read_rgba(path)[..., 3] == 255).all()


@pytest.mark.parametrize(("bits", "masks"), MASKS)
def test_a_file_that_ends_early_is_refused_at_every_byte(
    tmp_path: Path, bits: int, masks: tuple[int, ...]
) -> None:
    path = tmp_path / "x.bmp"
    content = bmp(np.full((HEIGHT, WIDTH), (1 << bits) - 1), bits, masks, 108, top_down=False)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        try:
            rgba = read_rgba(path)
        except FileError:
            continue
        # only the padding of the last row was behind the cut
        assert rgba.all()
        assert length > len(content) - 4


def test_fields_in_pieces_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.bmp"
    levels = np.zeros((HEIGHT, WIDTH), int)
    path.write_bytes(bmp(levels, 16, (0x5000, 0xF0, 0xF, 0), 108, top_down=False))
    with pytest.raises(FileError):
        read_rgba(path)
