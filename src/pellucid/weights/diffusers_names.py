"""What arguments of diffusers are called in the version that is installed."""

from importlib.metadata import version

import torch

DTYPE = "dtype" if tuple(map(int, version("diffusers").split(".")[:2])) >= (0, 40) else "torch_dtype"
"""Name of the argument of `from_pretrained`; diffusers warns of the former one since."""


def dtype_option(dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Returns the argument that has `from_pretrained` load in a dtype."""
    return {DTYPE: dtype}
