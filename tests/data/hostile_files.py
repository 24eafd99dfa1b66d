"""Writes damaged and hostile image files: what an ingest of a stranger's folder may meet."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.loose_images import encode, subject

KINDS = ("PNG", "WEBP", "TIFF", "JPEG", "GIF", "AVIF", "BMP")
ENDINGS = {
    "PNG": "png",
    "WEBP": "webp",
    "TIFF": "tif",
    "JPEG": "jpg",
    "GIF": "gif",
    "AVIF": "avif",
    "BMP": "bmp",
}
Damage = Callable[[bytes, np.random.Generator], bytes]


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(0, len(content)))]


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(0, len(changed), 1 + int(rng.integers(0, 24))):
        changed[place] = int(rng.integers(0, 256))
    return bytes(changed)


def flip_head(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(0, min(len(changed), 64), 4):
        changed[place] = int(rng.integers(0, 256))
    return bytes(changed)


def noise(content: bytes, rng: np.random.Generator) -> bytes:
    return content[:12] + rng.bytes(int(rng.integers(0, 3000)))


def doubled(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(1, len(content)))] + content


DAMAGES: tuple[Damage, ...] = (cut, flip, flip_head, noise, doubled)


def png_of_size(width: int, height: int) -> bytes:
    """Makes a PNG that claims a size and holds a few bytes that inflate without an end."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 24), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write_hostile_files(folder: Path, count: int, seed: int = 0) -> int:
    """Writes `count` damaged files and some with a design, and returns how many an ingest should list."""
    rng = np.random.default_rng(seed)
    whole = {kind: encode(subject(number, 64), kind) for number, kind in enumerate(KINDS)}
    folder.mkdir(parents=True)
    designed = {
        "bomb.png": png_of_size(200_000, 200_000),
        "wide.png": png_of_size(2**31 - 1, 1),
        "long.png": png_of_size(60_000, 60_000),
        "empty.png": b"",
        "text.png": b"GIF89a but not really",
        "zip.png": b"PK\x03\x04" + bytes(100),
        "html.jpg": b"<html>404</html>",
        "name with \U0001f600 and \u202e.png": whole["PNG"][:100],
        "-o.png": whole["PNG"][:100],
        "gzip.tif": zlib.compress(bytes(1 << 20)),
    }
    for number in range(count - len(designed)):
        kind = KINDS[number % len(KINDS)]
        damage = DAMAGES[number // len(KINDS) % len(DAMAGES)]
        (folder / f"{number:05d}.{ENDINGS[kind]}").write_bytes(damage(whole[kind], rng))
    for name, content in designed.items():
        (folder / name).write_bytes(content)
    (folder / "00000.txt").write_bytes(b"\xff\xfe\x00 no UTF-8")
    (folder / "a folder.png").mkdir()
    (folder / "link.txt").symlink_to(folder / "nowhere")
    return count
