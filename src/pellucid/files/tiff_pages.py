"""A TIFF of several pages: 8-bit RGBA, deflate, unassociated alpha, a name a page.

Names are UTF-8 in PageName (tag 285), which TIFF calls ASCII. A page may say where it lies: XPosition and
YPosition (286, 287), in units of the resolution.
"""

import io
import struct
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import SupportsFloat

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from pellucid.errors import FileError
from pellucid.files.image_decoding import collect_texts, guarded, parse_metadata, unpack, warn_of
from pellucid.files.images import build_tags
from pellucid.files.metadata import GenerationMetadata
from pellucid.files.tiff_layout import PAGE_NAME, XMP, Layout, check_tiff
from pellucid.files.tiff_samples import with_twins
from pellucid.rgba.types import RGBA8

RESOLUTIONS, POSITIONS = (283, 282), (287, 286)  # y, x
# Far outside any canvas: such places come of damage, and of resolutions of 0.
MAX_OFFSET = 1 << 31


@dataclass(frozen=True, eq=False)
class Page:
    """One page of a TIFF."""

    rgba: RGBA8
    name: str | None = None
    offset: tuple[int, int] = (0, 0)
    """(top, left), pixels, never negative in a file."""
    provenance: GenerationMetadata | None = None
    tags: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """Only XMP (700)."""


def page_tags(
    *, name: str, provenance: GenerationMetadata | None, xmp: bytes | None
) -> dict[int, str | bytes]:
    """Builds the texts of a page, by their tags."""
    # UTF-8 although TIFF says ASCII, as other programs write it too; a NUL would end the text
    tags: dict[int, str | bytes] = {**build_tags(provenance), PAGE_NAME: name.replace("\0", " ").encode()}
    return tags if xmp is None else {**tags, XMP: xmp}


def encode_pages(pages: Iterable[tuple[RGBA8, Mapping[int, str | bytes]]]) -> bytes:
    """Encodes images, each with what `page_tags` built, as a TIFF.

    Raises:
        FileError: more than a TIFF holds, 4 GiB.
    """
    file = io.BytesIO()
    try:
        with AppendingTiffWriter(file, new=True) as writer:
            for rgba, tags in pages:
                image = Image.fromarray(rgba)
                image.save(writer, "TIFF", compression="tiff_adobe_deflate", tiffinfo=dict(tags))
                writer.newFrame()
    except (ArithmeticError, OSError, RuntimeError, MemoryError, struct.error) as error:
        raise FileError(f"Cannot make a TIFF of these layers: {error}. Use .ora or .zip.") from error
    return file.getvalue()


def decode_pages(name: str, content: bytes, spend: Callable[[int, int], None]) -> list[Page]:
    """Decodes every page of a TIFF except thumbnails of other pages.

    Args:
        name: what messages call it.
        content: the file.
        spend: told height and width of each page before it is unpacked; may raise.

    Raises:
        FileError: damaged, or of a kind that cannot be read.
    """
    layouts, notes = check_tiff(name, content), list[str]()
    shown = guarded(name, lambda: with_twins(content, layouts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's are about files, not about callers
        image: Image.Image = guarded(
            name, lambda: Image.open(io.BytesIO(shown), formats=["TIFF"]), layouts[0] if layouts else None
        )
        with image:
            pages = [
                _page(name, image, number, shown, layout, spend, notes)
                for number, layout in enumerate(layouts)
                if not layout.reduced
            ]
    warn_of(name, notes)
    return pages


def count_pages(name: str, content: bytes) -> int:
    """Counts the pages of a TIFF, thumbnails included; errors of `decode_pages`."""
    return len(check_tiff(name, content))


def _page(
    name: str,
    image: Image.Image,
    number: int,
    content: bytes,
    layout: Layout,
    spend: Callable[[int, int], None],
    notes: list[str],
) -> Page:
    guarded(name, lambda: image.seek(number), layout)
    tags: dict[int, object] = guarded(name, lambda: dict(getattr(image, "tag_v2", {})))
    if min(image.size) < 1:
        raise FileError(f"Cannot read {name}: a page has no pixels. Fetch or save it again.")
    # asked before the pixels are unpacked, page by page
    spend(image.height, image.width)
    pixels = unpack(name, image, content, notes, layout)
    texts = guarded(name, lambda: collect_texts(image, image.getexif()))
    xmp = tags.get(XMP)
    return Page(
        rgba=pixels,  # upright: the decoder of TIFF turns it
        name=guarded(name, lambda: _name(tags.get(PAGE_NAME))),
        offset=guarded(name, lambda: _offset(tags)),
        provenance=parse_metadata(texts),
        tags={XMP: xmp} if isinstance(xmp, bytes) else {},
    )


def _name(value: object) -> str | None:
    """Decodes a page name: PIL takes the bytes for Latin-1; most programs write UTF-8."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _number(value: object) -> float:
    if not isinstance(value, str | SupportsFloat):
        raise TypeError(f"{type(value).__name__} for a number")
    return float(value)


def _offset(tags: Mapping[int, object]) -> tuple[int, int]:
    places = [
        # in units of the resolution, inches or centimetres alike: their product is pixels
        round(_number(tags.get(position, 0)) * _number(tags.get(resolution, 1)))
        for position, resolution in zip(POSITIONS, RESOLUTIONS, strict=True)
    ]
    if not all(0 <= place < MAX_OFFSET for place in places) or not np.isfinite(places).all():
        return 0, 0
    return places[0], places[1]
