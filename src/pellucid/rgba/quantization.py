"""Floats to bytes and back: the only place where either happens.

Floats are [0, 1] nominally; what lies outside is clipped. Rounding is to the nearest level (halves to even,
or up by option), so that `to_bytes(to_float(x))` is `x` for every byte. The released
implementation truncates: an option.
"""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Shaped, UInt8, UInt16

from pellucid.errors import InputError
from pellucid.rgba.types import AnyArray

TIE = 1e-10
"""Levels. Above what float64 loses in a stack, below what keeps a quotient of bytes from a half: with three
layers 3e-8, with four 1.2e-10."""


def _scaled(values: AnyArray, top: int) -> Float[np.ndarray, "..."]:
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(
            f"Expected floats in [0, 1], found {values.dtype}. Pass integers as they are: they are "
            f"levels already."
        )
    # clipping would make NaN black, or white, by platform
    if np.isnan(values).any():
        raise InputError(
            f"Expected numbers, found {int(np.isnan(values).sum())} NaN of {values.size}. "
            "Look for what made them: a NaN has no level, and black would hide it."
        )
    wide = np.float64 if top > 255 else np.float32  # float16 cannot hold every level of 16 bits
    return np.clip(values.astype(np.promote_types(values.dtype, wide)) * top, 0, top)


def _to_levels(values: AnyArray, top: int, truncate: bool) -> Float[np.ndarray, "..."]:
    levels = _scaled(values, top)
    return np.trunc(levels) if truncate else np.rint(levels)


def to_bytes(values: AnyArray, *, truncate: bool = False, ties_up: bool = False) -> UInt8[np.ndarray, "..."]:
    """Converts floats to 8-bit levels.

    Args:
        values: floats of any shape, [0, 1]; clipped outside.
        truncate: drop the fraction, as the released implementation does, up to one level darker.
        ties_up: halves go up, as in whole-number compositing, and what is within TIE of a half counts as one.

    Raises:
        InputError: not floats, or a NaN among them.

    Source: LayerDiffuse released decoder, which truncates. Differs by default: we round, so that bytes
        survive a round trip.
    """
    if ties_up:
        return np.floor(_scaled(values, 255) + (0.5 + TIE)).astype(np.uint8)
    return _to_levels(values, 255, truncate).astype(np.uint8)


def to_uint16(values: AnyArray, *, truncate: bool = False) -> UInt16[np.ndarray, "..."]:
    """Converts floats to 16-bit levels; arguments and errors of `to_bytes`."""
    return _to_levels(values, 65535, truncate).astype(np.uint16)


def to_float(levels: AnyArray, dtype: npt.DTypeLike = np.float32) -> Float[np.ndarray, "..."]:
    """Converts 8- or 16-bit levels to floats in [0, 1].

    Raises:
        InputError: `levels` is neither uint8 nor uint16.
    """
    return levels.astype(dtype) / np.asarray(_highest_level(levels), dtype=dtype)


def narrow_to_bytes(levels: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Converts 8- or 16-bit levels to the nearest 8-bit levels, in whole numbers.

    Raises:
        InputError: `levels` is neither uint8 nor uint16.
    """
    if _highest_level(levels) == 255:
        return levels
    # 65535 / 255 is 257 exactly, so adding half of it before the division rounds to nearest
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _highest_level(levels: AnyArray) -> int:
    if levels.dtype.name not in ("uint8", "uint16"):
        raise InputError(
            f"Expected uint8 or uint16 levels, found {levels.dtype}. Pass floats to to_bytes or "
            f"to_uint16 first."
        )
    return 255 if levels.dtype == np.uint8 else 65535
