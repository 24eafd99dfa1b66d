"""Images in a zip archive, unpacked by several threads at once: inflating lets others run meanwhile."""

import contextlib
import os
import struct
import warnings
import zipfile
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from pellucid.files.image_decoding import decode
from pellucid.files.png_chunks import SIGNATURE
from pellucid.rgba.types import RGBA8
from pellucid.scene.formats.limits import DAMAGE, PixelLimit, member

MAX_UNPACKERS = 4
AHEAD_PIXELS = 1 << 25
"""Of an image that is unpacked beside others: each takes three times its size while it is."""
SIZE = slice(16, 24)
"""Place of width and height in a PNG."""

_Unpacked = tuple[RGBA8, list[str]]


class ArchiveImages:
    """Reads images of an archive.

    Args:
        archive: open.
        pixel_limit: is told of each image.
        notes: gets a sentence for each part that could not be honoured.
    """

    def __init__(self, archive: zipfile.ZipFile, pixel_limit: PixelLimit, notes: list[str]) -> None:
        self._archive, self._pixel_limit, self._notes = archive, pixel_limit, notes
        self._coming: dict[str, deque[Future[_Unpacked]]] = {}

    @contextlib.contextmanager
    def coming(self, names: Iterable[str]) -> Generator[None]:
        """Unpacks images ahead of being read, in this order; what is wrong with one is said when it is."""
        workers = min(os.cpu_count() or 1, MAX_UNPACKERS)
        # filters of warnings are one for all threads, so they are set once around all of them
        with ThreadPoolExecutor(workers) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, left in self._sizes(names) if workers > 1 else ():
                self._coming.setdefault(name, deque()).append(pool.submit(self._unpack, name, left))
            try:
                yield
            finally:
                pool.shutdown(cancel_futures=True)
                self._coming.clear()

    def read(self, name: str) -> RGBA8:
        """Reads an image; errors of `read_rgba`, and of `member`."""
        if waiting := self._coming.get(name):
            image, notes = waiting.popleft().result()
        else:
            # the limit is what earlier images have left
            image, notes = self._unpack(name, max(self._pixel_limit.left, 0))
        self._notes += notes
        self._pixel_limit.spend(*image.shape[:2])
        return image

    def _unpack(self, name: str, max_pixels: int) -> _Unpacked:
        notes = list[str]()
        return decode("these bytes", member(self._archive, name), max_pixels, notes).rgba, notes

    def _sizes(self, names: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Yields the images that may be unpacked ahead, and the pixels that each may have."""
        left = self._pixel_limit.left
        for name in names:
            try:
                with self._archive.open(name) as file:
                    start = file.read(SIZE.stop)
            except (*DAMAGE, zipfile.BadZipFile):
                return  # the reader says so when it comes there
            if not start.startswith(SIGNATURE) or len(start) < SIZE.stop:
                return
            width, height = struct.unpack(">II", start[SIZE])
            if width * height > left:
                return
            if width * height <= AHEAD_PIXELS:
                yield name, left
            left -= width * height
