"""How the directories of a TIFF say that its pixels lie: whether the file has them, and what is read of them.

Pillow takes a directory that lies beyond the end of the file for the end of the chain, and some layouts for
others. So the directories are read here before it opens the file. Numbers are tags and values of TIFF 6.0.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from pellucid.errors import FileError

SIGNATURES = (b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b")
BIG = 43
"""Version of a BigTIFF, whose offsets have 8 bytes."""

SUBFILE_TYPE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
FILL_ORDER, ORIENTATION, SAMPLES, STRIP_ROWS, PLANAR, PREDICTOR = 266, 274, 277, 278, 284, 317
PALETTE, TILE_WIDTH, TILE_LENGTH, EXTRA, SAMPLE_FORMAT = 320, 322, 323, 338, 339
PAGE_NAME, XMP = 285, 700
STRIPS, TILES = (273, 279), (324, 325)  # offsets, byte counts
SHAPE = {WIDTH, LENGTH, STRIP_ROWS, TILE_WIDTH, TILE_LENGTH, FILL_ORDER, ORIENTATION, PREDICTOR}
COLOUR = {BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, PALETTE, EXTRA, SAMPLE_FORMAT}
USED = {SUBFILE_TYPE, *SHAPE, *COLOUR, *STRIPS, *TILES}
NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of whole numbers without a sign, and struct's letter for each."""

REDUCED = 1
"""Bit of SUBFILE_TYPE: a thumbnail of another page."""
UNCOMPRESSED, OLD_JPEG = 1, 6
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, INDEXED, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
COLOURS = {
    WHITE_IS_ZERO: "grey",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    INDEXED: "palette",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    8: "Lab",
    9: "Lab",
    10: "Lab",
    32803: "raw camera",
    34892: "raw camera",
}
DEPTHS = {
    WHITE_IS_ZERO: {1, 2, 4, 8},
    BLACK_IS_ZERO: {1, 2, 4, 8},
    RGB: {8},
    INDEXED: {1, 2, 4, 8},
    CMYK: {8},
    YCBCR: {8},
}
"""Bits of a sample that Pillow reads right, by colour."""
CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, CMYK: 4}
"""Channels of the colours that are read of any depth."""
PREDICTED = {5, 8, 32946, 34925, 50000}
"""LZW, deflate by either number, LZMA and Zstandard."""
LOSSLESS = {UNCOMPRESSED, *PREDICTED, 32773}
"""Compressions that know nothing of samples: none, these and PackBits."""
ASSOCIATED, UNASSOCIATED = 1, 2
MAX_MORE = 8
"""Channels beside colours; of deep pages all are held."""
FORMATS = {2: "signed", 3: "float", 5: "complex whole", 6: "complex float"}


