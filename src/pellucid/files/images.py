"""Single images from and to files; what comes out is always uint8 (h, w, 4), straight, sRGB.

| format | kept | notes |
|---|---|---|
| PNG | every byte, colour under alpha 0 included | 16-bit files are read to the nearest 8-bit level |
| WebP | every byte, colour under alpha 0 included | lossless; at most 16383 pixels a side |
| AVIF | alpha exactly, colour within a few levels | quality 100, 4:4:4, yet its colour transform rounds |
| TIFF | every byte, colour under alpha 0 included | deflate; deeper ones are read to the nearest of 8 bits |
| JPEG | read only | opaque |
| ICO | what fits, in seven sizes | no metadata; the largest is read |
| GIF, BMP, TGA | read only | of an animation the frame that is asked for |
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pellucid._deprecation import renamed_attributes
from pellucid.errors import FileError, InputError
from pellucid.files.atomic import write_atomically
from pellucid.files.metadata import IMAGE_DESCRIPTION, KEY, SOFTWARE, DecodedImage, GenerationMetadata
from pellucid.files.sources import NamedContent, Source, read_source
from pellucid.rgba.types import RGBA8, AnyArray, check_rgba8

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

FORMATS = MappingProxyType(
    {
        ".png": "PNG",
        ".webp": "WEBP",
        ".avif": "AVIF",
        ".tif": "TIFF",
        ".tiff": "TIFF",
        ".jpg": "JPEG",
        ".jpeg": "JPEG",
        ".gif": "GIF",
        ".bmp": "BMP",
        ".ico": "ICO",
        ".tga": "TGA",
    }
)
"""File ending to format; those of READ_ONLY are not written."""

READ_ONLY = ("JPEG", "GIF", "BMP", "TGA")

MAX_PIXELS = 100_000_000
"""Largest image read by default, some 400 MB in memory."""

MANY_PIXELS = 1 << 21
"""From here on PNGs are packed by runs of filtered bytes: four to seven times as fast as by Pillow's usual
level, and 3 to 7 % larger (photographs, drawings; a screenshot 40 %)."""
QUICK_PNG = MappingProxyType({"compress_level": 1, "compress_type": 3})  # zlib's Z_RLE

MAX_SIDES = {"WEBP": 16383, "AVIF": 65535}


def read_rgba(source: Source, *, max_pixels: int = MAX_PIXELS, frame: int | None = None) -> RGBA8:
    """Reads the pixels of an image file: uint8 (h, w, 4), straight, sRGB; otherwise like `read_image`."""
    return read_image(source, max_pixels=max_pixels, frame=frame).rgba


def read_image(source: Source, *, max_pixels: int = MAX_PIXELS, frame: int | None = None) -> DecodedImage:
    """Reads one image: upright (EXIF orientation applied), in sRGB (colour profile applied), 8 bits.

    Args:
        source: a path, a file's content, or an open binary file.
        max_pixels: refuse more; a small file can hold an image that fills the memory.
        frame: the one to read of an animation, from 1, as it is seen; or the page of a TIFF.

    Raises:
        FileError: absent, damaged, truncated, too large, or of another format; or animated and no `frame`, or
            one that it lacks.
        InputError: a frame below 1.

    Warns:
        FileWarning: the image is whole, but not all that the file says of it could be honoured.
    """
    return read_named(read_source(source), max_pixels=max_pixels, frame=frame)


def read_named(
    source: NamedContent, *, max_pixels: int = MAX_PIXELS, frame: int | None = None
) -> DecodedImage:
    """Reads one image of a file that has been read; otherwise like `read_image`."""
    from pellucid.files import image_decoding

    with _warning_of_notes(source.name) as notes:
        return image_decoding.decode(source.name, source.content, max_pixels, notes, frame)


def read_frames(
    source: NamedContent, *, max_pixels: int = MAX_PIXELS, spend: Callable[[int, int], None]
) -> list[tuple[DecodedImage, int]]:
    """Reads every frame of an animation, as it is seen, with its duration in ms; a still is one of 0.

    Args:
        source: a file that has been read.
        max_pixels: refuse larger frames.
        spend: told height and width of each frame before any is unpacked; may raise.

    Raises:
        FileError: as of `read_image`.
    """
    from pellucid.files import image_decoding

    with _warning_of_notes(source.name) as notes:
        return image_decoding.decode_frames(source.name, source.content, max_pixels, notes, spend)


def count_frames(source: NamedContent, *, max_pixels: int = MAX_PIXELS) -> int:
    """Counts the frames of an animation, or the pages of a TIFF, without unpacking any; 1 for a still.

    Raises:
        FileError: as of `read_image`.
    """
    from pellucid.files import image_decoding

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return image_decoding.count_frames(source.name, source.content, max_pixels)


@contextlib.contextmanager
def _warning_of_notes(name: str) -> Generator[list[str]]:
    """Gathers sentences about a file, and warns of them if it can be read at all."""
    from pellucid.files import image_decoding

    notes = list[str]()
    with warnings.catch_warnings():
        # ours are errors, and the library's are about files, not about callers
        warnings.simplefilter("ignore")
        yield notes
    image_decoding.warn_of(name, notes)


def write_image(
    rgba: AnyArray, path: str | Path, *, metadata: GenerationMetadata | Mapping[str, object] | None = None
) -> Path:
    """Writes one image, losslessly where the format can; whole or not at all.

    Args:
        rgba: uint8 (h, w, 4), straight, sRGB.
        path: its ending chooses the format: .png, .webp, .avif, .tif, .tiff or .ico.
        metadata: goes into the file, for `read_image` and for people; an icon has no place for it.

    Returns:
        The path.

    Raises:
        InputError: not such an image, or larger than the format allows.
        FileError: another ending, or the file cannot be written. What was there before is then untouched.
    """
    target = Path(path)
    write_atomically(target, encode_image(rgba, format_for(target), metadata=metadata))
    return target


def format_for(path: Path) -> str:
    """Returns the format that a path's extension names.

    Raises:
        FileError: it asks for none that can be written.
    """
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None or file_format in READ_ONLY:
        raise FileError(
            f"Cannot write {path.name!r}: {path.suffix or 'no ending'} is no format with transparency "
            "that is known here. Use .png, .webp, .avif, .tiff or .ico, or Scene.save for .psd, .ora and "
            ".zip."
        )
    return file_format


def encode_image(
    rgba: AnyArray, format: str = "PNG", *, metadata: GenerationMetadata | Mapping[str, object] | None = None
) -> bytes:
    """Encodes an image file in memory; arguments and errors of `write_image`."""
    check_rgba8(rgba)
    side = MAX_SIDES.get(format)
    if side is not None and max(rgba.shape[:2]) > side:
        raise InputError(
            f"{format} holds at most {side} pixels a side, found {rgba.shape[0]} x {rgba.shape[1]}. Use "
            f"PNG or TIFF."
        )
    if format == "ICO":
        from pellucid.files.icon_writing import encode_icon

        return encode_icon(rgba)
    from PIL import Image

    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = _options(format, GenerationMetadata.of(metadata), rgba.shape[0] * rgba.shape[1])
            Image.fromarray(rgba).save(file, format, **options)
    except (OSError, RuntimeError, MemoryError) as error:
        raise FileError(f"Cannot make a {format} of this image: {error}. Use PNG.") from error
    return file.getvalue()


def _options(format: str, provenance: GenerationMetadata | None, pixels: int) -> dict[str, object]:
    if format == "PNG":
        quick = QUICK_PNG if pixels >= MANY_PIXELS else {}
        return {"pnginfo": _png_texts(provenance), **quick}
    tags = build_tags(provenance)
    if format == "TIFF":
        return {"compression": "tiff_adobe_deflate", "tiffinfo": tags}
    exif = _exif(tags)
    if format == "WEBP":
        return {"lossless": True, "exact": True, "quality": 80, "exif": exif}  # here quality is effort
    return {"quality": 100, "subsampling": "4:4:4", "exif": exif}


def build_tags(provenance: GenerationMetadata | None) -> dict[int, str]:
    """Builds the EXIF and TIFF tags, whose values are ASCII."""
    if provenance is None:
        return {}
    return {
        IMAGE_DESCRIPTION: f"{KEY} {provenance.to_json(ascii_only=True)}",
        SOFTWARE: provenance.readable()["Software"].encode("ascii", "replace").decode(),
    }


def _exif(tags: Mapping[int, str]) -> bytes:
    from PIL import Image

    # EXIF, since WebP and AVIF have no texts of their own
    exif = Image.Exif()
    exif.update(tags)
    return exif.tobytes() if tags else b""


def _png_texts(provenance: GenerationMetadata | None) -> "PngInfo":
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    if provenance is not None:
        # iTXt is UTF-8; PNG's older tEXt is Latin-1 and would lose most prompts
        texts.add_itxt(KEY, provenance.to_json(ascii_only=False))
        for key, value in provenance.readable().items():
            texts.add_itxt(key, value)
    return texts


__getattr__ = renamed_attributes(
    __name__, read_picture="read_image", write_picture="write_image", encode_picture="encode_image"
)
