"""Animations as files, byte by byte where the encoders here would not write them so."""

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pellucid.rgba.types import AnyArray

PALETTE = bytes(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8))


def saved(format: str, frames: Sequence[AnyArray], **options: object) -> bytes:
    """Saves frames with Pillow's encoder, which crops them to what changes."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    file = io.BytesIO()
    first.save(file, format, save_all=True, append_images=others, **options)
    return file.getvalue()


@dataclass(frozen=True, kw_only=True)
class Part:
    """A frame as it lies in a file: numbers of colours for a GIF, RGBA for a PNG."""

    pixels: AnyArray
    top: int = 0
    left: int = 0
    disposal: int = 0
    blending: int = 0
    clear: int | None = None
    delay: int = 0
    own_table: bool = False


def gif(height: int, width: int, parts: Sequence[Part], *, background: int = 0) -> bytes:
    """Builds a GIF of partial frames."""
    head = b"GIF89a" + struct.pack("<2H", width, height) + bytes([0xF7, background, 0]) + PALETTE
    return head + b"".join(_gif_frame(part) for part in parts) + b";"


def _gif_frame(part: Part) -> bytes:
    flags = part.disposal << 2 | (part.clear is not None)
    control = b"!\xf9\4" + struct.pack("<BHBB", flags, part.delay, part.clear or 0, 0)
    place = struct.pack("<4H", part.left, part.top, *part.pixels.shape[::-1])
    table = b"\x87" + PALETTE[::-1] if part.own_table else b"\0"
    bits = width = 0
    # a code that clears now and then, so that all have nine bits
    for place_, number in enumerate(part.pixels.ravel().tolist()):
        for code in [256, number] if place_ % 200 == 0 else [number]:
            bits |= code << width
            width += 9
    packed = (bits | 257 << width).to_bytes((width + 9 + 7) // 8, "little")
    blocks = [packed[start : start + 255] for start in range(0, len(packed), 255)]
    return control + b"," + place + table + b"\x08" + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0"


def colours(own_table: bool) -> AnyArray:
    """Returns the colours of such a GIF, (256, 3)."""
    return np.frombuffer(PALETTE[::-1] if own_table else PALETTE, np.uint8).reshape(-1, 3)


def apng(
    height: int, width: int, parts: Sequence[Part], *, default: AnyArray | None = None, count: int = -1
) -> bytes:
    """Builds an APNG of partial RGBA frames, with a default image that is none of them if given."""
    chunks = [
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 6, 0, 0, 0)),
        (b"acTL", struct.pack(">2I", len(parts) if count < 0 else count, 0)),
    ]
    if default is not None:
        chunks.append((b"IDAT", _rows(default)))
    number = 0
    for place, part in enumerate(parts):
        rows, columns = part.pixels.shape[:2]
        head = (number, columns, rows, part.left, part.top, part.delay, 100, part.disposal, part.blending)
        chunks.append((b"fcTL", struct.pack(">5I2H2B", *head)))
        number += 1
        if place == 0 and default is None:
            chunks.append((b"IDAT", _rows(part.pixels)))
        else:
            chunks.append((b"fdAT", struct.pack(">I", number) + _rows(part.pixels)))
            number += 1
    return png(*chunks, (b"IEND", b""))


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Builds a PNG of chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _rows(pixels: AnyArray) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
