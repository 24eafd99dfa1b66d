"""Icons: one image in all the sizes that desktops and browsers ask for, each a PNG in a single file."""

import io
from collections.abc import Sequence

from pellucid.rgba.placing import fit_square
from pellucid.rgba.types import AnyArray

ICON_SIDES = (16, 24, 32, 48, 64, 128, 256)
"""Of the images in an icon, px: those that Windows shows, and the largest that the format holds."""


def encode_icon(rgba: AnyArray, sides: Sequence[int] = ICON_SIDES, margin: int | None = None) -> bytes:
    """Encodes an icon from one image of any size.

    Args:
        rgba: uint8 (h, w, 4), straight, sRGB; another shape than a square gets a clear border.
        sides: px of each image in it, at most 256.
        margin: see `pellucid.rgba.placing.fit_square`.

    Returns:
        The file.
    """
    from PIL import Image

    # the largest first: Pillow leaves out sizes above that of the image that it is asked to save
    largest, *others = (Image.fromarray(fit_square(rgba, side, margin)) for side in sorted(sides)[::-1])
    file = io.BytesIO()
    largest.save(file, "ICO", sizes=[(side, side) for side in sides], append_images=others)
    return file.getvalue()
