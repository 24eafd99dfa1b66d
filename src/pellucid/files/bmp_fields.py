"""Bit fields of BMPs that Pillow does not read: alpha beside 16 bits, and other masks than the usual ones.

Source: Microsoft, BITMAPV4HEADER and BITMAPV5HEADER.
"""

import struct

import numpy as np

from pellucid.rgba.types import AnyArray

SIGNATURE = b"BM"
PIXELS, SIZES, MASKS = 10, 14, 54
"""Places of where the pixels begin, of the header's sizes, and of the masks behind the oldest of headers."""
FIELDS, WITH_ALPHA = 3, 6
"""Kinds of "compression" that say that masks are there; the second has one of alpha in old headers too."""
OLD, ALPHA_INSIDE = 40, 56
"""Bytes of the header that has masks behind it, and of the first that has a mask of alpha in it."""
READ = {
    16: ((0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)),
    32: (
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    ),
}
"""Masks of red, green, blue and alpha that Pillow reads, by bits."""
PLAIN = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def with_plain_fields(content: bytes) -> bytes:
    """Returns a BMP with bit fields of eight bits each, and any other file, or one cut off, as it is.

    Alpha that is 0 everywhere was never set, and counts as 255, as browsers have it.
    """
    if not content.startswith(SIGNATURE) or len(content) < MASKS + 16:
        return content
    (start,) = struct.unpack_from("<I", content, PIXELS)
    size, width, signed_height, _, bits, kind = struct.unpack_from("<IiiHHI", content, SIZES)
    if kind not in (FIELDS, WITH_ALPHA) or bits not in READ or size < OLD or width < 1:
        return content
    masks = struct.unpack_from("<4I", content, MASKS)
    if size < ALPHA_INSIDE and kind != WITH_ALPHA:
        masks = (*masks[:3], 0)
    row, height = (width * bits + 31) // 32 * 4, abs(signed_height)
    is_read = kind == FIELDS and masks in READ[bits]
    is_whole = len(content) >= start + row * height
    if is_read or not is_whole or not all(map(_is_run, masks)) or not all(masks[:3]):
        return content
    levels = np.frombuffer(content, f"<u{bits // 8}", height * row * 8 // bits, start)
    levels = levels.reshape(height, -1)[:, :width]
    planes = [_bytes_of(levels, mask) for mask in masks[:3]]
    alpha = _bytes_of(levels, masks[3]) if masks[3] else np.zeros_like(planes[0])
    alpha = alpha if alpha.any() else np.full_like(alpha, 255)
    # blue first, as the masks of `PLAIN` have it
    pixels = np.stack([*planes[::-1], alpha], axis=-1).tobytes()
    header = struct.pack("<IiiHHI20x4I52x", 108, width, signed_height, 1, 32, FIELDS, *PLAIN)
    return struct.pack("<2sI4xI", SIGNATURE, 122 + len(pixels), 122) + header + pixels


def _is_run(mask: int) -> bool:
    """Says whether the bits of a mask are neighbours; those of 0 are."""
    return (mask + (mask & -mask)) & mask == 0


def _bytes_of(levels: AnyArray, mask: int) -> AnyArray:
    """Returns a field as bytes, rounded to the nearest."""
    shift = (mask & -mask).bit_length() - 1
    highest = mask >> shift
    field = (levels.astype(np.uint32) & mask) >> shift
    return ((field.astype(np.uint64) * 510 + highest) // (2 * highest)).astype(np.uint8)
