"""Names for the arrays that cross our borders.

Images are straight (colour not multiplied by alpha), alpha last, sRGB-encoded, sized (height, width).
Functions that take an image from a user are annotated `AnyArray` and check it themselves, so that a wrong
one gets a message; what they return carries its shape in its type. Torch is never imported here: its types
are spelled with strings where they are needed.
"""

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float32, UInt8

from pellucid.errors import InputError

AnyArray = npt.NDArray[Any]
RGBA8 = UInt8[np.ndarray, "h w 4"]
"""The image of every file, scene and result."""
RGB8 = UInt8[np.ndarray, "h w 3"]
RGBAFloat = Float[np.ndarray, "h w 4"]
RGBFloat32 = Float32[np.ndarray, "h w 3"]

if TYPE_CHECKING:
    from torch import Tensor

    P = TypeVar("P", AnyArray, Tensor)
else:
    P = TypeVar("P")  # naming the kinds here would load torch
"""An image, numpy array or torch tensor; out comes what went in."""


def is_tensor(value: object) -> bool:
    """Returns whether `value` is a torch tensor, without loading torch."""
    # who holds a tensor has loaded torch; importing it here would cost every command a second
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def check_rgba8(rgba: AnyArray, what: str = "the image") -> RGBA8:
    """Returns `rgba` if it is a uint8 (h, w, 4) image of at least one pixel.

    Raises:
        InputError: any other dtype or shape.
    """
    if rgba.dtype != np.uint8 or rgba.ndim != 3 or rgba.shape[2] != 4 or rgba.size == 0:
        raise InputError(
            f"Expected {what} as uint8 (height, width, 4), found {rgba.dtype} {rgba.shape}. "
            "Convert floats with pellucid.rgba.quantization.to_bytes, and put alpha last."
        )
    return rgba
