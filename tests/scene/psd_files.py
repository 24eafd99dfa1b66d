"""PSD files put together by the specification, of any colour mode and depth; nothing is packed."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.rgba.types import AnyArray

BITMAP, GREY, INDEXED, RGB, CMYK, MULTICHANNEL, DUOTONE, LAB = 0, 1, 2, 3, 4, 7, 8, 9
PROFILE, CLEAR_INDEX = 1039, 1047
CLEAR, MASK = -1, -2
"""Numbers of channels that are no colour."""


@dataclass(frozen=True)
class Stored:
    """A layer as it is stored: channels by number, each (h, w) as the file has it."""

    channels: Mapping[int, AnyArray]
    offset: tuple[int, int] = (0, 0)
    opacity: int = 255
    tags: Mapping[bytes, bytes] | None = None
    mask: bytes = b""
    """The record of its masks."""
    sizes: Mapping[int, AnyArray] | None = None
    """Channels of another size than the layer, after the others."""


def stored(levels: AnyArray, depth: int) -> bytes:
    """Packs levels (h, w): whole numbers, bits for a depth of 1, floats for 32."""
    if depth == 1:
        return np.packbits(levels.astype(np.uint8), axis=1).tobytes()
    return levels.astype({8: ">u1", 16: ">u2", 32: ">f4"}[depth]).tobytes()


def psd_file(
    mode: int,
    depth: int,
    flat: AnyArray,
    layers: Sequence[Stored] = (),
    resources: Mapping[int, bytes] | None = None,
    table: bytes = b"",
) -> bytes:
    """Builds a document; `flat` is (channels, h, w), layers stand bottom first."""
    channels, height, width = flat.shape
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels, height, width, depth, mode)
    blocks = b"".join(
        struct.pack(">4sHHI", b"8BIM", key, 0, len(body)) + body + bytes(len(body) % 2)
        for key, body in (resources or {}).items()
    )
    parts = [head, _block(table), _block(blocks), _block(_layers(layers, depth) if layers else b"")]
    return b"".join(parts) + bytes(2) + b"".join(stored(plane, depth) for plane in flat)


def _block(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def _layers(layers: Sequence[Stored], depth: int) -> bytes:
    records, pixels = b"", b""
    for layer in layers:
        height, width = next(iter(layer.channels.values())).shape if layer.channels else (0, 0)
        top, left = layer.offset
        channels = {**layer.channels, **(layer.sizes or {})}
        records += struct.pack(">4iH", top, left, top + height, left + width, len(channels))
        for number, levels in channels.items():
            body = bytes(2) + stored(levels, depth)
            records += struct.pack(">hI", number, len(body))
            pixels += body
        tags = b"".join(b"8BIM" + key + _block(body) for key, body in (layer.tags or {}).items())
        extra = _block(layer.mask) + bytes(4) + b"\1a\0\0" + tags
        records += b"8BIMnorm" + bytes([layer.opacity, 0, 8, 0]) + _block(extra)
    body = struct.pack(">h", len(layers)) + records + pixels
    body += bytes(-len(body) % 4)
    if depth == 8:
        return _block(body) + bytes(4)
    # deeper documents leave the usual place empty
    return bytes(4) + bytes(4) + b"8BIM" + (b"Lr16" if depth == 16 else b"Lr32") + _block(body)
