"""An image file's content to straight 8-bit sRGB pixels; whatever is wrong with it becomes a FileError."""

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from PIL import Image, ImageCms, ImageFile

from pellucid.errors import FileError, FileWarning
from pellucid.files import icons, png_chunks, stills, tiff_layout
from pellucid.files.avif_boxes import hide_exif, read_properties
from pellucid.files.bmp_fields import with_plain_fields
from pellucid.files.colour_profiles import GUESSED_INKS, to_srgb
from pellucid.files.frames import Frames, find_frames
from pellucid.files.metadata import IMAGE_DESCRIPTION, KEY, DecodedImage, GenerationMetadata
from pellucid.files.png_samples import is_deep_png, read_deep_png
from pellucid.files.tiff_layout import Layout
from pellucid.files.tiff_samples import read_deep, with_twins
from pellucid.rgba.strips import strip_slices
from pellucid.rgba.types import RGBA8, AnyArray

T = TypeVar("T")

READABLE = ("PNG", "WEBP", "AVIF", "TIFF", "JPEG", "GIF", "BMP", "ICO", "TGA")
ORIENTATION = 0x0112
COPIED_PIXELS = 1 << 20
"""At once from Pillow."""
BAD_EXIF = "its EXIF cannot be read and is left out"

UPRIGHT: dict[int, Callable[[AnyArray], AnyArray]] = {
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""EXIF orientation to what makes the image upright."""

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImageCms.PyCMSError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Everything that the decoders are known to raise on a damaged file."""


def decode(
    name: str, content: bytes, max_pixels: int, notes: list[str], frame: int | None = None
) -> DecodedImage:
    """Reads an image file.

    Args:
        name: what messages call it.
        content: the file.
        max_pixels: refuse more.
        notes: gets a sentence for each part that could not be honoured, without which the image is whole.
        frame: the one to read of several, or the page, from 1.

    Raises:
        FileError: as of `read_image`.
    """
    with _open_file(name, content, max_pixels, notes) as file:
        return next(file.show(file.frames.choose(name, frame)))[0]


def decode_frames(
    name: str, content: bytes, max_pixels: int, notes: list[str], spend: Callable[[int, int], None]
) -> list[tuple[DecodedImage, int]]:
    """Reads every frame of an image file, with its duration in ms; a still is one of 0.

    Args:
        name: what messages call it.
        content: the file.
        max_pixels: refuse larger frames.
        notes: as of `decode`.
        spend: told height and width of each frame before any is unpacked; may raise.

    Raises:
        FileError: as of `read_image`.
    """
    with _open_file(name, content, max_pixels, notes) as file:
        for _ in range(file.frames.count):
            spend(file.image.height, file.image.width)
        return list(file.show(0))


def count_frames(name: str, content: bytes, max_pixels: int) -> int:
    """Counts the frames of an image file, or its pages, without unpacking any; errors of `read_image`."""
    with _open_file(name, content, max_pixels, []) as file:
        return file.frames.count


@contextlib.contextmanager
def _open_file(name: str, content: bytes, max_pixels: int, notes: list[str]) -> Generator["_OpenFile"]:
    if not content:
        raise FileError(f"Cannot read {name}: it is empty. Fetch or save it again.")
    icon = icons.find_largest(name, content) if content.startswith(icons.SIGNATURE) else None
    if icon is not None:
        content = icon.content
    chunks = png_chunks.split_chunks(name, content) if content.startswith(png_chunks.SIGNATURE) else []
    shown = png_chunks.shown_content(chunks, notes) if chunks else with_plain_fields(content)
    is_tiff = content.startswith(tiff_layout.SIGNATURES)
    layouts = dict(enumerate(tiff_layout.check_tiff(name, content))) if is_tiff else {}
    if layouts:
        shown = guarded(name, lambda: with_twins(content, list(layouts.values())))
    # a page's thumbnail is no further image
    pages = [number for number, layout in layouts.items() if not layout.reduced] or list(layouts)
    # only these formats: Pillow would try all it knows, PostScript by an interpreter included
    may_be_tga = stills.may_be_tga(name, content)
    formats = READABLE if may_be_tga else READABLE[:-1]
    if not may_be_tga and (kind := stills.unread_kind(content)):
        raise FileError(
            f"Cannot read {name}: it is a {kind}, and no {_list_of_formats()} image. Convert it first."
        )
    image = _opened(name, shown, formats, layouts.get(0), notes)
    with image:
        _check_size(name, image, max_pixels)
        if pages:
            frames = Frames(len(pages), "pages")
        else:
            frames = guarded(name, lambda: find_frames(name, content, chunks, image, max_pixels))
        if chunks:
            image.info["icc_profile"] = png_chunks.colour_profile(name, chunks, notes)
        page_layouts = [(number, layouts[number]) for number in pages]
        yield _OpenFile(name, content, shown, image, frames, page_layouts, icon, max_pixels, notes)


@dataclass(frozen=True, eq=False)
class _OpenFile:
    """An image file whose start has been read."""

    name: str
    content: bytes
    shown: bytes
    """What the decoder is shown of the content."""
    image: Image.Image
    frames: Frames
    pages: list[tuple[int, Layout]]
    """Number and layout of each page of a TIFF that is no thumbnail."""
    icon: icons.IconImage | None
    """Where the content comes from, if it is the image of an icon."""
    max_pixels: int
    notes: list[str]

    def show(self, first: int) -> Iterator[tuple[DecodedImage, int]]:
        """Yields each frame from the place `first` on, with its duration in ms."""
        for pixels, duration_ms in self._composed(first) if self.frames.compose else self._stored(first):
            orientation, texts = _read_texts(self.name, self.image, self.notes)
            form = "JPEG" if self.image.format == "MPO" else str(self.image.format)
            form = "ICO" if self.icon is not None else form
            upright = turned_upright(pixels, orientation)
            yield DecodedImage(upright, form, parse_metadata(texts), texts), duration_ms

    def _stored(self, first: int) -> Iterator[tuple[AnyArray, int]]:
        """Unpacks images as the decoder has them."""
        name, image = self.name, self.image
        # of what is stored as it is, only the decoder tells whether all is there
        for number, layout in self.pages if len(self.pages) > 1 else ():
            if layout.raw and not layout.deep:
                guarded(name, partial(image.seek, number), layout)
                _check_size(name, image, self.max_pixels)
                guarded(name, image.load)
        for place in range(first, self.frames.count):
            number, layout = self.pages[place] if self.pages else (place, None)
            if self.frames.count > 1 or number:
                guarded(name, partial(image.seek, number), layout)
                _check_size(name, image, self.max_pixels)
            pixels: AnyArray = unpack(name, image, self.shown, self.notes, layout)
            if self.icon is not None:
                pixels = self.icon.masked(pixels)
            if image.format == "AVIF":
                pixels = _as_avif_says(name, image, self.content, pixels, self.notes)
            yield pixels, int(image.info.get("duration") or 0)

    def _composed(self, first: int) -> Iterator[tuple[AnyArray, int]]:
        """Lays frames over one another, in the file's own colours, and then converts them."""
        if self.frames.compose is None:
            return
        frames = self.frames.compose(self._unpack_png)
        for place in range(self.frames.count):
            rgba, duration_ms = guarded(self.name, partial(next, frames))
            if place >= first:
                # the next frame is drawn into the same array; copies of skipped ones would take time
                yield _in_srgb(self.name, self.image, rgba.copy(), self.notes), duration_ms

    def _unpack_png(self, content: bytes) -> RGBA8:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            return unpack(self.name, image, content, self.notes)


def _opened(
    name: str, content: bytes, formats: tuple[str, ...], layout: Layout | None, notes: list[str]
) -> Image.Image:
    try:
        return guarded(name, lambda: Image.open(io.BytesIO(content), formats=formats), layout)
    except FileError:
        # the decoder of AVIF refuses the whole file for a bad EXIF
        hidden = hide_exif(content) if content.startswith(b"ftypavif", 4) else content
        if hidden == content:
            raise
        image = guarded(name, lambda: Image.open(io.BytesIO(hidden), formats=formats))
        notes.append(BAD_EXIF)
        return image


def unpack(
    name: str, image: Image.Image, content: bytes, notes: list[str], layout: Layout | None = None
) -> RGBA8:
    """Unpacks the opened image; `layout` is what a TIFF says of it. Damage is a FileError."""
    profile = image.info.get("icc_profile") or b""
    if layout is not None and layout.deep:
        deep = guarded(name, lambda: read_deep(content, layout, profile, notes))
        return turned_upright(deep, layout.first(ORIENTATION, 1))
    if layout is not None:
        guarded(name, lambda: tiff_layout.mend_tiff(image, layout))
    stills.check_still(name, image, content)
    tile = image.tile[0] if isinstance(image, ImageFile.ImageFile) and image.tile else None
    # apart from opening, which reads the header alone: damage shows here
    guarded(name, image.load)
    if content.startswith(png_chunks.SIGNATURE) and _ends_clear(image):
        png_chunks.check_rows(name, content)
    if is_deep_png(content):
        return guarded(name, lambda: read_deep_png(content, profile, notes))
    rgba = guarded(name, lambda: _decode_pixels(image, content))
    if tile is not None and tile.extents is not None:
        area = tile.extents
        rgba = guarded(name, lambda: stills.with_alpha(image, content, area, tile.offset, rgba))
    return _in_srgb(name, image, rgba, notes)


def _ends_clear(image: Image.Image) -> bool:
    """Says whether one of the last two rows is all 0, as those are that the decoder did not get.

    Of interlaced ones, the last odd row comes at the very end.
    """
    rows = range(max(0, image.height - 2), image.height)
    return not all(any(image.crop((0, row, image.width, row + 1)).tobytes()) for row in rows)


def _in_srgb(name: str, image: Image.Image, rgba: RGBA8, notes: list[str]) -> RGBA8:
    profile = image.info.get("icc_profile")
    if not profile:
        if image.mode == "CMYK":
            notes.append(GUESSED_INKS)
        return rgba
    cmyk = image if image.mode == "CMYK" else None
    return guarded(name, lambda: to_srgb(rgba, profile, notes, cmyk=cmyk))


def _as_avif_says(name: str, image: Image.Image, content: bytes, rgba: RGBA8, notes: list[str]) -> AnyArray:
    properties = read_properties(content)
    # an ICC profile wins over code points
    if properties.colour is not None and not image.info.get("icc_profile"):
        rgba = to_srgb(rgba, properties.colour.profile(name), notes)
    return properties.cropped(name, rgba)


def _read_texts(name: str, image: Image.Image, notes: list[str]) -> tuple[object, dict[str, str]]:
    """Reads the orientation and the texts of the open image."""
    exif, readable = dict[int, object](), True
    try:
        exif.update(image.getexif())
        stored = image.info.get("exif")
        # Pillow has tried a JPEG's already, and does not say a second time that it failed
        if isinstance(stored, bytes):
            readable = stored.removeprefix(b"Exif\0\0").startswith((b"II", b"MM"))
    except DAMAGE:
        readable = False
    if not readable:
        notes.append(BAD_EXIF)
    return exif.get(ORIENTATION, 1), guarded(name, lambda: collect_texts(image, exif))


def warn_of(name: str, notes: list[str]) -> None:
    """Warns once of each note."""
    for note in dict.fromkeys(notes):
        warnings.warn(f"{name}: {note}.", FileWarning, stacklevel=4)


def turned_upright(pixels: AnyArray, orientation: object) -> AnyArray:
    """Applies an EXIF orientation; what is none leaves the image as it is."""
    upright = UPRIGHT.get(orientation if isinstance(orientation, int) else 1)
    return np.ascontiguousarray(upright(pixels) if upright else pixels)


def guarded(name: str, step: Callable[[], T], layout: Layout | None = None) -> T:
    """Runs a step of a decoder; what it raises on damage becomes a FileError about `name`.

    Of a step that opens a page of a TIFF whose `layout` is whole, it becomes one about the layout.
    """
    try:
        return step()
    except FileError:
        raise
    except (*DAMAGE, Image.DecompressionBombError) as error:
        if layout is not None and not isinstance(error, MemoryError | Image.DecompressionBombError):
            raise tiff_layout.unreadable(name, layout) from error
        raise FileError(f"Cannot read {name}: {_what_happened(error)}") from error


def _list_of_formats() -> str:
    return f"{', '.join(READABLE[:-1])} or {READABLE[-1]}"


def _what_happened(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return f"it is no {_list_of_formats()} image, or its start is damaged. Convert it, or fetch it again."
    if isinstance(error, Image.DecompressionBombError):
        return "its image is far too large. Make it smaller first."
    return f"it is damaged or truncated ({type(error).__name__}). Fetch or save it again."


def _check_size(name: str, image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if min(width, height) < 1:
        raise FileError(f"Cannot read {name}: its image has no pixels. Fetch or save it again.")
    # checked before the pixels are unpacked: a small file may declare gigabytes
    if width * height > max_pixels:
        raise FileError(
            f"Cannot read {name}: {height} x {width} pixels are more than the limit of {max_pixels}. "
            "Make it smaller, or raise max_pixels."
        )


def _decode_pixels(image: Image.Image, content: bytes) -> RGBA8:
    """Decodes the loaded image to straight 8-bit sRGB; `content` is its file, for what PIL cannot decode."""
    if image.mode.startswith(("I", "F")):
        raise FileError(
            f"Cannot read an image of {image.mode} samples: their range is not known. Use 8 or 16 bits."
        )
    return _keyed(image, content)


def _keyed(image: Image.Image, content: bytes) -> RGBA8:
    """Decodes 8 bits and less. A grey key counts in the levels of the file, so it is applied here."""
    key = image.info.get("transparency")
    if image.format == "PNG" and image.mode in ("1", "L") and isinstance(key, int):
        top = 2 ** content[24] - 1
        grey = np.asarray(image.convert("L"))
        alpha = np.where(grey == min(key, top) * 255 // top, 0, 255).astype(np.uint8)
        return np.dstack([grey, grey, grey, alpha])
    # premultiplied grey has no way to RGBA in Pillow but this
    return _as_rgba(image.convert("LA") if image.mode == "La" else image)


def _as_rgba(image: Image.Image) -> RGBA8:
    """Converts a loaded image by strips, since Pillow copies the whole twice on the way into an array."""
    rgba = np.empty((image.height, image.width, 4), np.uint8)
    for rows in strip_slices(image.height, image.width, max(1, COPIED_PIXELS // image.width)):
        strip = image.crop((0, rows.start, image.width, rows.stop))
        rgba[rows] = np.asarray(strip if strip.mode == "RGBA" else strip.convert("RGBA"))
    return rgba


def collect_texts(image: Image.Image, exif: Mapping[int, object]) -> dict[str, str]:
    """Collects the texts of the open image, and the one of its EXIF, by their keys."""
    texts = {str(key): str(value) for key, value in getattr(image, "text", {}).items()}
    description = exif.get(IMAGE_DESCRIPTION)
    if isinstance(description, str) and description:
        stored_key, text = ("ImageDescription", description)
        if description.startswith(f"{KEY} "):
            stored_key, text = KEY, description.removeprefix(f"{KEY} ")
        # a text of our own key wins over the description, which other programs rewrite
        texts.setdefault(stored_key, text)
    return texts


def parse_metadata(texts: dict[str, str]) -> GenerationMetadata | None:
    """Parses what Pellucid wrote among the texts of a file; returns None if it wrote nothing."""
    return GenerationMetadata.from_json(texts[KEY]) if KEY in texts else None
