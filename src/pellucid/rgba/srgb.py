"""The sRGB transfer curve, both ways, for numpy arrays and torch tensors (IEC 61966-2-1).

Values are floats, [0, 1] nominally; below 0 the straight part of the curve goes on. Torch gradients are
finite everywhere, since the branch that is not taken is fed a value inside its own domain.
"""

import sys
from types import ModuleType

from pellucid.rgba.types import P, is_tensor

# The standard's own roundings: its two branches meet within 1e-7.
ENCODED_KNEE = 0.04045
LINEAR_KNEE = 0.0031308
SLOPE = 12.92
TOE = 0.055
GAMMA = 2.4


def array_module(value: object) -> ModuleType:
    """Returns the module, numpy or torch, whose functions take `value`."""
    if is_tensor(value):
        return sys.modules["torch"]
    import numpy as np

    return np


def decode_srgb(encoded: P) -> P:
    """Converts sRGB-encoded values to linear light."""
    xp = array_module(encoded)
    # clipped before the power: a negative base would give NaN, and NaN gradients in the branch not taken
    curved = ((xp.clip(encoded, ENCODED_KNEE, None) + TOE) / (1 + TOE)) ** GAMMA
    return xp.where(encoded <= ENCODED_KNEE, encoded / SLOPE, curved)  # type: ignore[operator]


def encode_srgb(linear: P) -> P:
    """Converts linear light to sRGB-encoded values."""
    xp = array_module(linear)
    # clipped before the root, whose gradient is infinite at 0
    curved = (1 + TOE) * xp.clip(linear, LINEAR_KNEE, None) ** (1 / GAMMA) - TOE
    return xp.where(linear <= LINEAR_KNEE, linear * SLOPE, curved)  # type: ignore[operator]
