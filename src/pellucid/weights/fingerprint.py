"""A hash of weights, to say which model made an image."""

import hashlib
from collections.abc import Iterable

import torch
from torch import nn


def weights_fingerprint(modules: Iterable[nn.Module]) -> str:
    """Returns a hash of all weights as they are loaded, 16 hexadecimal digits.

    Adapters in them count, the device does not.

    Args:
        modules: in an order that is always the same.
    """
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            # flat first: a tensor without dimensions cannot be seen as bytes
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
