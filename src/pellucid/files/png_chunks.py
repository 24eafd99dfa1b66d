"""Chunks of a PNG: whether all are whole, what they say about colour, and which the decoder is shown."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pellucid.errors import FileError
from pellucid.files.colour_profiles import SRGB_CURVE, SRGB_PRIMARIES, UNREADABLE, CodedColour, build_profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHOWN = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT")
"""Chunks that pixels and frames are made of; a fault in any other is no reason to lose the image."""
COLOUR = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
MAX_TEXT = 1 << 20
"""Bytes of one text, unpacked: Pillow refuses files with more."""
MAX_TEXTS = 1 << 25
MAX_PROFILE = 1 << 25
SRGB_GAMMA = 45455
"""gAMA of files in sRGB, in units of 1/100000: the nearest power, which stands for the true curve."""


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of each colour type."""
WHOLE, ADAM7 = (
    ((0, 0, 1, 1),),
    ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)
"""Passes, without interlacing and with it: first row and column, and the steps from there."""
PIECE = 1 << 20
"""Bytes that are unpacked at once to count them."""


class Chunk(NamedTuple):
    """One chunk."""

    kind: bytes
    content: bytes
    """The file."""
    start: int
    """Where its length stands."""
    end: int
    """After its checksum."""

    @property
    def body(self) -> bytes:
        """What it holds."""
        return self.content[self.start + 8 : self.end - 4]


def split_chunks(name: str, content: bytes) -> list[Chunk]:
    """Splits a PNG into chunks and checks each one's checksum, up to the end chunk.

    Raises:
        FileError: damaged or truncated.
    """
    # PIL stops at the last row it needs, so a cut or altered tail would pass unseen
    chunks = list[Chunk]()
    position = len(SIGNATURE)
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4])
        end = position + 8 + length
        if end + 4 > len(content):
            break
        kind = content[position + 4 : position + 8]
        if zlib.crc32(memoryview(content)[position + 4 : end]) != int.from_bytes(content[end : end + 4]):
            raise FileError(
                f"Cannot read {name}: it is damaged (checksum of {kind!r}). Fetch or save it again."
            )
        chunks.append(Chunk(kind, content, position, end + 4))
        if kind == b"IEND":
            return chunks
        position = end + 4
    raise FileError(f"Cannot read {name}: it is truncated. Fetch or save it again.")


def check_rows(name: str, content: bytes) -> None:
    """Counts what the image data unpack to.

    Pillow leaves the rest clear where they end early, and says nothing if their own checksum is right.

    Raises:
        FileError: there is less than the header says.
    """
    chunks = split_chunks(name, content)
    width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0].body)
    left = 0
    for row, column, down, right in ADAM7 if interlaced else WHOLE:
        rows, columns = -(-(height - row) // down), -(-(width - column) // right)
        if rows > 0 and columns > 0:
            left += rows * (1 + -(-columns * CHANNELS[kind] * bits // 8))
    stream = zlib.decompressobj()
    for chunk in chunks:
        packed = chunk.body if chunk.kind == b"IDAT" else b""
        while packed and left > 0 and not stream.eof:
            left -= len(stream.decompress(packed, PIECE))
            packed = stream.unconsumed_tail
    while left > 0 and not stream.eof and (rest := stream.decompress(b"", PIECE)):
        left -= len(rest)
    if left > 0:
        raise FileError(f"Cannot read {name}: it is truncated. Fetch or save it again.")


def shown_content(chunks: Sequence[Chunk], notes: list[str]) -> bytes:
    """Joins the chunks that the decoder needs, and the texts and EXIF that it can read.

    Args:
        chunks: of the file.
        notes: gets a sentence for what is left out.
    """
    shown = list(_shown(chunks, notes))
    if len(shown) == len(chunks):
        return chunks[0].content
    return SIGNATURE + b"".join(chunk.content[chunk.start : chunk.end] for chunk in shown)


def _shown(chunks: Sequence[Chunk], notes: list[str]) -> Iterator[Chunk]:
    left = MAX_TEXTS
    for chunk in chunks:
        if chunk.kind in TEXTS:
            size = _text_size(chunk)
            if size > min(MAX_TEXT, left):
                key = chunk.body.partition(b"\0")[0].decode("latin-1")
                notes.append(f"its text {key!r} is too long and left out")
                continue
            left -= size
        elif chunk.kind not in (*SHOWN, b"eXIf"):
            continue
        yield chunk


def _text_size(chunk: Chunk) -> int:
    """Measures a text, unpacked, without unpacking more than is allowed."""
    _, _, rest = chunk.body.partition(b"\0")
    if chunk.kind == b"zTXt":
        packed = rest[1:]
    elif chunk.kind == b"iTXt" and rest[:1] == b"\1":
        packed = rest[2:].split(b"\0", 2)[-1]
    else:
        return len(rest) if chunk.kind == b"tEXt" or len(rest) <= MAX_TEXT else MAX_TEXT + 1
    try:
        return len(zlib.decompressobj().decompress(packed, MAX_TEXT + 1))
    except zlib.error:  # read as an empty text
        return 0


def colour_profile(name: str, chunks: Sequence[Chunk], notes: list[str]) -> bytes | None:
    """Finds or makes the ICC profile of a PNG's colours; None for sRGB.

    The first of cICP, iCCP, sRGB, and gAMA with cHRM counts, as the third edition of the specification says.

    Raises:
        FileError: of high dynamic range, or code points that are not known here.
    """
    # chunks about colour stand before the pixels
    bodies = {chunk.kind: chunk.body for chunk in reversed(chunks) if chunk.kind in COLOUR}
    coded = bodies.get(b"cICP", b"")
    if len(coded) == 4:
        primaries, transfer, matrix, full_range = coded
        if matrix or not full_range:
            raise FileError(
                f"Cannot read {name}: it stores YCbCr or narrow range in a PNG. Convert it to RGB first."
            )
        return CodedColour(primaries, transfer).profile(name)
    if b"iCCP" in bodies:
        return _embedded(bodies[b"iCCP"], notes)
    if b"sRGB" in bodies:
        return None
    return _measured(bodies.get(b"gAMA", b""), bodies.get(b"cHRM", b""), notes)


def _embedded(body: bytes, notes: list[str]) -> bytes | None:
    _, _, rest = body.partition(b"\0")
    try:
        profile = zlib.decompressobj().decompress(rest[1:], MAX_PROFILE)
    except zlib.error:
        profile = b""
    if not profile:
        notes.append(UNREADABLE)
    return profile or None


def _measured(gamma: bytes, chromaticities: bytes, notes: list[str]) -> bytes | None:
    curve, primaries = SRGB_CURVE, SRGB_PRIMARIES
    value = int.from_bytes(gamma[:4]) or SRGB_GAMMA
    # libpng's threshold: within 5 % a gamma is sRGB's, whose curve is no power
    if abs(value - SRGB_GAMMA) > SRGB_GAMMA / 20:
        curve = (100_000 / value,)
    if len(chromaticities) == 32:
        white, *colours = zip(
            *[iter(v / 100_000 for v in struct.unpack(">8I", chromaticities))] * 2, strict=True
        )
        primaries = (*colours, white)
    if (curve, primaries) == (SRGB_CURVE, SRGB_PRIMARIES):
        return None
    try:
        return build_profile(primaries, curve)
    except (ArithmeticError, ValueError, struct.error):
        notes.append("its gAMA and cHRM make no sense, so its colours are taken for sRGB")
        return None
