"""An image file's content to straight 8-bit sRGB pixels; whatever is wrong with it becomes a FileError."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from PIL import Image, ImageCms

from pellucid.errors import FileError
from pellucid.files import tiff_layout
from pellucid.files.metadata import IMAGE_DESCRIPTION, KEY, DecodedImage, GenerationMetadata
from pellucid.files.tiff_layout import Layout
from pellucid.rgba.quantization import narrow_to_bytes
from pellucid.rgba.types import RGBA8, AnyArray

T = TypeVar("T")

READABLE = ("PNG", "WEBP", "AVIF", "TIFF", "JPEG")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112

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


def decode(name: str, content: bytes, max_pixels: int) -> DecodedImage:
    """Reads `content`; `name` is what messages call it. Errors of `read_image`."""
    if not content:
        raise FileError(f"Cannot read {name}: it is empty. Fetch or save it again.")
    if content.startswith(PNG_SIGNATURE):
        _check_png(name, content)
    is_tiff = content.startswith(tiff_layout.SIGNATURES)
    layout = next(iter(tiff_layout.check_tiff(name, content)), None) if is_tiff else None
    # only these formats: Pillow would try all it knows, PostScript by an interpreter included
    image: Image.Image = guarded(name, lambda: Image.open(io.BytesIO(content), formats=READABLE), layout)
    with image:
        _check_single_image(name, image, max_pixels)
        pixels = unpack(name, image, content, layout)
        orientation = guarded(name, lambda: image.getexif().get(ORIENTATION, 1))
        texts = guarded(name, lambda: collect_texts(image))
        form = "JPEG" if image.format == "MPO" else str(image.format)
        return DecodedImage(turned_upright(pixels, orientation), form, parse_metadata(texts), texts)


def unpack(name: str, image: Image.Image, content: bytes, layout: Layout | None = None) -> RGBA8:
    """Unpacks the opened image; `layout` is what a TIFF says of it. Damage is a FileError."""
    if layout is not None:
        guarded(name, lambda: tiff_layout.mend_tiff(image, layout))
    # apart from opening, which reads the header alone: damage shows here
    guarded(name, image.load)
    return guarded(name, lambda: _decode_pixels(image, content, layout))


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


def _what_happened(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return (
            f"it is no {', '.join(READABLE[:-1])} or {READABLE[-1]} image, or its start is damaged. "
            "Convert it, or fetch it again."
        )
    if isinstance(error, Image.DecompressionBombError):
        return "its image is far too large. Make it smaller first."
    return f"it is damaged or truncated ({type(error).__name__}). Fetch or save it again."


def _check_png(name: str, content: bytes) -> None:
    """Checks each chunk's checksum up to the end chunk, which the decoder does only in part."""
    # PIL stops at the last row it needs, so a cut or altered tail would pass unseen
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4])
        kind = content[position + 4 : position + 8]
        end = position + 8 + length
        if end + 4 > len(content):
            break
        if zlib.crc32(memoryview(content)[position + 4 : end]) != int.from_bytes(content[end : end + 4]):
            raise FileError(
                f"Cannot read {name}: it is damaged (checksum of {kind!r}). Fetch or save it again."
            )
        if kind == b"IEND":
            return
        position = end + 4
    raise FileError(f"Cannot read {name}: it is truncated. Fetch or save it again.")


