"""What all readers of documents share: a limit on pixels, a refusal with a reason, bounded zip members."""

import io
import os
import warnings
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from pellucid.files import image_decoding as decoding
from pellucid.files.images import encode_image
from pellucid.files.metadata import GenerationMetadata
from pellucid.rgba.types import AnyArray
from pellucid.scene.layer import Layer

MAX_LAYERS = 8000
"""As in Photoshop."""
LAYERS_FOR_CANVAS = 3
"""Pixels of all layers over the limit of a canvas: ten of 12 megapixels are usual, and 4 would pass 2 GB."""
MAX_MEMBER_BYTES = 1 << 30
MAX_PACKERS = 8

MIXED_IN_SRGB = (
    "its layers are mixed in sRGB in this file and in another space in the scene, which differs where one "
    "shows another through"
)
"""What a warning says of a file that has no place for `Scene.blend_profile`."""

DAMAGE = (*decoding.DAMAGE, zipfile.BadZipFile)
"""Everything that the parsers are known to raise on a damaged file."""


class UnsupportedDocument(Exception):
    """Why a document is not read, and what to do: the end of "Cannot read x: …"."""


WAYS_OUT = (
    "Merge or rasterize it in the program that made it, or open the file with --flatten (the flattened image "
    "that it holds) or --skip-unsupported (without what is not known)."
)


class UnsupportedLayer(UnsupportedDocument):
    """Why a layer or group cannot be shown as its author sees it.

    Args:
        words: a sentence without its full stop, which begins with the layer's name.
    """

    def __init__(self, words: str) -> None:
        super().__init__(f"{words}. {WAYS_OUT}")
        self.words = words


class PixelLimit:
    """The pixels that may still be unpacked; asked before anything is."""

    def __init__(self, max_pixels: int) -> None:
        self.limit, self.left = max_pixels, LAYERS_FOR_CANVAS * max_pixels
        self.layers = 0

    def canvas(self, height: int, width: int) -> None:
        """Checks the size of the canvas, which is not spent."""
        if min(height, width) < 1:
            raise UnsupportedDocument(f"its canvas is {height} x {width} pixels. Save it again with a size.")
        if height * width > self.limit:
            raise UnsupportedDocument(
                f"its canvas of {height} x {width} pixels is more than the limit of {self.limit}. "
                "Make it smaller, or raise max_pixels."
            )

    def spend(self, height: int, width: int) -> None:
        """Counts one layer."""
        self.layers += 1
        self.left -= height * width
        if self.left < 0 or self.layers > MAX_LAYERS:
            raise UnsupportedDocument(
                f"its layers are more than {MAX_LAYERS}, or more than {LAYERS_FOR_CANVAS * self.limit} "
                "pixels in all. "
                "Merge some, or raise max_pixels."
            )


def canvas_around(layers: Iterable[Layer]) -> tuple[int, int]:
    """Computes height and width of the canvas that reaches from (0, 0) to the farthest edge."""
    sizes: list[tuple[AnyArray, tuple[int, int]]] = [(layer.image, layer.offset) for layer in layers]
    # only to the right and below: places may be negative, and what lies there is outside the canvas
    height, width = (max(image.shape[axis] + offset[axis] for image, offset in sizes) for axis in (0, 1))
    return max(height, 1), max(width, 1)


def member(archive: zipfile.ZipFile, name: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
    """Reads a zip member, at most `limit` bytes of it when unpacked."""
    # checked by the stated size before anything is unpacked: a zip bomb is a small file
    entry = archive.getinfo(name)
    if entry.file_size > limit:
        raise UnsupportedDocument(
            f"{name[:80]!r} unpacks to {entry.file_size} bytes, more than {limit}. Make it smaller."
        )
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnsupportedDocument(
            f"{name[:80]!r} is packed in an unusual way. Pack it with deflate, or not at all."
        )
    return archive.read(entry)


def add_images(
    archive: zipfile.ZipFile, images: Iterable[tuple[str, AnyArray, GenerationMetadata | None]]
) -> None:
    """Adds images as PNG, packed by several threads at once: the packers let others run meanwhile."""

    def packed(name: str, image: AnyArray, provenance: GenerationMetadata | None) -> tuple[str, bytes]:
        return name, encode_image(image, "PNG", metadata=provenance)

    workers = min(os.cpu_count() or 1, MAX_PACKERS)
    # filters of warnings are one for all threads: what each sets and sets back would stay set
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=workers) as pool:
        for name, content in pool.map(packed, *zip(*images, strict=True)):
            add_member(archive, name, content)


EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that zip knows


def add_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Adds a member as it is; the same content gives the same bytes."""
    archive.writestr(zipfile.ZipInfo(name, EPOCH), content)


def open_member(archive: zipfile.ZipFile, name: str, most_bytes: int) -> io.BufferedIOBase:
    """Opens a member of at most so many bytes, to be written piece by piece."""
    # a larger form of entry, which not every program knows, only where it is needed
    large = most_bytes >= zipfile.ZIP64_LIMIT
    member = archive.open(zipfile.ZipInfo(name, EPOCH), "w", force_zip64=large)
    return cast("io.BufferedIOBase", member)  # which it is, whatever the stubs say
