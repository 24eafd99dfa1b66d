"""TIFFs, tag by tag. Source: Adobe, "TIFF Revision 6.0"; technical note 2 for Deflate."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from corpus.pngs import pack_rows

SHORT, LONG = 3, 4
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = range(4)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How samples are laid out in a file."""

    bits: int = 8
    photometric: int = RGB
    extra: int = -1
    """Of the last channel: 1 multiplied into the colour, 2 not, -1 for no such channel."""
    planar: bool = False
    order: str = "<"
    compression: int = 1
    predictor: int = 1
    rows: int = 5
    """Of a strip, or of a tile of 16 pixels a side if it is 16."""
    tiled: bool = False
    orientation: int = 1


def tiff_bytes(samples: np.ndarray, layout: Layout, palette: np.ndarray | None = None) -> bytes:
    """Returns a TIFF of one page; samples (h, w, channels) are of uint8 or uint16, whatever `bits` says.

    Args:
        samples: the stored numbers.
        layout: of the file.
        palette: uint16 (colours, 3).
    """
    height, width, channels = samples.shape
    planes = [samples[..., number : number + 1] for number in range(channels)] if layout.planar else [samples]
    parts = [part for plane in planes for part in _parts(plane, layout)]
    packed = [_packed(part, layout) for part in parts]
    order = layout.order
    offsets, data = [], b""
    for part in packed:
        offsets.append(8 + len(data))
        data += part + bytes(len(part) % 2)
    tags: list[tuple[int, int, list[int]]] = [
        (256, LONG, [width]), (257, LONG, [height]), (258, SHORT, [layout.bits] * channels),
        (259, SHORT, [layout.compression]), (262, SHORT, [layout.photometric]),
        (274, SHORT, [layout.orientation]), (277, SHORT, [channels]),
        (284, SHORT, [2 if layout.planar else 1]), (317, SHORT, [layout.predictor]),
    ]  # fmt: skip
    if layout.tiled:
        tags += [
            (322, SHORT, [16]),
            (323, SHORT, [16]),
            (324, LONG, offsets),
            (325, LONG, [*map(len, packed)]),
        ]
    else:
        tags += [(273, LONG, offsets), (278, SHORT, [layout.rows]), (279, LONG, [*map(len, packed)])]
    if palette is not None:
        tags.append((320, SHORT, palette.T.reshape(-1).tolist()))
    if layout.extra >= 0:
        tags.append((338, SHORT, [layout.extra]))
    return _file(order, data, sorted(tags))


def _file(order: str, data: bytes, tags: list[tuple[int, int, list[int]]]) -> bytes:
    directory = 8 + len(data)
    beyond = directory + 2 + 12 * len(tags) + 4
    entries, more = b"", b""
    for tag, kind, values in tags:
        content = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        entries += struct.pack(order + "HHI", tag, kind, len(values))
        if len(content) <= 4:
            entries += content.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", beyond + len(more))
            more += content
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, directory)
    return head + data + struct.pack(order + "H", len(tags)) + entries + bytes(4) + more


def _parts(plane: np.ndarray, layout: Layout) -> list[np.ndarray]:
    if not layout.tiled:
        return [plane[row : row + layout.rows] for row in range(0, plane.shape[0], layout.rows)]
    down, right = (-plane.shape[axis] % 16 for axis in (0, 1))
    whole = np.pad(plane, ((0, down), (0, right), (0, 0)))
    return [
        whole[row : row + 16, column : column + 16]
        for row in range(0, whole.shape[0], 16)
        for column in range(0, whole.shape[1], 16)
    ]


def _packed(part: np.ndarray, layout: Layout) -> bytes:
    if layout.predictor == 2:
        change = part.copy()
        change[:, 1:] = part[:, 1:] - part[:, :-1]  # wraps
        part = change
    if layout.bits in (8, 16):
        data = np.ascontiguousarray(part.astype(f"{layout.order}u{layout.bits // 8}")).tobytes()
    else:
        data = pack_rows(part, layout.bits).tobytes()
    if layout.compression == 8:
        return zlib.compress(data)
    if layout.compression == 32773:  # PackBits, all of it literal
        return b"".join(
            bytes([len(data[place : place + 128]) - 1]) + data[place : place + 128]
            for place in range(0, len(data), 128)
        )
    return data
