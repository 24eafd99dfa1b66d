"""Frames of an animated PNG, each as the whole canvas at its time.

Composed here and not by Pillow, whose "over" mixes the colours of half-transparent pixels by the upper one's
alpha alone.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pellucid.errors import FileError
from pellucid.files.png_chunks import SIGNATURE, Chunk
from pellucid.rgba.compositing import over
from pellucid.rgba.types import RGBA8

NOT_DISPOSED, BACKGROUND, PREVIOUS = 0, 1, 2
SOURCE, OVER = 0, 1
STRIP_PX = 1 << 20
"""Pixels that are blended at once: their sums take eight times the memory."""


class PngFrame(NamedTuple):
    """What a file says of a frame, and its packed pixels."""

    left: int
    top: int
    width: int
    height: int
    duration_ms: int
    disposal: int
    blending: int
    data: tuple[bytes, ...]
    """Contents of its IDAT."""


def split_frames(name: str, chunks: Sequence[Chunk], limit: int) -> list[PngFrame]:
    """Splits a PNG into the frames of its animation; none for a still. Nothing is unpacked.

    The default image is a frame only if a fcTL stands before it.

    Raises:
        FileError: frames are missing, out of order or outside the canvas, or more than `limit`.
    """
    kinds = [chunk.kind for chunk in chunks]
    # without a count before the pixels a PNG is a still, says the specification
    if b"acTL" not in kinds[: kinds.index(b"IDAT") if b"IDAT" in kinds else 0]:
        return []
    (count,) = struct.unpack_from(">I", chunks[kinds.index(b"acTL")].body.ljust(8, b"\0"))
    if count > limit:
        raise FileError(f"Cannot read {name}: it holds {count} frames, more than {limit}. Split it.")
    try:
        frames = list(_split(chunks)) if count else []
    except (ValueError, struct.error) as error:
        raise FileError(
            f"Cannot read {name}: its animation is damaged ({error}). Fetch or save it again."
        ) from None
    if len(frames) != count:
        raise FileError(
            f"Cannot read {name}: it says {count} frames and holds {len(frames)}. Fetch or save it again."
        )
    return frames


def is_default_image_shown(chunks: Sequence[Chunk]) -> bool:
    """Tells whether the image that programs without animations show is the first frame."""
    kinds = [chunk.kind for chunk in chunks]
    return b"fcTL" in kinds[: kinds.index(b"IDAT")]


def show_frames(
    frames: Sequence[PngFrame], chunks: Sequence[Chunk], unpack: Callable[[bytes], RGBA8]
) -> Iterator[RGBA8]:
    """Yields the canvas while each frame is shown: uint8 (h, w, 4), one array all the time.

    Colours are the file's own.

    Args:
        frames: of `split_frames`.
        chunks: of the file.
        unpack: unpacks a still PNG to uint8 (h, w, 4).
    """
    width, height = struct.unpack_from(">2I", chunks[0].body)
    canvas = np.zeros((height, width, 4), np.uint8)
    shared = [chunk for chunk in _before_pixels(chunks) if chunk.kind in (b"PLTE", b"tRNS")]
    for frame in frames:
        size = struct.pack(">2I", frame.width, frame.height)
        parts = [(b"IHDR", size + chunks[0].body[8:])]
        parts += [(chunk.kind, chunk.body) for chunk in shared]
        parts += [(b"IDAT", data) for data in frame.data]
        drawn = unpack(SIGNATURE + b"".join(_chunk(*part) for part in (*parts, (b"IEND", b""))))
        area = (slice(frame.top, frame.top + frame.height), slice(frame.left, frame.left + frame.width))
        former = canvas[area].copy() if frame.disposal == PREVIOUS else None
        canvas[area] = drawn if frame.blending == SOURCE else _over(drawn, canvas[area])
        yield canvas
        if former is not None:
            canvas[area] = former
        elif frame.disposal == BACKGROUND:
            canvas[area] = 0


def _before_pixels(chunks: Sequence[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        if chunk.kind == b"IDAT":
            return
        yield chunk


def _split(chunks: Sequence[Chunk]) -> Iterator[PngFrame]:
    canvas = struct.unpack_from(">2I", chunks[0].body)
    head, data, number = None, list[bytes](), 0
    for chunk in chunks:
        if chunk.kind in (b"fcTL", b"fdAT"):
            if int.from_bytes(chunk.body[:4]) != number:
                raise ValueError("its frames are out of order")
            number += 1
        if chunk.kind in (b"fcTL", b"IEND") and head is not None:
            yield _frame(head, data, canvas)
            head = None
        if chunk.kind == b"fcTL":
            head, data = chunk.body, []
        # pixels before the first fcTL are an image that is not shown
        elif chunk.kind in (b"IDAT", b"fdAT") and head is not None:
            if chunk.kind == b"IDAT" and struct.unpack_from(">4I", head, 4) != (*canvas, 0, 0):
                raise ValueError("its default image is a frame of another size")
            data.append(chunk.body[4 if chunk.kind == b"fdAT" else 0 :])


def _frame(head: bytes, data: Sequence[bytes], canvas: tuple[int, ...]) -> PngFrame:
    width, height, left, top, delay, unit, disposal, blending = struct.unpack_from(">4I2H2B", head, 4)
    if not (0 < width <= canvas[0] - left and 0 < height <= canvas[1] - top):
        raise ValueError("a frame lies outside the canvas")
    if not data or disposal > PREVIOUS or blending > OVER:
        raise ValueError("a frame has no pixels, or is laid in an unknown way")
    # a unit of 0 stands for hundredths
    return PngFrame(
        left, top, width, height, round(1000 * delay / (unit or 100)), disposal, blending, tuple(data)
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _over(front: RGBA8, back: RGBA8) -> RGBA8:
    result = np.empty_like(front)
    rows = max(STRIP_PX // front.shape[1], 1)
    for top in range(0, len(front), rows):
        part = slice(top, top + rows)
        result[part] = over(front[part], back[part])
    return result
