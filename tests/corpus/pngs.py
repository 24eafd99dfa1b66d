"""PNGs, chunk by chunk. Source: W3C, "Portable Network Graphics (PNG) Specification", third edition."""

import struct
import zlib

import numpy as np

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, and the steps of Adam7's seven images."""


def chunk(kind: bytes, data: bytes) -> bytes:
    """Returns a chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bytes(
    samples: np.ndarray,
    *,
    bits: int = 0,
    palette: np.ndarray | None = None,
    interlaced: bool = False,
    filtered: bool = False,
    chunks: bytes = b"",
) -> bytes:
    """Returns a PNG of samples (h, w, channels), with the depth of their dtype if `bits` is 0.

    Args:
        samples: grey, grey with alpha, RGB, RGBA, or places in the palette.
        bits: 1, 2 or 4 for samples of uint8 that are smaller.
        palette: uint8 (colours, 3).
        interlaced: by Adam7.
        filtered: every row by another of the five filters, otherwise none.
        chunks: put before the image's data.
    """
    bits = bits or samples.dtype.itemsize * 8
    height, width, channels = samples.shape
    kind = 3 if palette is not None else COLOUR_TYPES[channels]
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    parts = [samples[row::down, column::right] for row, column, down, right in PASSES]
    data = b"".join(_rows(part, bits, filtered) for part in (parts if interlaced else [samples]) if part.size)
    table = chunk(b"PLTE", palette.tobytes()) if palette is not None else b""
    # profiles and the like stand before a palette, what is clear behind it
    early, late = (chunks, b"") if palette is None or b"tRNS" not in chunks else (b"", chunks)
    body = early + table + late + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


def _rows(samples: np.ndarray, bits: int, filtered: bool) -> bytes:
    packed = pack_rows(samples, bits)
    step = max(1, samples.shape[2] * bits // 8)
    before = np.zeros_like(packed[0])
    rows = b""
    for number, row in enumerate(packed):
        kind = number % 5 if filtered else 0
        rows += bytes([kind]) + _filtered(kind, row, before, step)
        before = row
    return rows


def pack_rows(samples: np.ndarray, bits: int) -> np.ndarray:
    """Returns the bytes of every row, uint8 (h, bytes): smaller samples begin at the highest bit."""
    if bits >= 8:
        wide = np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(">")))
        return wide.reshape(samples.shape[0], -1).view(np.uint8)
    flat = samples.reshape(samples.shape[0], -1)
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((flat[..., None] >> shifts & 1).reshape(flat.shape[0], -1).astype(np.uint8), axis=1)


def _filtered(kind: int, row: np.ndarray, above: np.ndarray, step: int) -> bytes:
    left = np.concatenate([np.zeros(step, np.uint8), row])[: len(row)].astype(int)
    corner = np.concatenate([np.zeros(step, np.uint8), above])[: len(row)].astype(int)
    up = above.astype(int)
    guess = left + up - corner
    near = [np.abs(guess - each) for each in (left, up, corner)]
    paeth = np.where(
        (near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], up, corner)
    )
    predicted = (np.zeros(len(row), int), left, up, (left + up) // 2, paeth)[kind]
    return ((row - predicted) % 256).astype(np.uint8).tobytes()
