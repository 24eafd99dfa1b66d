"""Damage to files: blind, and where a format keeps its lengths, counts and sizes."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np

Dice = np.random.Generator
Field = tuple[int, str]
"""Where a number is, and how struct packs it."""
EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 30000, 300000, 65535)
BILLION_LAUGHS = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + number, b"&%c;" % (97 + number) * 10) for number in range(9)
)
XML_BOMB = BILLION_LAUGHS + b']><image w="4" h="4"><stack name="&j;"/></image>'


def flip(data: bytearray, dice: Dice) -> bytes:
    """Changes single bits."""
    for _ in range(int(dice.integers(1, 9))):
        data[dice.integers(len(data))] ^= 1 << int(dice.integers(8))
    return bytes(data)


def replace(data: bytearray, dice: Dice) -> bytes:
    """Changes whole bytes."""
    for _ in range(int(dice.integers(1, 9))):
        data[dice.integers(len(data))] = dice.integers(256)
    return bytes(data)


def cut(data: bytearray, dice: Dice) -> bytes:
    """Leaves out the end."""
    return bytes(data[: dice.integers(len(data))])


def declare(data: bytearray, dice: Dice) -> bytes:
    """A number that may be a length or a size becomes an extreme one; more often near the start."""
    for _ in range(int(dice.integers(1, 4))):
        reach = min(len(data), 64 if dice.random() < 0.5 else len(data))
        order, value = "><"[dice.integers(2)], int(EXTREMES[dice.integers(len(EXTREMES))])
        size = int(dice.integers(3))
        field = struct.pack(order + "BHI"[size], value & (256 ** (1 << size) - 1))
        place = int(dice.integers(max(reach - 4, 1)))
        data[place : place + len(field)] = field
    return bytes(data)


def splice(data: bytearray, dice: Dice) -> bytes:
    """Puts a part in once more, elsewhere, or takes it out."""
    first, second, place = sorted(int(each) for each in dice.integers(len(data), size=3))
    if dice.random() < 0.3:
        return bytes(data[:first] + data[second:])
    return bytes(data[:place] + data[first:second] + data[place:])


BLIND: tuple[Callable[[bytearray, Dice], bytes], ...] = (flip, replace, cut, declare, splice)


def mutated(content: bytes, ending: str, dice: Dice) -> bytes:
    """Returns a damaged copy of a file."""
    if ending in ("ora", "zip") and dice.random() < 0.6:
        return inside(content, dice)
    fields = list(FIELDS[ending](content)) if ending in FIELDS and dice.random() < 0.5 else []
    if not fields:
        return BLIND[dice.integers(len(BLIND))](bytearray(content), dice)
    data = bytearray(content)
    for _ in range(int(dice.integers(1, 4))):
        _misstate(data, fields[dice.integers(len(fields))], dice)
    return with_checksums(bytes(data)) if ending in ("png", "apng") else bytes(data)


def _misstate(data: bytearray, field: Field, dice: Dice) -> None:
    """Puts another number into a field: a little more or less, a multiple, or an extreme."""
    place, form = field
    size = struct.calcsize(form)
    if place + size > len(data):
        return
    (value,) = struct.unpack_from(form, data, place)
    kind = dice.integers(4)
    if kind == 0:
        value += int(dice.integers(-4, 5))
    elif kind == 1:
        value = value * int(dice.integers(2, 300)) + int(dice.integers(2))
    elif kind == 2:
        value = int(dice.integers(0, 70000))
    else:
        value = EXTREMES[dice.integers(len(EXTREMES))]
    struct.pack_into(form.upper(), data, place, value % 256**size)


def psd_fields(content: bytes) -> Iterator[Field]:
    """Yields every number of the header, and all that may be lengths."""
    yield from ((4, ">H"), (12, ">H"), (14, ">I"), (18, ">I"), (22, ">H"), (24, ">H"))
    for place in range(26, min(len(content), 6000) - 4):
        (value,) = struct.unpack_from(">I", content, place)
        if 0 < value <= len(content) - place:
            yield place, ">I"


def tiff_fields(content: bytes) -> Iterator[Field]:
    """Yields kind, count and value of every tag of the first directory, and where that is."""
    order = "<" if content[:2] == b"II" else ">"
    yield 4, order + "I"
    (directory,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, directory)
    yield directory, order + "H"
    for place in range(directory + 2, directory + 2 + 12 * count, 12):
        yield from ((place, order + "H"), (place + 2, order + "H"), (place + 4, order + "I"))
        yield from ((place + 8, order + "I"), (place + 8, order + "H"))


def png_fields(content: bytes) -> Iterator[Field]:
    """Yields the header's numbers and the first ones of each chunk, with its length."""
    place = 8
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        yield place, ">I"
        yield from ((start, ">B") for start in range(place + 8, place + 8 + min(length, 26)))
        yield from ((start, ">I") for start in range(place + 8, place + 8 + min(length, 24) - 3, 4))
        place += 12 + length


def riff_fields(content: bytes) -> Iterator[Field]:
    """Yields lengths of a WebP's chunks, and what they begin with."""
    yield 4, "<I"
    place = 12
    while place + 8 <= len(content):
        (length,) = struct.unpack_from("<I", content, place + 4)
        yield place + 4, "<I"
        yield from ((start, "<H") for start in range(place + 8, place + 8 + min(length, 20)))
        place += 8 + length + length % 2


def box_fields(content: bytes) -> Iterator[Field]:
    """Yields all in an AVIF that may be the length of a box, and what stands in the small ones."""
    for place in range(0, min(len(content), 600) - 4, 1):
        (value,) = struct.unpack_from(">I", content, place)
        if 0 < value <= len(content) - place:
            yield place, ">I"
            yield place + 2, ">H"


def head_fields(content: bytes) -> Iterator[Field]:
    """Yields all numbers of the first bytes, of formats whose header is all that they declare."""
    for place in range(min(len(content), 64) - 4):
        yield from ((place, "<B"), (place, "<H"), (place, "<I"), (place, ">H"))


FIELDS: dict[str, Callable[[bytes], Iterator[Field]]] = {
    "psd": psd_fields, "tiff": tiff_fields, "png": png_fields, "apng": png_fields, "webp": riff_fields,
    "avif": box_fields, "gif": head_fields, "bmp": head_fields, "ico": head_fields, "tga": head_fields,
    "jpg": head_fields,
}  # fmt: skip


def with_checksums(content: bytes) -> bytes:
    """Returns a PNG whose checksums are right as far as its chunks go."""
    fixed, place = bytearray(content), 8
    while place + 12 <= len(fixed):
        (length,) = struct.unpack_from(">I", fixed, place)
        end = place + 8 + length
        if end + 4 > len(fixed):
            break
        struct.pack_into(">I", fixed, end, zlib.crc32(fixed[place + 4 : end]))
        place = end + 4
    return bytes(fixed)


def inside(content: bytes, dice: Dice) -> bytes:
    """Changes a member of a zip and packs it again, so that its checksum is right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[dice.integers(len(members))]
    if name == "stack.xml" and dice.random() < 0.2:
        members[name] = XML_BOMB
    elif dice.random() < 0.05:
        members[name] = bytes(1 << 25)  # packs to 32 KB
    else:
        ending = name.rpartition(".")[2]
        members[name] = mutated(members[name], ending if ending in FIELDS else "", dice)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return file.getvalue()
