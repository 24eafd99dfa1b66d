"""The largest image of an icon: a PNG, or a bitmap whose transparency may lie in a mask behind its pixels.

Read here, since Pillow believes the icon's list about depth: it takes the mask of a bitmap of 32 bits that
the list calls 0 or 24, shows nothing of one whose alpha nobody set, and looks for masks at the end of an
entry, where some programs leave bytes behind them.
"""

import struct
from typing import NamedTuple

import numpy as np

from pellucid.errors import FileError
from pellucid.files import png_chunks
from pellucid.rgba.types import RGBA8, AnyArray

SIGNATURE = b"\0\0\1\0"
DEPTHS = (1, 4, 8, 16, 24, 32)
ENTRY, HEADER, FILE_HEADER = 16, 40, 14
"""Bytes of an entry of the list, of a bitmap's header, and of what a bitmap has before it in a file."""


class IconImage(NamedTuple):
    """One image of an icon as a file of its own."""

    content: bytes
    """A PNG or BMP."""
    height: int
    width: int
    depth: int
    """Bits of a pixel."""
    hidden: AnyArray | None = None
    """Where the mask hides pixels: bool (height, width). None of a PNG, and where alpha tells it."""

    def masked(self, rgba: RGBA8) -> RGBA8:
        """Applies the mask."""
        if self.hidden is not None:
            rgba[..., 3] = np.where(self.hidden, 0, 255)
        return rgba


def find_largest(name: str, content: bytes) -> IconImage:
    """Returns the image with the most pixels, of those alike the one with the most colours.

    Raises:
        FileError: damaged, truncated, or a bitmap of an unusual kind.
    """
    (count,) = struct.unpack_from("<H", content, 4) if len(content) >= 6 else (0,)
    images = list[IconImage]()
    try:
        for place in range(count):
            listed = content[6 + place * ENTRY : 6 + (place + 1) * ENTRY]
            size, start = struct.unpack_from("<II", listed, 8)
            if start + size > len(content):
                raise IndexError(start)
            images.append(_image(content[start : start + size], listed[1] or 256))
    except (IndexError, struct.error):
        raise FileError(f"Cannot read {name}: it is damaged or truncated. Fetch or save it again.") from None
    except ValueError as error:
        raise FileError(f"Cannot read {name}: {error}. Save it with PNG images or plain bitmaps.") from None
    if not images:
        raise FileError(f"Cannot read {name}: it is an icon without images. Fetch or save it again.")
    return max(images, key=lambda image: (image.height * image.width, image.depth))


def _image(entry: bytes, listed_height: int) -> IconImage:
    if entry.startswith(png_chunks.SIGNATURE):
        width, height = struct.unpack_from(">II", entry, 16)
        return IconImage(entry, height, width, 32)
    header, width, both, _, depth, packing, _, _, _, used = struct.unpack_from("<IiiHHIIiiI", entry)
    if header < HEADER or packing or depth not in DEPTHS or used > 256:
        raise ValueError(f"its bitmap of {depth} bits is of a kind that is not read")
    height = both // 2
    if width < 1 or height < 1 or both % 2 or both == listed_height != height:
        raise ValueError(f"its bitmap of {width} x {both} pixels leaves no room for a mask")
    pixels = header + 4 * (used or (1 << depth if depth <= 8 else 0))
    mask = pixels + _row_bytes(width, depth) * height
    if mask > len(entry):
        raise IndexError(mask)
    # a file's height counts the pixels alone
    bitmap = entry[:8] + struct.pack("<i", height) + entry[12:mask]
    file_header = struct.pack("<2sIII", b"BM", FILE_HEADER + mask, 0, FILE_HEADER + pixels)
    # a fourth byte that somebody set is alpha, and then the mask is for older programs
    has_alpha = depth == 32 and any(entry[pixels + 3 : mask : 4])
    hidden = None if has_alpha else _hidden(entry, mask, height, width)
    return IconImage(file_header + bitmap, height, width, depth, hidden)


def _row_bytes(width: int, depth: int) -> int:
    """Counts the bytes of a row, which ends at a multiple of four."""
    return (width * depth + 31) // 32 * 4


def _hidden(entry: bytes, start: int, height: int, width: int) -> AnyArray:
    """Unpacks the mask, a bit a pixel; what would invert the screen below it is hidden too."""
    row = _row_bytes(width, 1)
    if start + row * height > len(entry):
        raise IndexError(start)
    rows = np.frombuffer(entry, np.uint8, row * height, start).reshape(height, row)
    return np.unpackbits(rows, axis=1)[::-1, :width].astype(bool)