def _check_single_image(name: str, image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if min(width, height) < 1:
        raise FileError(f"Cannot read {name}: its image has no pixels. Fetch or save it again.")
    # checked before the pixels are unpacked: a small file may declare gigabytes
    if width * height > max_pixels:
        raise FileError(
            f"Cannot read {name}: {height} x {width} pixels are more than the limit of {max_pixels}. "
            "Make it smaller, or raise max_pixels."
        )
    frames = guarded(name, lambda: getattr(image, "n_frames", 1))
    if frames > 1 and image.format != "MPO":  # a phone's MPO is a photo with a preview
        raise FileError(
            f"Cannot read {name}: it holds {frames} images, one is meant. Extract the one you want."
        )


def _decode_pixels(image: Image.Image, content: bytes, layout: Layout | None) -> RGBA8:
    """Decodes the loaded image to straight 8-bit sRGB; `content` is its file, for what PIL cannot decode."""
    # byte 24 of a PNG is the bit depth in its header; PIL would cut 16 bits to 8 without rounding
    if image.format == "PNG" and content[24] == 16:
        rgba = _deep_png(content)
    elif image.mode in ("I;16", "I;16B", "I;16L", "I;16N"):
        grey = narrow_to_bytes(tiff_layout.grey_levels(image, layout))
        rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    elif image.mode in ("I", "F"):
        raise FileError(
            f"Cannot read an image of {image.mode} samples (32 bits): their range is not known. Use 8 "
            f"or 16 bits."
        )
    else:
        rgba = _keyed(image, content)
    profile = image.info.get("icc_profile")
    if not profile:
        return rgba
    return to_srgb(rgba, profile, cmyk=image if image.mode == "CMYK" else None)


def _keyed(image: Image.Image, content: bytes) -> RGBA8:
    """Decodes 8 bits and less. A grey key counts in the levels of the file, so it is applied here."""
    key = image.info.get("transparency")
    if image.format == "PNG" and image.mode in ("1", "L") and isinstance(key, int):
        top = 2 ** content[24] - 1
        grey = np.asarray(image.convert("L"))
        alpha = np.where(grey == min(key, top) * 255 // top, 0, 255).astype(np.uint8)
        return np.dstack([grey, grey, grey, alpha])
    # premultiplied grey has no way to RGBA in Pillow but this
    return np.array((image.convert("LA") if image.mode == "La" else image).convert("RGBA"))


def _deep_png(content: bytes) -> RGBA8:
    """Decodes a 16-bit PNG, each sample to the nearest byte; a transparent key is compared in 16 bits."""
    import cv2

    # OpenCV, since Pillow knows no RGB of 16 bits
    levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None or levels.dtype != np.uint16:  # pyright: ignore[reportUnnecessaryComparison] - None
        raise ValueError("16-bit samples cannot be decoded")
    levels = np.atleast_3d(levels)
    channels = levels.shape[2]
    # OpenCV's order is blue, green, red
    colour = levels[..., [0, 0, 0]] if channels < 3 else levels[..., [2, 1, 0]]
    alpha = levels[..., -1:] if channels in (2, 4) else np.full_like(levels[..., :1], 65535)
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        transparent_key = image.info.get("transparency")
    if transparent_key is not None and channels in (1, 3):
        alpha = np.where(
            (colour == np.asarray(transparent_key, np.uint16)).all(axis=-1, keepdims=True), 0, alpha
        )
    return narrow_to_bytes(np.concatenate([colour, alpha], axis=-1).astype(np.uint16))


def to_srgb(rgba: RGBA8, profile: bytes, *, cmyk: Image.Image | None = None) -> RGBA8:
    """Converts colours from an ICC profile to sRGB and keeps alpha.

    Raises:
        FileError: a profile for another kind of colour.
        PyCMSError: no profile.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    # converting sRGB to sRGB through a profile would still move some levels by rounding
    if "sRGB" in ImageCms.getProfileDescription(source):
        return rgba
    space = _colour_space(source)
    if space == "GRAY":
        colour = Image.fromarray(np.ascontiguousarray(rgba[..., 0]))
    elif space == "CMYK" and cmyk is not None:
        colour = cmyk
    elif space == "RGB":
        colour = Image.fromarray(np.ascontiguousarray(rgba[..., :3]))
    else:
        raise FileError(f"Cannot read an image with a {space} colour profile. Save it as RGB.")
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(colour, source, target, outputMode="RGB")  # pyright: ignore[reportUnknownArgumentType] - of PIL's C code
    # profiles are about colour; alpha is a share and passes
    return np.dstack([np.asarray(converted), rgba[..., 3]])


def _colour_space(profile: ImageCms.ImageCmsProfile) -> str:
    opened = profile.profile
    return getattr(opened, "xcolor_space", "").strip()  # pyright: ignore[reportUnknownArgumentType] - of PIL's C code


def collect_texts(image: Image.Image) -> dict[str, str]:
    """Collects the texts of the open image by their keys."""
    texts = {str(key): str(value) for key, value in getattr(image, "text", {}).items()}
    description = image.getexif().get(IMAGE_DESCRIPTION)
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
