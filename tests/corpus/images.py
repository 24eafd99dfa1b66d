"""Still images of every depth and kind, each with the picture that it shows."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from corpus.model import noise
from corpus.pngs import chunk, png_bytes
from corpus.psd import flat_bytes
from corpus.tiffs import BLACK_IS_ZERO, PALETTE, RGB, SHORT, WHITE_IS_ZERO, Layout, tiff_bytes

HEIGHT, WIDTH = 13, 19
CHANNELS = {"grey": 1, "grey, alpha": 2, "RGB": 3, "RGBA": 4}


@dataclass(frozen=True)
class ImageCase:
    """A file and what it shows."""

    name: str
    ending: str
    content: bytes
    picture: np.ndarray
    """Straight, in [0, 1], (h, w, 4)."""
    levels: float = 1.01
    """By which it may be off, premultiplied."""

    def off(self, found: np.ndarray) -> float:
        """Returns how far an image, uint8 (h, w, 4), is off: levels, premultiplied."""
        if found.shape != self.picture.shape:
            return 255.0
        first, second = (
            np.dstack([each[..., :3] * each[..., 3:], each[..., 3:]]) for each in (found / 255, self.picture)
        )
        return float(np.abs(first - second).max()) * 255


def image_cases() -> list[ImageCase]:
    """Returns all of them."""
    return [*_pngs(), *_tiffs(), *_turned(), *_coded(), *_flat_documents()]


def _flat_documents() -> Iterator[ImageCase]:
    """PSDs without layers."""
    for kind, channels in CHANNELS.items():
        for bits in (8, 16):
            stored = samples(channels, bits)
            shown = picture(stored / (2**bits - 1))
            for number, packing in enumerate(("not packed", "packed", "zip", "zip with prediction")):
                if channels in (1, 3):
                    for large in (False, True):
                        name = f"flat, {kind}, {bits} bits, {packing}{', PSB' * large}"
                        content = flat_bytes(stored, compression=number, large=large)
                        yield ImageCase(name, "psd", content, shown)
            if channels in (2, 4):
                opaque = shown.copy()
                opaque[..., 3] = 1
                yield ImageCase(
                    f"flat, {kind[:4].strip(',A')}, {bits} bits, a selection",
                    "psd",
                    flat_bytes(stored),
                    opaque,
                )
                name = f"flat, {kind[:4].strip(',A')}, {bits} bits, a channel without a name"
                yield ImageCase(name, "psd", flat_bytes(stored, named=False), opaque)
                yield _on_white(kind, stored, bits)


def _on_white(kind: str, stored: np.ndarray, bits: int) -> ImageCase:
    """Transparency of a flat document: its colour is stored as it looks on white."""
    most = 2**bits - 1
    alpha = stored[..., -1:] / most
    held = np.concatenate([np.rint(stored[..., :-1] * alpha + most * (1 - alpha)), stored[..., -1:]], axis=2)
    levels = held / most
    levels[..., :-1] = np.where(alpha > 0, (levels[..., :-1] - 1) / np.where(alpha > 0, alpha, 1) + 1, 0)
    content = flat_bytes(held.astype(stored.dtype), merged=True)
    return ImageCase(f"flat, {kind}, {bits} bits", "psd", content, picture(np.clip(levels, 0, 1)))


def samples(channels: int, bits: int, seed: int = 60) -> np.ndarray:
    """Returns stored numbers (h, w, channels) of a depth, in the smallest dtype that holds them."""
    wide = noise(HEIGHT, WIDTH, seed)
    chosen = wide[..., {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    return (chosen >> (16 - bits)).astype(np.uint8 if bits <= 8 else np.uint16)


def picture(levels: np.ndarray) -> np.ndarray:
    """Returns straight RGBA of grey, grey with alpha, RGB or RGBA in [0, 1]."""
    count = levels.shape[2]
    colour = levels[..., [0, 0, 0]] if count < 3 else levels[..., :3]
    alpha = levels[..., -1:] if count in (2, 4) else np.ones_like(levels[..., :1])
    return np.concatenate([colour, alpha], axis=2)


def _pngs() -> Iterator[ImageCase]:
    for kind, channels in CHANNELS.items():
        for bits in (1, 2, 4, 8, 16):
            if bits < 8 and channels > 1:
                continue
            stored = samples(channels, bits)
            shown = picture(stored / (2**bits - 1))
            for interlaced in (False, True):
                for filtered in (False, True):
                    words = f"{kind}, {bits} bits{', interlaced' * interlaced}{', filtered' * filtered}"
                    content = png_bytes(stored, bits=bits, interlaced=interlaced, filtered=filtered)
                    yield ImageCase(words, "png", content, shown)
            if channels in (1, 3):
                yield _one_clear(kind, stored, bits, shown)
    yield from _palettes()
    stored = samples(4, 8)
    for name, data in (
        ("sRGB", chunk(b"sRGB", b"\0")),
        ("gAMA of sRGB", chunk(b"gAMA", struct.pack(">I", 45455))),
        ("text, time, size", chunk(b"tEXt", b"a\0b") + chunk(b"tIME", bytes(7)) + chunk(b"pHYs", bytes(9))),
    ):
        yield ImageCase(f"RGBA, 8 bits, {name}", "png", png_bytes(stored, chunks=data), picture(stored / 255))


def _one_clear(kind: str, stored: np.ndarray, bits: int, shown: np.ndarray) -> ImageCase:
    """One colour of a grey or RGB image is clear: the one in its middle."""
    colour = stored[HEIGHT // 2, WIDTH // 2]
    clear = chunk(b"tRNS", struct.pack(f">{len(colour)}H", *colour))
    holed = shown.copy()
    holed[(stored == colour).all(axis=2), 3] = 0
    return ImageCase(
        f"{kind}, {bits} bits, one clear", "png", png_bytes(stored, bits=bits, chunks=clear), holed
    )


def _palettes() -> Iterator[ImageCase]:
    for bits in (1, 2, 4, 8):
        stored = samples(1, bits)
        colours = np.random.default_rng(bits).integers(0, 256, (2**bits, 4), np.uint8)
        content = png_bytes(stored, bits=bits, palette=colours[:, :3])
        opaque = picture(colours[stored[..., 0], :3] / 255)
        yield ImageCase(f"palette, {bits} bits", "png", content, opaque)
        few = colours.copy()
        few[len(few) // 2 :, 3] = 255  # those beyond the table are opaque
        table = chunk(b"tRNS", few[: len(few) // 2, 3].tobytes())
        content = png_bytes(stored, bits=bits, palette=colours[:, :3], chunks=table, interlaced=True)
        yield ImageCase(f"palette, {bits} bits, with alpha", "png", content, few[stored[..., 0]] / 255)


def _tiffs() -> Iterator[ImageCase]:
    for kind, channels in CHANNELS.items():
        for bits in (1, 2, 4, 8, 16):
            if bits < 8 and channels > 1:
                continue
            plain = Layout(
                bits=bits,
                photometric=BLACK_IS_ZERO if channels < 3 else RGB,
                extra=2 if channels in (2, 4) else -1,
            )
            yield from _layouts(kind, samples(channels, bits), plain)
    for bits in (1, 2, 4, 8):
        stored = samples(1, bits)
        colours = np.random.default_rng(bits).integers(0, 65536, (2**bits, 3), np.uint16)
        layout = Layout(bits=bits, photometric=PALETTE)
        shown = picture(colours[stored[..., 0]] / 65535)
        yield ImageCase(f"palette, {bits} bits", "tiff", tiff_bytes(stored, layout, colours), shown)


def _layouts(kind: str, stored: np.ndarray, plain: Layout) -> Iterator[ImageCase]:
    shown = picture(stored / (2**plain.bits - 1))
    variants = {
        "": plain,
        ", big-endian": replace(plain, order=">"),
        ", Deflate": replace(plain, compression=8),
        ", PackBits": replace(plain, compression=32773),
        ", one strip": replace(plain, rows=HEIGHT),
        ", tiles": replace(plain, tiled=True),
    }
    if stored.shape[2] > 1:
        variants[", planes"] = replace(plain, planar=True)
        variants[", planes, big-endian, Deflate"] = replace(plain, planar=True, order=">", compression=8)
        variants[", tiled planes"] = replace(plain, planar=True, tiled=True)
    if plain.bits >= 8:
        variants[", predictor"] = replace(plain, compression=8, predictor=2)
        variants[", predictor, big-endian"] = replace(plain, compression=8, predictor=2, order=">")
    for name, layout in variants.items():
        yield ImageCase(f"{kind}, {plain.bits} bits{name}", "tiff", tiff_bytes(stored, layout), shown)
    if plain.photometric == BLACK_IS_ZERO:
        inverted = shown.copy()
        inverted[..., :3] = 1 - shown[..., :3]
        layout = replace(plain, photometric=WHITE_IS_ZERO)
        yield ImageCase(
            f"{kind}, {plain.bits} bits, white is 0", "tiff", tiff_bytes(stored, layout), inverted
        )
    if plain.extra == 2:
        yield _multiplied(kind, stored, plain)


def _multiplied(kind: str, stored: np.ndarray, plain: Layout) -> ImageCase:
    most = 2**plain.bits - 1
    alpha = stored[..., -1:] / most
    held = np.concatenate([np.rint(stored[..., :-1] * alpha), stored[..., -1:]], axis=2).astype(stored.dtype)
    levels = held / most
    levels[..., :-1] /= np.where(alpha > 0, alpha, 1)
    name = f"{kind}, {plain.bits} bits, multiplied by alpha"
    return ImageCase(name, "tiff", tiff_bytes(held, replace(plain, extra=1)), picture(np.minimum(levels, 1)))


def _turned() -> Iterator[ImageCase]:
    """The same picture, stored in each of the eight ways that EXIF and TIFF count."""
    shown = samples(4, 8)
    turns = {
        1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1],
        5: shown.transpose(1, 0, 2), 6: np.rot90(shown, 1), 7: shown[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(shown, -1),
    }  # fmt: skip
    for number, stored in turns.items():
        held = np.ascontiguousarray(stored)
        exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 274, SHORT, 1, number, 0, 0)
        yield ImageCase(
            f"turned, {number}", "png", png_bytes(held, chunks=chunk(b"eXIf", exif)), picture(shown / 255)
        )
        content = tiff_bytes(held, Layout(extra=2, orientation=number))
        yield ImageCase(f"turned, {number}", "tiff", content, picture(shown / 255))
        file = io.BytesIO()
        Image.fromarray(held).save(file, "AVIF", quality=100, subsampling="4:4:4", exif=b"Exif\0\0" + exif)
        yield ImageCase(f"turned, {number}", "avif", file.getvalue(), picture(shown / 255), levels=4)


def _coded() -> Iterator[ImageCase]:
    """What only an encoder writes: lossless, or nearly so."""
    shown = samples(4, 8)
    for ending, options, levels in (
        ("webp", {"lossless": True, "exact": True}, 1.01),
        ("avif", {"quality": 100, "subsampling": "4:4:4"}, 4.0),
    ):
        for name, pixels in (("RGBA", shown), ("RGB", shown[..., :3])):
            file = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels)).save(file, ending.upper(), **options)
            yield ImageCase(name, ending, file.getvalue(), picture(pixels / 255), levels)
