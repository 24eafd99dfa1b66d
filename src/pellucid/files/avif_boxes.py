"""Properties of an AVIF's image that its decoder does not pass on: coded colours and cropping."""

import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from pellucid.errors import FileError
from pellucid.files.colour_profiles import CodedColour
from pellucid.rgba.types import AnyArray


class Properties(NamedTuple):
    """What is said of the image."""

    colour: CodedColour | None = None
    clap: tuple[int, ...] | None = None
    """Width, height and the centre's offsets right and down, each as numerator and denominator."""

    def cropped(self, name: str, rgba: AnyArray) -> AnyArray:
        """Cuts out what is to be shown.

        Raises:
            FileError: no part of the image, or fractions of pixels.
        """
        if self.clap is None:
            return rgba
        spans = list[slice]()
        try:
            shares = [Fraction(*self.clap[i : i + 2]) for i in range(0, 8, 2)]
        except ZeroDivisionError:
            shares = [Fraction(1, 2)] * 4
        for whole, size, offset in zip(rgba.shape[1::-1], shares[:2], shares[2:], strict=False):
            start = offset + (whole - size) / 2
            if not (size.denominator == start.denominator == 1 and 0 <= start < start + size <= whole):
                raise FileError(
                    f"Cannot read {name}: it is cropped to no whole pixels of its own. Save it cropped."
                )
            spans.append(slice(int(start), int(start + size)))
        return rgba[spans[1], spans[0]]


def read_properties(content: bytes) -> Properties:
    """Reads the properties of the primary item; what is damaged counts as not said.

    Boxes are those of ISO/IEC 14496-12 and 23008-12.
    """
    try:
        top = dict(_boxes(content))
        children = dict(_boxes(top[b"meta"][4:]))
        holder = dict(_boxes(children[b"iprp"]))
        stored = list(_boxes(holder[b"ipco"]))
        primary = children[b"pitm"]
        item = int.from_bytes(primary[4 : 8 if primary[0] else 6])
        chosen = [stored[index - 1] for index in _associated(holder[b"ipma"], item) if index]
    except (LookupError, struct.error):
        return Properties()
    colour = clap = None
    for kind, body in chosen:
        if kind == b"colr" and body.startswith(b"nclx") and len(body) >= 8:
            colour = CodedColour(*struct.unpack_from(">HH", body, 4))
        elif kind == b"clap" and len(body) >= 32:
            clap = struct.unpack_from(">IIIIiIiI", body)
    return Properties(colour, clap)


def hide_exif(content: bytes) -> bytes:
    """Renames the item of an AVIF's EXIF, so that a decoder does not stop at one that it cannot read."""
    return re.sub(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", rb"\1free", content, flags=re.DOTALL)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        start = position + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, start)
            start += 8
        end = position + size if size else len(content)
        if end < start:
            return
        yield kind, content[start:end]
        position = end


def _associated(body: bytes, wanted: int) -> Iterator[int]:
    """Yields the numbers, from 1, of the properties of an item."""
    wide_items, wide_indices = body[0] > 0, bool(body[3] & 1)
    (count,) = struct.unpack_from(">I", body, 4)
    position = 8
    for _ in range(count):
        (item,) = struct.unpack_from(">I" if wide_items else ">H", body, position)
        position += 4 if wide_items else 2
        number = body[position]
        indices = struct.unpack_from(f">{number}{'H' if wide_indices else 'B'}", body, position + 1)
        position += 1 + number * (2 if wide_indices else 1)
        if item == wanted:
            # the highest bit says that a reader must know the property
            yield from (index & (0x7FFF if wide_indices else 0x7F) for index in indices)
