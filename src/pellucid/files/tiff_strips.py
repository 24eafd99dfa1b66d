"""Writes a TIFF whose pages come by strips, for canvases that do not fit into memory as a whole.

8-bit RGBA, unassociated alpha, deflate over differences from the pixel on the left. The directories stand at
the end, when it is known whether the file needs the long offsets of a BigTIFF.

Source: TIFF 6.0; Adobe Photoshop TIFF Technical Notes (deflate); BigTIFF as of libtiff 4.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from pellucid.files import tiff_layout as tiff
from pellucid.files.png_strips import Writable
from pellucid.rgba.strips import StripImage
from pellucid.rgba.types import AnyArray

DEFLATE, HORIZONTAL = 8, 2
BYTE, ASCII, SHORT, LONG, LONG8 = 1, 2, 3, 4, 16
LEVEL = 4
CLASSIC_BYTES = 1 << 32
"""What offsets of 4 bytes reach."""
DATA_START = 16
"""Behind the longer of both headers."""


@runtime_checkable
class Seekable(Writable, Protocol):
    """Anything that takes bytes at any place."""

    def seek(self, offset: int, /) -> object:
        """Goes to a place."""
        ...

    def tell(self) -> int:
        """Returns the place."""
        ...


@dataclass(slots=True)
class _Directory:
    """What a page says of itself."""

    height: int
    width: int
    texts: Mapping[int, str | bytes]
    strip_rows: int = 0
    offsets: list[int] = field(default_factory=list[int])
    lengths: list[int] = field(default_factory=list[int])


def write_tiff_strips(file: Seekable, pages: Iterable[tuple[StripImage, Mapping[int, str | bytes]]]) -> None:
    """Writes a TIFF, or a BigTIFF where it becomes larger than 4 GiB.

    Args:
        file: empty, and may be sought in.
        pages: an image, and texts by their tags: str as ASCII, bytes as they are, of PageName ended by NUL.
    """
    file.write(bytes(DATA_START))
    directories: list[_Directory] = []
    for image, texts in pages:
        directory = _Directory(image.height, image.width, texts)
        _write_strips(file, image, directory)
        directories.append(directory)
    file.write(bytes(file.tell() % 2))  # directories begin at even places
    start = file.tell()
    content = _directories(directories, start, big=True)
    big = start + len(content) > CLASSIC_BYTES
    file.write(content if big else _directories(directories, start, big=False))
    file.seek(0)
    file.write(
        struct.pack("<2sHHHQ", b"II", tiff.BIG, 8, 0, start)
        if big
        else struct.pack("<2sHI", b"II", 42, start)
    )


def _write_strips(file: Seekable, image: StripImage, directory: _Directory) -> None:
    clear: dict[int, bytes] = {}
    for span, strip in image.strips:
        count = span.stop - span.start
        directory.strip_rows = directory.strip_rows or count
        if strip is not None:
            packed = zlib.compress(_differences(strip), LEVEL)
        else:
            if count not in clear:
                clear[count] = zlib.compress(bytes(count * image.width * 4), LEVEL)
            packed = clear[count]
        directory.offsets.append(file.tell())
        directory.lengths.append(len(packed))
        file.write(packed)


def _differences(strip: AnyArray) -> bytes:
    """Returns what each pixel adds to the one on its left; bytes wrap around, as the format asks."""
    rows = np.array(strip, np.uint8, order="C")
    rows[:, 1:] -= strip[:, :-1]
    return rows.tobytes()


def _directories(directories: Sequence[_Directory], start: int, *, big: bool) -> bytes:
    """Packs the directories, of which the first begins at `start`."""
    parts = bytearray()
    for number, directory in enumerate(directories):
        last = number == len(directories) - 1
        parts += _packed(_entries(directory, LONG8 if big else LONG), start + len(parts), last=last, big=big)
    return bytes(parts)


def _entries(directory: _Directory, offset_kind: int) -> dict[int, tuple[int, Sequence[int] | bytes]]:
    entries: dict[int, tuple[int, Sequence[int] | bytes]] = {
        tiff.WIDTH: (LONG, [directory.width]),
        tiff.LENGTH: (LONG, [directory.height]),
        tiff.BITS: (SHORT, [8, 8, 8, 8]),
        tiff.COMPRESSION: (SHORT, [DEFLATE]),
        tiff.PHOTOMETRIC: (SHORT, [tiff.RGB]),
        tiff.STRIPS[0]: (offset_kind, directory.offsets),
        tiff.SAMPLES: (SHORT, [4]),
        tiff.STRIP_ROWS: (LONG, [directory.strip_rows]),
        tiff.STRIPS[1]: (offset_kind, directory.lengths),
        tiff.PLANAR: (SHORT, [1]),
        tiff.PREDICTOR: (SHORT, [HORIZONTAL]),
        tiff.EXTRA: (SHORT, [tiff.UNASSOCIATED]),
    }
    for tag, text in directory.texts.items():
        is_xmp = tag == tiff.XMP
        content = text.encode("ascii", "replace") if isinstance(text, str) else text
        entries[tag] = (BYTE, content) if is_xmp else (ASCII, content + b"\0")
    return entries


def _packed(
    entries: Mapping[int, tuple[int, Sequence[int] | bytes]], start: int, *, last: bool, big: bool
) -> bytes:
    """Packs a directory at `start`, its longer values behind it; the next one, if any, follows these."""
    count_letter, letter, inside = ("Q", "Q", 8) if big else ("H", "I", 4)
    head = struct.calcsize(f"<{count_letter}")
    size = head + len(entries) * (4 + 2 * inside) + inside
    table, behind = bytearray(struct.pack(f"<{count_letter}", len(entries))), bytearray()
    for tag, (kind, values) in sorted(entries.items()):
        content = (
            values
            if isinstance(values, bytes)
            else struct.pack(f"<{len(values)}{tiff.NUMBERS[kind]}", *values)
        )
        table += struct.pack(f"<HH{letter}", tag, kind, len(values))
        if len(content) <= inside:
            table += content.ljust(inside, b"\0")
            continue
        table += struct.pack(f"<{letter}", start + size + len(behind))
        behind += content + bytes(len(content) % 2)
    behind += bytes(-(start + size + len(behind)) % 2)
    table += struct.pack(f"<{letter}", 0 if last else start + size + len(behind))
    return bytes(table + behind)
