"""Samples of a TIFF of any depth from 1 to 16 bits, which Pillow reads to 8 bits or not at all.

Strips and tiles are unpacked one by one, as the bytes they are made of, and every sample is taken out of them
with all its bits. Pillow still reads what else the file says: it is shown twins of the directories, which say
that the pixels are bits. Numbers are tags and values of TIFF 6.0.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from PIL import Image

from pellucid.files.deep_colours import deep_to_srgb
from pellucid.files.tiff_layout import (
    ASSOCIATED,
    BIG,
    BITS,
    CHANNELS,
    COLOUR,
    COMPRESSION,
    FILL_ORDER,
    LENGTH,
    PHOTOMETRIC,
    SAMPLES,
    SHAPE,
    STRIP_ROWS,
    STRIPS,
    TILE_LENGTH,
    TILE_WIDTH,
    TILES,
    UNASSOCIATED,
    UNCOMPRESSED,
    WHITE_IS_ZERO,
    WIDTH,
    Layout,
)
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGBA8, AnyArray

DEFLATE = (8, 32946)
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
LONG, LONG8 = 4, 16
TOP = 65535
OF_PIXELS = {*SHAPE, *COLOUR, *STRIPS, *TILES}


def with_twins(content: bytes, layouts: Sequence[Layout]) -> bytes:
    """Returns the file with directories that Pillow can open: those of deep pages call the pixels bits.

    What the file holds stays where it is; the new directories stand behind it. Nobody may unpack a twin.

    Raises:
        ValueError: the file ends before the samples of a page do.
    """
    deep = [layout for layout in layouts if layout.deep]
    if not deep:
        return content
    if not all(_is_whole(layout) for layout in deep):
        raise ValueError("truncated")
    order = "<" if content.startswith(b"II") else ">"
    big = BIG in content[2:4]
    count_form, offset_form, kind = ("Q", "Q", LONG8) if big else ("H", "I", LONG)
    place = len(content) + len(content) % 2
    head = content[:8] if big else content[:4]
    parts = [head + struct.pack(order + offset_form, place)]
    parts += [content[len(parts[0]) :], bytes(len(content) % 2)]
    for layout in layouts:
        entries = dict(layout.entries)
        if layout.deep:
            entries = {tag: entry for tag, entry in entries.items() if tag not in OF_PIXELS}
            twin = {WIDTH: layout.first(WIDTH, 0), LENGTH: layout.first(LENGTH, 0), BITS: 1, SAMPLES: 1}
            twin |= {COMPRESSION: DEFLATE[0], PHOTOMETRIC: 1, STRIPS[0]: 8, STRIPS[1]: 1}
            for tag, value in twin.items():
                entries[tag] = struct.pack(f"{order}HH{offset_form}{offset_form}", tag, kind, 1, value)
        directory = struct.pack(order + count_form, len(entries)) + b"".join(
            entries[tag] for tag in sorted(entries)
        )
        place += len(directory) + struct.calcsize(order + offset_form)
        last = layout is layouts[-1]
        parts.append(directory + struct.pack(order + offset_form, 0 if last else place))
    return b"".join(parts)


def read_deep(content: bytes, layout: Layout, profile: bytes, notes: list[str]) -> RGBA8:
    """Reads a page in sRGB, as it is stored, not turned upright.

    Args:
        content: the file.
        layout: of the page; a deep one.
        profile: a file of ICC, or empty.
        notes: gets a sentence if the profile cannot be read.

    Raises:
        FileError: a profile for another kind of colour.
        ValueError: damaged.
    """
    samples, top = _samples(content, layout), 2 ** layout.first(BITS, 1) - 1
    photometric = layout.first(PHOTOMETRIC, 0)
    count = CHANNELS[photometric]
    levels, alpha = samples[..., :count], np.full((*samples.shape[:2], 1), top, samples.dtype)
    if photometric == WHITE_IS_ZERO:
        levels = top - levels
    if samples.shape[2] > count and layout.extra in (ASSOCIATED, UNASSOCIATED):
        alpha = samples[..., count : count + 1]
    opacity = to_bytes(alpha / np.float32(top))
    if layout.extra == ASSOCIATED and samples.shape[2] > count:
        # divided with all bits: in bytes colours of thin places would be many levels off
        shares = levels / np.maximum(alpha, 1).astype(np.float32)
        levels, top = np.rint(np.minimum(shares, 1) * TOP).astype(np.uint16), TOP
    return np.dstack([deep_to_srgb(levels, profile, notes, top=top), opacity])


def _is_whole(layout: Layout) -> bool:
    # what is packed, the directory's counts are checked of
    places = chain.from_iterable(_places(layout) for _ in range(layout.planes))
    sizes = (rows * _row_size(layout, columns) for _, _, rows, columns in places)
    ends = (start + size for (start, _), size in zip(layout.extents, sizes, strict=False))
    return not layout.raw or all(end <= layout.file_size for end in ends)


def _row_size(layout: Layout, columns: int) -> int:
    return (columns * layout.together * layout.first(BITS, 1) + 7) // 8


def _samples(content: bytes, layout: Layout) -> AnyArray:
    """Reads samples, uint16 (h, w, channels), in their own range."""
    height, width, channels = layout.first(LENGTH, 0), layout.first(WIDTH, 0), layout.first(SAMPLES, 1)
    result = np.empty((height, width, channels), np.uint16)
    segments = iter(layout.extents)
    for plane in range(layout.planes):
        target = result[..., plane : plane + 1] if layout.planar else result
        for top, left, rows, columns in _places(layout):
            segment = next(segments, None)
            if segment is None:
                raise ValueError("fewer strips than the image has")
            part = _segment(content, layout, segment, (rows, columns))
            shown = target[top : top + rows, left : left + columns]
            shown[...] = part[: shown.shape[0], : shown.shape[1]]
    return result


def _places(layout: Layout) -> Iterator[tuple[int, int, int, int]]:
    """Yields top, left, rows and columns of each strip or tile; a tile goes on beyond the edge."""
    height, width = layout.first(LENGTH, 0), layout.first(WIDTH, 0)
    if layout.tiled:
        rows, columns = layout.first(TILE_LENGTH, 0), layout.first(TILE_WIDTH, 0)
        if rows < 1 or columns < 1 or rows * columns > 4 * (height + rows) * (width + columns):
            raise ValueError("tiles without a size")
        yield from ((y, x, rows, columns) for y in range(0, height, rows) for x in range(0, width, columns))
        return
    rows = min(layout.first(STRIP_ROWS, height) or height, height)
    yield from ((y, 0, min(rows, height - y), width) for y in range(0, height, rows))


def _segment(content: bytes, layout: Layout, segment: tuple[int, int], shape: tuple[int, int]) -> AnyArray:
    rows, columns = shape
    bits, compression = layout.first(BITS, 1), layout.first(COMPRESSION, UNCOMPRESSED)
    width = _row_size(layout, columns)
    start, count = segment
    # counts of what is stored as it is are often wrong
    packed = content[start : start + (rows * width if layout.raw else count)]
    if layout.first(FILL_ORDER, 1) == 2:
        packed = packed.translate(REVERSED)
    data = _unpacked(packed, compression, rows, width)
    if len(data) < rows * width:
        raise ValueError("truncated")
    lines = np.frombuffer(data, np.uint8, rows * width).reshape(rows, width)
    order = "<" if content.startswith(b"II") else ">"
    samples = _taken_out(lines, bits, columns * layout.together, order)
    samples = samples.reshape(rows, columns, layout.together)
    if layout.differences:
        samples = np.cumsum(samples, axis=1, dtype=np.uint8 if bits == 8 else np.uint16)
    return samples


def _unpacked(packed: bytes, compression: int, rows: int, width: int) -> bytes:
    if compression == UNCOMPRESSED:
        return packed
    if compression in DEFLATE:
        return zlib.decompressobj().decompress(packed, rows * width)
    # the rest is libtiff's: told of bytes of grey it unpacks whatever they mean
    tags = {WIDTH: width, LENGTH: rows, BITS: 8, COMPRESSION: compression, PHOTOMETRIC: 1}
    start = 8 + 2 + 12 * (len(tags) + 3) + 4
    tags |= {STRIPS[0]: start, STRIP_ROWS: rows, STRIPS[1]: len(packed)}
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    entries = b"".join(struct.pack("<HHII", tag, LONG, 1, tags[tag]) for tag in sorted(tags))
    with Image.open(io.BytesIO(head + entries + bytes(4) + packed), formats=["TIFF"]) as image:
        return image.tobytes()


def _taken_out(lines: AnyArray, bits: int, count: int, order: str) -> AnyArray:
    """Takes `count` samples out of each row of bytes, the most significant bit first."""
    if bits == 8:
        return lines
    if bits == 16:
        return lines.view(f"{order}u2")
    first = np.arange(count) * bits
    # a sample of up to 16 bits lies in three bytes
    padded = np.pad(lines, ((0, 0), (0, 3))).astype(np.uint32)
    places = first // 8
    three = (padded[:, places] << 16) | (padded[:, places + 1] << 8) | padded[:, places + 2]
    return ((three >> (24 - bits - first % 8).astype(np.uint32)) & (2**bits - 1)).astype(np.uint16)
