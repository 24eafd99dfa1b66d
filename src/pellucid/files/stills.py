"""Older formats of stills: which file is one, and where their transparency lies when Pillow leaves it out."""

import numpy as np
from PIL import Image

from pellucid.errors import FileError
from pellucid.rgba.types import RGBA8

TGA_ENDINGS = (".tga", ".icb", ".vda", ".vst")
TGA_FOOTER = b"TRUEVISION-XFILE.\0"
ATTRIBUTES_TYPE, PREMULTIPLIED = 494, 4
"""Place in the extension that a TGA's footer names, and the value there."""

UNREAD: tuple[tuple[bytes, int, str], ...] = (
    (b"8BPS", 0, "PSD document"),
    (b"PK\3\4", 0, "ZIP archive or OpenRaster document"),
    (b"gimp xcf", 0, "GIMP document"),
    (b"\xff\x0a", 0, "JPEG XL image"),
    (b"JXL ", 4, "JPEG XL image"),
    (b"jP  ", 4, "JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000 image"),
    (b"ftyphei", 4, "HEIC image"),
    (b"ftyphev", 4, "HEIC image"),
    (b"ftypmif1", 4, "HEIF image"),
    (b"ftypcrx", 4, "raw photo"),
    (b"%PDF", 0, "PDF document"),
    (b"%!PS", 0, "PostScript document"),
    (b"\x76\x2f\x31\x01", 0, "OpenEXR image"),
    (b"#?R", 0, "Radiance HDR image"),
    (b"qoif", 0, "QOI image"),
    (b"DDS ", 0, "DDS texture"),
    (b"icns", 0, "ICNS icon"),
    (b"\0\0\2\0", 0, "CUR cursor"),
    (b"P5", 0, "PNM image"),
    (b"P6", 0, "PNM image"),
    (b"P7", 0, "PAM image"),
    (b"<svg", 0, "SVG drawing"),
    (b"<?xml", 0, "XML file, such as an SVG drawing"),
)
"""Starts of files that are not read, where they stand, and what such a file is."""


def may_be_tga(name: str, content: bytes) -> bool:
    """Says whether a file may be a TGA, which has no signature: by its name or the footer of newer ones."""
    return name.lower().endswith(TGA_ENDINGS) or content.endswith(TGA_FOOTER)


def unread_kind(content: bytes) -> str | None:
    """Names the format of a file that is not read; None if it is not known."""
    return next((kind for mark, place, kind in UNREAD if content.startswith(mark, place)), None)


def check_still(name: str, image: Image.Image, content: bytes) -> None:
    """Refuses alpha whose meaning is not certain.

    Raises:
        FileError: such a TGA.
    """
    if image.format != "TGA":
        return
    depth, entry_depth, alpha_bits = content[16], content[7] if content[1] else 0, content[17] & 15
    if alpha_bits and 16 in (depth, entry_depth) and content[2] not in (3, 11):
        raise FileError(
            f"Cannot read {name}: it is a TGA of 16 bits with an alpha bit, which programs read in opposite "
            "ways. Save it with 32 bits."
        )
    if content.endswith(TGA_FOOTER):
        extension = int.from_bytes(content[-26:-22], "little")
        if extension and content[extension + ATTRIBUTES_TYPE : extension + 495] == bytes([PREMULTIPLIED]):
            raise FileError(
                f"Cannot read {name}: its colours are multiplied by alpha. Save it with straight alpha."
            )


def with_alpha(image: Image.Image, content: bytes, area: tuple[int, ...], offset: int, rgba: RGBA8) -> RGBA8:
    """Gives the unpacked image the alpha that its format means.

    Args:
        image: it, loaded.
        content: its file.
        area: left, top, right and bottom of what the file has pixels for.
        offset: where they begin in the file.
        rgba: the image as Pillow has it.
    """
    if image.format == "GIF":
        left, top, right, bottom = area
        covered = np.zeros(rgba.shape[:2], bool)
        covered[top:bottom, left:right] = True
        # what the frame does not cover shows what is below, whatever the background's number says
        rgba[~covered] = 0
    elif image.format == "TGA" and not content[17] & 15 and (content[16] == 16 or not rgba[..., 3].any()):
        rgba[..., 3] = 255
    elif image.format == "BMP" and content[28:30] == b"\x20\0" and content[30:34] == bytes(4):
        # the fourth byte is reserved, and yet most programs put alpha there; where they do not, it is 0
        height, width = rgba.shape[:2]
        fourth = np.frombuffer(content, np.uint8, height * width * 4, offset).reshape(height, width, 4)[
            ..., 3
        ]
        if fourth.any():
            bottom_up = int.from_bytes(content[22:26], "little", signed=True) > 0
            rgba[..., 3] = fourth[::-1] if bottom_up else fourth
    return rgba
