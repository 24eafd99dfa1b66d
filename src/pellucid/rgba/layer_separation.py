"""A composite taken apart by arithmetic, given one of its two layers: no model, and *over* gives it back.

Images are uint8 (h, w, 4), straight alpha; the composite and its background are taken as opaque. What
arithmetic cannot know is chosen: the most transparent foreground, and smooth colour behind an opaque one.
"""

import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.padding import extend_colour
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import AnyArray


def extract_foreground(composite: AnyArray, background: AnyArray) -> AnyArray:
    """Computes the most transparent layer that gives `composite` over `background`.

    Raises:
        InputError: images of different sizes.
    """
    _check_sizes(composite, background)
    seen, below = to_float(composite[..., :3], np.float64), to_float(background[..., :3], np.float64)
    # difference matting with a known background (Smith & Blinn 1996): of all answers, the least alpha
    change = seen - below
    room = np.where(change > 0, 1 - below, below)  # how far each channel could have gone that way
    share = np.divide(np.abs(change), room, out=np.zeros_like(change), where=room > 0)
    # alpha in whole levels, rounded up: a smaller one could not reach the composite
    alpha = np.ceil(share.max(axis=-1, keepdims=True) * 255 - 1e-9) / 255
    rgb = below + np.divide(change, alpha, out=np.zeros_like(change), where=alpha > 0)
    layer = to_bytes(np.concatenate([np.clip(rgb, 0, 1), alpha], axis=-1))
    # colour under alpha 0 is undefined: 0, so that equal inputs give equal bytes
    layer[layer[..., 3] == 0] = 0
    return layer


def extract_background(composite: AnyArray, foreground: AnyArray) -> AnyArray:
    """Computes the opaque image that gives `composite` under `foreground`, smooth where that hides it.

    Raises:
        InputError: images of different sizes.
    """
    _check_sizes(composite, foreground)
    seen, front = to_float(composite[..., :3], np.float64), to_float(foreground, np.float64)
    alpha = front[..., 3:]
    # where the foreground is opaque nothing is known; filled in below from around
    behind = np.divide(seen - front[..., :3] * alpha, 1 - alpha, out=np.zeros_like(seen), where=alpha < 1)
    visible = to_bytes(np.concatenate([np.clip(behind, 0, 1), 1 - alpha], axis=-1))
    # from level 1 on a colour is known, however little of it shows
    whole = extend_colour(visible, seen_from=1).copy()
    whole[..., 3] = 255
    return whole


def _check_sizes(composite: AnyArray, part: AnyArray) -> None:
    if composite.shape != part.shape:
        raise InputError(
            f"Expected two images of one size, found {composite.shape[:2]} and {part.shape[:2]}. "
            "Resize one of them first."
        )
