"""Writes a PNG whose pixels come by strips, for canvases that do not fit into memory as a whole.

Each row is filtered by what leaves the least, and packed by runs, as the quick PNGs of
`pellucid.files.images` are.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from pellucid.files.png_chunks import SIGNATURE
from pellucid.rgba.strips import StripImage
from pellucid.rgba.types import AnyArray

BITS, RGBA = 8, 6
LEFT, ABOVE, PAETH = 1, 2, 4
"""Filters: they store a byte's difference from the pixel before, from the one above, or from whichever of
these and the one before that above is nearest to what continues them."""
PIXEL_BYTES = 4


@runtime_checkable
class Writable(Protocol):
    """Anything that takes bytes."""

    def write(self, content: bytes, /) -> object:
        """Takes the next bytes."""
        ...


def write_png(file: Writable, image: StripImage, texts: Mapping[str, str] | None = None) -> None:
    """Writes a PNG.

    Args:
        file: takes the bytes.
        image: what is written.
        texts: names and contents.
    """
    height, width = image.height, image.width
    file.write(SIGNATURE)
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, BITS, RGBA, 0, 0, 0))
    for name, text in (texts or {}).items():
        # UTF-8, neither packed nor in a language or translated
        _write_chunk(file, b"iTXt", name.encode("latin-1") + b"\0\0\0\0\0" + text.encode())
    packer = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    clear, above = np.zeros((1, width * PIXEL_BYTES), np.uint8), np.zeros(width * PIXEL_BYTES, np.uint8)
    for span, strip in image.strips:
        if strip is None:
            # the first row is filtered by the one above it, which may not be clear
            more = span.stop - span.start - 1
            lines = _filtered(clear, above) + (bytes([LEFT]) + clear.tobytes()) * more
            above = clear[0]
        else:
            rows = np.ascontiguousarray(strip).reshape(len(strip), -1)
            lines, above = _filtered(rows, above), rows[-1]
        if packed := packer.compress(lines):
            _write_chunk(file, b"IDAT", packed)
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def _filtered(rows: AnyArray, above: AnyArray) -> bytes:
    """Filters rows, uint8 (n, bytes), below the row `above` (bytes,), each with its filter's number first."""
    up = np.concatenate([above[None], rows[:-1]])
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, PIXEL_BYTES:], corner[:, PIXEL_BYTES:] = rows[:, :-PIXEL_BYTES], up[:, :-PIXEL_BYTES]
    # bytes wrap around, as the format asks
    choices = {LEFT: rows - left, ABOVE: rows - up, PAETH: rows - _nearest(left, up, corner)}
    # as signed numbers: the usual measure of which filter leaves the least to pack
    rests = [np.abs(choice.view(np.int8).astype(np.int16)).sum(axis=1) for choice in choices.values()]
    best = np.argmin(rests, axis=0)
    lines = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = np.array(list(choices))[best]
    for number, choice in enumerate(choices.values()):
        lines[best == number, 1:] = choice[best == number]
    return lines.tobytes()


def _nearest(left: AnyArray, up: AnyArray, corner: AnyArray) -> AnyArray:
    """Returns of three neighbours the one nearest to left + up - corner; left before up before corner."""
    wide = [each.astype(np.int16) for each in (left, up, corner)]
    from_left, from_up = np.abs(wide[1] - wide[2]), np.abs(wide[0] - wide[2])
    from_corner = np.abs(wide[0] + wide[1] - 2 * wide[2])
    is_left = (from_left <= from_up) & (from_left <= from_corner)
    return np.where(is_left, left, np.where(from_up <= from_corner, up, corner))


def _write_chunk(file: Writable, kind: bytes, body: bytes) -> None:
    file.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