@dataclass(frozen=True)
class Layout:
    """What one directory says."""

    tags: Mapping[int, tuple[int, ...]]
    entries: Mapping[int, bytes]
    """Each tag as it stands in the file."""
    file_size: int

    def first(self, tag: int, default: int) -> int:
        """Returns the first value of a tag."""
        return (self.tags.get(tag) or (default,))[0]

    @property
    def reduced(self) -> bool:
        """Says whether it is a thumbnail."""
        return bool(self.first(SUBFILE_TYPE, 0) & REDUCED)

    @property
    def planar(self) -> bool:
        """Says whether each channel lies by itself."""
        return self.first(PLANAR, 1) == 2 and self.first(SAMPLES, 1) > 1

    @property
    def planes(self) -> int:
        """Number of parts that lie one after another."""
        return self.first(SAMPLES, 1) if self.planar else 1

    @property
    def together(self) -> int:
        """Number of channels that lie side by side."""
        return 1 if self.planar else self.first(SAMPLES, 1)

    @property
    def raw(self) -> bool:
        """Says whether the samples lie as they are."""
        return self.first(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED

    @property
    def tiled(self) -> bool:
        """Says whether it has tiles in place of strips."""
        return TILES[0] in self.tags

    @property
    def extents(self) -> list[tuple[int, int]]:
        """Offsets and byte counts of strips or tiles."""
        offsets, counts = TILES if self.tiled else STRIPS
        return list(zip(self.tags.get(offsets, ()), self.tags.get(counts, ()), strict=False))

    @property
    def extra(self) -> int:
        """Returns what the first channel after the colours is; opacity where nobody says."""
        return self.first(EXTRA, UNASSOCIATED)

    @property
    def deep(self) -> bool:
        """Says whether it is read sample by sample, since Pillow reads it not at all or to 8 bits."""
        bits, colour = self.first(BITS, 1), self.first(PHOTOMETRIC, 0)
        whole = all(kind == 1 for kind in self.tags.get(SAMPLE_FORMAT, ()))
        if colour not in CHANNELS or not 1 <= bits <= 16 or set(self.tags.get(BITS, (1,))) != {bits}:
            return False
        more = self.first(SAMPLES, 1) - CHANNELS[colour]
        # what is white at 0 and multiplied by alpha is ambiguous
        if not (whole and self.lossless and 0 <= more <= MAX_MORE) or (
            colour == WHITE_IS_ZERO and more and self.extra == ASSOCIATED
        ):
            return False
        if bits in (1, 2, 4, 8) and self.first(SAMPLES, 1) == 1:
            return False
        if bits != 8 or not more:
            return bits != 8
        # of bytes Pillow misreads or refuses grey with more, and does not round what it divides by alpha
        if colour == RGB:
            return self.extra == ASSOCIATED
        return CHANNELS[colour] == 1 and (
            self.planar or colour == WHITE_IS_ZERO or self.extra != UNASSOCIATED
        )

    @property
    def lossless(self) -> bool:
        """Says whether unpacking gives samples, or differences of them that can be added up."""
        return self.first(COMPRESSION, UNCOMPRESSED) in LOSSLESS and (
            self.first(PREDICTOR, 1) == 1 or not self.predicted or self.differences
        )

    @property
    def predicted(self) -> bool:
        """Says whether a predictor counts; other compressions ignore it."""
        return self.first(COMPRESSION, UNCOMPRESSED) in PREDICTED

    @property
    def differences(self) -> bool:
        """Says whether each sample is stored as its difference from the one to the left."""
        return self.predicted and self.first(PREDICTOR, 1) == 2 and self.first(BITS, 1) in (8, 16)

    def __str__(self) -> str:
        bits = "/".join(str(count) for count in sorted(set(self.tags.get(BITS, (1,)))))
        kind = FORMATS.get(self.first(SAMPLE_FORMAT, 1), "")
        colour = COLOURS.get(self.first(PHOTOMETRIC, 0), f"photometric {self.first(PHOTOMETRIC, 0)}")
        more = len(self.tags.get(EXTRA, ()))
        words = [f"{bits}-bit", kind, colour, f"with {more} more channels" if more else ""]
        words += ["in separate planes" if self.planar else ""]
        words += [f"(compression {self.first(COMPRESSION, 1)})" if self.first(COMPRESSION, 1) != 1 else ""]
        return " ".join(word for word in words if word)

    @property
    def readable(self) -> bool:
        """Says whether it is none of the layouts that Pillow would take for others."""
        if self.deep:
            return True
        bits, colour = set(self.tags.get(BITS, (1,))), self.first(PHOTOMETRIC, 0)
        if any(kind in FORMATS for kind in self.tags.get(SAMPLE_FORMAT, ())):
            return False
        if not bits <= DEPTHS.get(colour, set()) or len(bits) > 1:
            return False
        # of grey and palettes it knows no planes: alpha would come out as a copy of the levels
        flat = self.planar and colour not in (RGB, CMYK, YCBCR)
        return not (flat and (self.raw or any(self.tags.get(EXTRA, ()))))


def check_tiff(name: str, content: bytes) -> list[Layout]:
    """Reads every directory of a TIFF and checks that the file goes on to the end of what they name.

    Raises:
        FileError: truncated, or pixels that would not be read right.
    """
    try:
        layouts = list(_directories(content))
        held = all(_is_whole(layout, len(content)) for layout in layouts)
    except (struct.error, IndexError):
        held, layouts = False, []
    if not held:
        raise FileError(f"Cannot read {name}: it is damaged or truncated. Fetch or save it again.")
    for layout in layouts:
        if not layout.reduced and not layout.readable:
            raise unreadable(name, layout)
    return layouts


def unreadable(name: str, layout: Layout) -> FileError:
    """Makes the error for pixels of a kind that is not read."""
    return FileError(
        f"Cannot read {name}: it is a TIFF of {layout}, which is not read. "
        "Save it as RGB with 8 or 16 bits, channels together."
    )


def _is_whole(layout: Layout, size: int) -> bool:
    # what is stored as it is, the decoder misses itself; its counts are often wrong, as are those of old JPEG
    if layout.first(COMPRESSION, UNCOMPRESSED) == OLD_JPEG or (layout.raw and not layout.planar):
        return True
    return all(offset + count <= size for offset, count in layout.extents)


def _directories(content: bytes) -> Iterator[Layout]:
    """Yields the chain of directories; struct.error or IndexError where one lies beyond the end."""
    order = "<" if content.startswith(b"II") else ">"
    big = BIG in content[2:4]
    offset_form, count_form, entry_size = ("Q", "Q", 20) if big else ("I", "H", 12)
    (offset,) = struct.unpack_from(order + offset_form, content, 8 if big else 4)
    seen: set[int] = set()
    # a circle ends where it closes
    while offset and offset not in seen:
        seen.add(offset)
        (count,) = struct.unpack_from(order + count_form, content, offset)
        start = offset + struct.calcsize(order + count_form)
        if start + count * entry_size > len(content):
            raise IndexError("the directory goes on beyond the end")
        tags, entries = dict[int, tuple[int, ...]](), dict[int, bytes]()
        for position in range(start, start + count * entry_size, entry_size):
            tag, kind = struct.unpack_from(order + "HH", content, position)
            entries[tag] = content[position : position + entry_size]
            if tag in USED:
                tags[tag] = _values(content, position + 4, kind, order, offset_form)
        yield Layout(tags, entries, len(content))
        (offset,) = struct.unpack_from(order + offset_form, content, start + count * entry_size)


def _values(content: bytes, position: int, kind: int, order: str, offset_form: str) -> tuple[int, ...]:
    (count,) = struct.unpack_from(order + offset_form, content, position)
    letter = NUMBERS.get(kind)
    if letter is None:  # no number: the decoder says what it makes of it
        return ()
    width = struct.calcsize(offset_form)
    place = position + width
    if count * struct.calcsize("<" + letter) > width:
        (place,) = struct.unpack_from(order + offset_form, content, place)
    if place + count * struct.calcsize("<" + letter) > len(content):
        raise IndexError("values lie beyond the end")
    return struct.unpack_from(f"{order}{count}{letter}", content, place)


def mend_tiff(image: Image.Image, layout: Layout) -> None:
    """Corrects what Pillow has set up for the opened page, before it is unpacked."""
    assert isinstance(image, TiffImageFile)
    palette = layout.tags.get(PALETTE, ())
    # entries have 16 bits; programs that wrote 8 are so many that libtiff's own tools look for them
    if image.palette is not None and palette and max(palette) < 256:
        image.palette.palette = bytes(palette)
