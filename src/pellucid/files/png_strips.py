"""Writes a PNG whose pixels come by strips, for canvases that do not fit into memory as a whole.

Filtered by the pixel on the left and packed by runs, as the quick PNGs of `pellucid.files.images` are.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from pellucid.files.png_chunks import SIGNATURE
from pellucid.rgba.types import RGBA8, AnyArray

BITS, RGBA = 8, 6
LEFT = 1
"""The filter that stores each byte's difference from that of the pixel before."""
PIXEL_BYTES = 4


@runtime_checkable
class Writable(Protocol):
    """Anything that takes bytes."""

    def write(self, content: bytes, /) -> object:
        """Takes the next bytes."""
        ...


def write_png(
    file: Writable,
    height: int,
    width: int,
    strips: Iterable[AnyArray | int],  # not RGBA8, of which a type check wants one height
    texts: Mapping[str, str] | None = None,
) -> None:
    """Writes a PNG.

    Args:
        file: takes the bytes.
        height: of the image, pixels.
        width: of the image, pixels.
        strips: uint8 (rows, width, 4), straight, from the top; a number stands for so many clear rows.
        texts: names and contents.
    """
    file.write(SIGNATURE)
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, BITS, RGBA, 0, 0, 0))
    for name, text in (texts or {}).items():
        # UTF-8, neither packed nor in a language or translated
        _write_chunk(file, b"iTXt", name.encode("latin-1") + b"\0\0\0\0\0" + text.encode())
    packer = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    clear = bytes([LEFT]) + bytes(width * PIXEL_BYTES)
    for strip in strips:
        packed = packer.compress(clear * strip if isinstance(strip, int) else _filtered(strip))
        if packed:
            _write_chunk(file, b"IDAT", packed)
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def _filtered(strip: RGBA8) -> bytes:
    rows, width = strip.shape[:2]
    lines = np.empty((rows, 1 + width * PIXEL_BYTES), np.uint8)
    lines[:, 0] = LEFT
    flat = strip.reshape(rows, -1)
    lines[:, 1 : 1 + PIXEL_BYTES] = flat[:, :PIXEL_BYTES]
    # bytes wrap around, as the format asks
    lines[:, 1 + PIXEL_BYTES :] = flat[:, PIXEL_BYTES:] - flat[:, :-PIXEL_BYTES]
    return lines.tobytes()


def _write_chunk(file: Writable, kind: bytes, body: bytes) -> None:
    file.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
