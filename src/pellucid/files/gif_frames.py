"""Frames of a GIF, each as the whole canvas at its time.

Pillow only unpacks the numbers of colours. Where a frame without a clear colour is disposed of, it would
paint the background's colour, and every browser and ImageMagick make it transparent.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from pellucid.errors import FileError
from pellucid.rgba.types import RGBA8, AnyArray

SIGNATURES = (b"GIF87a", b"GIF89a")
BACKGROUND, PREVIOUS = (2,), (3, 4)  # browsers take 4 for 3: an old encoder counted so
GREYS = bytes(level for level in range(256) for _ in range(3))
"""Colours of a file that has no table; the specification leaves them open."""


class GifFrame(NamedTuple):
    """What a file says of a frame, and its packed pixels."""

    left: int
    top: int
    width: int
    height: int
    interlaced: int
    table: bytes
    """Three bytes a colour."""
    data: bytes
    duration_ms: int
    disposal: int
    clear: int | None
    """Number of the colour that leaves what is below."""


def split_frames(name: str, content: bytes, limit: int) -> list[GifFrame]:
    """Splits a GIF into at most `limit` frames; nothing is unpacked.

    Raises:
        FileError: damaged, truncated, or of more frames.
    """
    frames = list[GifFrame]()
    try:
        table, position = _table(content, 13, content[10])
        control = (0, 0, None)
        # strictly up to the trailer: a file that is cut after a frame looks whole otherwise
        while content[position] != 0x3B:
            mark = content[position]
            if mark == 0x21:
                label, (body, position) = content[position + 1], _blocks(content, position + 2)
                control = _control(body) if label == 0xF9 else control
            elif mark == 0x2C:
                frame, position = _frame(content, position + 1, table, control)
                frames.append(frame)
                control = (0, 0, None)
            elif mark:  # some encoders pad with zeros
                raise ValueError("no block")
            else:
                position += 1
            if len(frames) > limit:
                raise FileError(f"Cannot read {name}: it holds more than {limit} frames. Split it.")
    except (IndexError, struct.error):
        raise FileError(f"Cannot read {name}: it is truncated. Fetch or save it again.") from None
    except ValueError:
        raise FileError(f"Cannot read {name}: its blocks are damaged. Fetch or save it again.") from None
    return frames


def show_frames(frames: Sequence[GifFrame], height: int, width: int) -> Iterator[RGBA8]:
    """Yields the canvas while each frame is shown: uint8 (height, width, 4), one array all the time."""
    canvas = np.zeros((height, width, 4), np.uint8)
    for frame in frames:
        # what reaches beyond the canvas is cut off, as browsers do
        area = (
            slice(frame.top, min(frame.top + frame.height, height)),
            slice(frame.left, min(frame.left + frame.width, width)),
        )
        former = canvas[area].copy() if frame.disposal in PREVIOUS else None
        if frame.width and frame.height:
            numbers = _numbers(frame)[: canvas[area].shape[0], : canvas[area].shape[1]]
            drawn = _colours(frame.table)[numbers]
            kept = numbers != frame.clear
            canvas[area][kept] = drawn[kept]
        yield canvas
        if former is not None:
            canvas[area] = former
        elif frame.disposal in BACKGROUND:
            canvas[area] = 0


def _table(content: bytes, start: int, flags: int) -> tuple[bytes, int]:
    """Returns the table of colours that the flags announce, and where it ends."""
    end = start + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    if end > len(content):
        raise IndexError(end)
    return content[start:end], end


def _blocks(content: bytes, position: int) -> tuple[bytes, int]:
    """Joins the blocks of data at a place, and returns where they end."""
    start = position
    while size := content[position]:
        position += 1 + size
    return content[start : position + 1], position + 1


def _control(body: bytes) -> tuple[int, int, int | None]:
    """Returns duration, disposal and clear colour of the frame that follows."""
    flags, delay, clear = struct.unpack_from("<BHB", body, 1)
    return delay * 10, flags >> 2 & 7, clear if flags & 1 else None


def _frame(
    content: bytes, start: int, table: bytes, control: tuple[int, int, int | None]
) -> tuple[GifFrame, int]:
    left, top, width, height, flags = struct.unpack_from("<4HB", content, start)
    own, position = _table(content, start + 9, flags)
    data, end = _blocks(content, position + 1)
    packed = content[position : position + 1] + data
    duration, disposal, clear = control
    frame = GifFrame(left, top, width, height, flags & 0x40, own or table, packed, duration, disposal, clear)
    return frame, end


def _numbers(frame: GifFrame) -> AnyArray:
    """Unpacks the numbers of a frame's colours, through a GIF of that frame alone."""
    size = struct.pack("<2H", frame.width, frame.height)
    still = (
        b"GIF89a" + size + b"\xf7\0\0" + GREYS + b"," + bytes(4) + size + bytes([frame.interlaced])
    ) + frame.data
    with Image.open(io.BytesIO(still + b";"), formats=["GIF"]) as image:
        return np.asarray(image)


def _colours(table: bytes) -> AnyArray:
    """Returns 256 RGBA colours; those that the table lacks are black."""
    colours = np.zeros((256, 4), np.uint8)
    colours[:, 3] = 255
    rgb = np.frombuffer(table or GREYS, np.uint8).reshape(-1, 3)
    colours[: len(rgb), :3] = rgb
    return colours
