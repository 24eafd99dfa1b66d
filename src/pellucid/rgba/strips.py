"""Images by strips of rows, for canvases that do not fit into memory, and small versions of them."""

import contextlib
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.rgba.types import RGBA8, AnyArray

LARGE_CANVAS = 1 << 26
"""Pixels from which on strips are worth it; Pillow packs a whole PNG in nine tenths of the time."""
STRIP_PIXELS = 1 << 16
"""Of a strip: at some 160 bytes a pixel in double precision 10 MB, whatever the canvas."""


def is_large(pixels: int) -> bool:
    """Tells whether so many pixels are better written by strips."""
    return pixels >= LARGE_CANVAS


def strip_slices(height: int, width: int, step: int | None = None) -> Iterator[slice]:
    """Yields the rows of each strip, from the top: `step`, or as many as suit the width; fewer at the end."""
    step = step or max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def strips_of(image: RGBA8) -> "StripImage":
    """Returns a whole image, uint8 (h, w, 4), by strips."""
    spans = strip_slices(*image.shape[:2])
    # colour under clear pixels counts, so a strip is clear only if all of it is 0
    strips = ((span, image[span] if image[span].any() else None) for span in spans)
    return StripImage(image.shape[0], image.shape[1], strips)


def sparse_zeros(height: int, width: int) -> RGBA8:
    """Returns clear pixels, uint8 (height, width, 4), of which only what is written to takes memory.

    That is to say pages of it: large ones, which NumPy asks for, would take that of hundreds of rows.

    Raises:
        MemoryError: there is not even room for addresses.
    """
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # Linux
        with contextlib.suppress(OSError):
            memory = mmap.mmap(-1, height * width * 4, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            memory.madvise(mmap.MADV_NOHUGEPAGE)
            return np.frombuffer(memory, np.uint8).reshape(height, width, 4)
    return np.zeros((height, width, 4), np.uint8)


@dataclass(frozen=True, slots=True)
class StripImage:
    """An image whose strips can be asked for once."""

    height: int
    width: int
    strips: Iterable[tuple[slice, AnyArray | None]]  # not RGBA8, of which a type check wants one height
    """Rows from the top, all strips but the last of one height, and uint8 (rows, width, 4), straight; None in
    place of clear ones."""

    @property
    def is_large(self) -> bool:
        """Tells whether the image is better written by strips."""
        return is_large(self.height * self.width)

    def gather(self) -> RGBA8:
        """Returns the whole image, uint8 (height, width, 4)."""
        image = np.zeros((self.height, self.width, 4), np.uint8)
        for rows, strip in self.strips:
            if strip is not None:
                image[rows] = strip
        return image

    def shrinking_to(self, small: "StripShrinker") -> "StripImage":
        """Returns the image, whose strips go into a small version as they are asked for."""
        return StripImage(self.height, self.width, _noted(self.strips, small))


class StripShrinker:
    """Averages strips down by a whole number, alpha weighing colour.

    An image of up to twice `least` pixels a side stays as it is, to the byte.
    """

    def __init__(self, height: int, width: int, least: int = 512) -> None:
        """`least`: pixels of the longer side that are kept at least."""
        self.factor = max(1, max(height, width) // least)
        rows, columns = (-(-side // self.factor) for side in (height, width))
        self._height, self._width = height, width
        if self.factor == 1:
            self._sums = np.zeros((rows, columns, 4), np.uint8)
        else:
            self._sums = np.zeros((rows, columns, 4), np.float32)

    def add(self, top: int, strip: RGBA8) -> None:
        """Takes the strip, uint8 (rows, width, 4), straight, that begins at row `top`."""
        if self.factor == 1:
            self._sums[top : top + len(strip)] = strip
            return
        alpha = strip[..., 3:].astype(np.float32)
        weighed = np.concatenate([strip[..., :3] * alpha, alpha], axis=-1)
        sums = np.add.reduceat(weighed, np.arange(0, self._width, self.factor), axis=1)
        blocks = np.arange(top, top + len(strip)) // self.factor
        firsts = np.flatnonzero(np.diff(blocks, prepend=-1))
        self._sums[blocks[firsts]] += np.add.reduceat(sums, firsts, axis=0)

    @property
    def image(self) -> RGBA8:
        """Returns the small image, uint8 (h, w, 4), straight."""
        if self.factor == 1:
            return self._sums
        alpha = self._sums[..., 3:]
        colour = self._sums[..., :3] / np.maximum(alpha, 1)
        # blocks at the right and the lower border hold fewer pixels
        counts = np.outer(
            *(
                np.minimum(self.factor, side - np.arange(0, side, self.factor)).astype(np.float32)
                for side in (self._height, self._width)
            )
        )
        return np.rint(np.concatenate([colour, alpha / counts[..., None]], axis=-1)).astype(np.uint8)


def _noted(
    strips: Iterable[tuple[slice, AnyArray | None]], small: StripShrinker
) -> Iterator[tuple[slice, AnyArray | None]]:
    for rows, strip in strips:
        if strip is not None:
            small.add(rows.start, strip)
        yield rows, strip
