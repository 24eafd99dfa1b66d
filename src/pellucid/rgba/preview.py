"""Images to look at: checkerboards behind transparency, and contact sheets. uint8 in, uint8 out."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.compositing import Colour, flatten, opaque
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import RGB8, RGBA8, AnyArray, RGBFloat32, check_rgba8

if TYPE_CHECKING:
    from PIL import Image

DARK, LIGHT = 0.45, 0.55  # the released visualisation's two greys
RELEASED_CELL_PX = 64
LABEL_PX = 16
LIGATURES = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d"}
)
"""Letters that do not come apart into one of ASCII and an accent."""


def checkerboard(height: int, width: int, *, cell_px: int = 16, released: bool = False) -> RGBFloat32:
    """Draws squares of two greys, the dark one at the top left: float32 (h, w, 3), [0, 1].

    Args:
        height: pixels.
        width: pixels.
        cell_px: side of a square.
        released: height // 64 by width // 64 cells stretched over the image, as the released code shows
        them.

    Raises:
        InputError: a size that is not positive.

    Source: LayerDiffuse released decoder (`released=True`). Differs: a side below 64 has one cell, not none.
    """
    if min(height, width, cell_px) < 1:
        raise InputError(
            f"Expected sizes of 1 or more, found {height} x {width}, {cell_px}. Pass positive numbers."
        )
    rows, columns = np.arange(height) // cell_px, np.arange(width) // cell_px
    if released:
        rows = _stretched(height)
        columns = _stretched(width)
    light = (rows[:, None] + columns[None, :]) % 2
    return np.repeat(np.where(light == 1, LIGHT, DARK).astype(np.float32)[..., None], 3, axis=2)


def _stretched(length: int) -> AnyArray:
    return np.arange(length) * max(length // RELEASED_CELL_PX, 1) // length


def on_checkerboard(rgba: AnyArray, *, cell_px: int = 16, released: bool = False) -> RGB8:
    """Lays an image on a checkerboard; `released` also truncates to bytes instead of rounding.

    Raises:
        InputError: not a uint8 RGBA image.
    """
    height, width = check_rgba8(rgba).shape[:2]
    board = checkerboard(height, width, cell_px=cell_px, released=released)
    return to_bytes(flatten(to_float(rgba), board), truncate=released)


def thumbnail(rgba: AnyArray, side: int) -> RGBA8:
    """Shrinks an image to at most `side` pixels a side, at least 1; alpha weighs colour.

    Raises:
        InputError: not a uint8 RGBA image.
    """
    image = pil_image(rgba)
    image.thumbnail((side, side))
    return np.asarray(image)


def thumbnail_jpeg(rgba: AnyArray, side: int, *, background: Colour) -> tuple[bytes, int, int]:
    """Encodes a thumbnail on a colour as JPEG, and returns it with its height and width.

    Raises:
        InputError: not a uint8 RGBA image, or no colour.
    """
    import io

    small = thumbnail(rgba, side)
    flat = opaque(flatten(small, background))
    file = io.BytesIO()
    pil_image(flat).convert("RGB").save(file, "JPEG", quality=85)
    return file.getvalue(), *small.shape[:2]


def contact_sheet(
    images: Sequence[AnyArray],
    *,
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    gap_px: int = 8,
    cell_px: int = 16,
) -> RGB8:
    """Lays RGBA images side by side on a checkerboard, in reading order, in cells of one size.

    Args:
        images: uint8 (h, w, 4) each; sizes may differ.
        columns: images a row; None makes the sheet about square.
        labels: a line of text under each; cut to the width of its cell.
        gap_px: white between cells.
        cell_px: side of a checkerboard square.

    Raises:
        InputError: no images, a wrong one, or not one label for each.
    """
    if not images or (labels is not None and len(labels) != len(images)):
        raise InputError(
            f"Expected images and no labels or one for each, found {len(images)} images and "
            f"{'no' if labels is None else len(labels)} labels. Pass lists of one length."
        )
    flattened = [on_checkerboard(rgb, cell_px=cell_px) for rgb in images]
    n_columns = min(columns or int(np.ceil(np.sqrt(len(flattened)))), len(flattened))
    cell_height = max(rgb.shape[0] for rgb in flattened) + (LABEL_PX if labels else 0)
    cell_width = max(rgb.shape[1] for rgb in flattened)
    # rounded up
    n_rows = -(-len(flattened) // n_columns)
    shape = (n_rows * (cell_height + gap_px) + gap_px, n_columns * (cell_width + gap_px) + gap_px, 3)
    sheet = np.full(shape, 255, np.uint8)
    for index, rgb in enumerate(flattened):
        top = gap_px + index // n_columns * (cell_height + gap_px)
        left = gap_px + index % n_columns * (cell_width + gap_px)
        sheet[top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb
        if labels:
            strip = _label(labels[index], cell_width)
            sheet[top + cell_height - LABEL_PX : top + cell_height, left : left + cell_width] = strip
    return sheet


def _label(text: str, width: int) -> RGB8:
    from PIL import Image, ImageDraw, ImageFont

    # Pillow's own font: no file to ship, and the same on every machine
    strip = Image.new("RGB", (width, LABEL_PX), "white")
    ImageDraw.Draw(strip).text(
        (1, 1), plain_letters(text), fill="black", font=ImageFont.load_default(LABEL_PX - 4)
    )
    return np.array(strip)


def plain_letters(text: str) -> str:
    """Returns a text in ASCII, which Pillow's own font has: accents fall off, other letters become "?"."""
    apart = unicodedata.normalize("NFKD", text.translate(LIGATURES))
    letters = (each for each in apart if not unicodedata.combining(each))
    return "".join(each if " " <= each <= "~" else " " if each.isspace() else "?" for each in letters)


def pil_image(rgba: AnyArray) -> "Image.Image":
    """Converts uint8 (h, w, 4) to a PIL image.

    Raises:
        InputError: not uint8 (h, w, 4).
    """
    from PIL import Image

    return Image.fromarray(check_rgba8(rgba))
