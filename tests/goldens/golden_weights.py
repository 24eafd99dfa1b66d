"""Deterministic weights for the LayerDiffuse golden vectors (self-contained; numpy only).

Every tensor is a pure function of (salt, key, shape):

    seed = int.from_bytes(sha256(f"{salt}:{key}".encode("utf-8")).digest()[:8], "little")
    n    = numpy.random.Generator(numpy.random.PCG64(seed)).standard_normal(shape)   # float64 stream
    n    = n.astype(float32)

then, by shape and name:

    ndim >= 2                     ->  n * float32(1 / sqrt(fan_in)),  fan_in = prod(shape[1:])
    ndim == 1 and key ends ".weight" (norm scale)  ->  1 + 0.1 * n
    any other 1-D (biases)        ->  0.1 * n

Zero-initialised layers get no special treatment (so that they matter in a comparison).

`overrides` is an ordered list of (regex, mul, add): for every key where re.search(regex, key)
matches, the tensor becomes tensor * float32(mul) + float32(add).  Each golden file names its
overrides (npz entry `meta`, JSON).  They only keep activations in an informative range.

Same PCG64 stream on every platform and numpy >= 1.17.  All arithmetic is float32.
"""
import hashlib
import math
import re

import numpy as np


def seed_of(salt, key):
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:8], "little")


def normal(salt, key, shape):
    """Plain N(0,1) float32 array; also used for golden inputs."""
    rng = np.random.Generator(np.random.PCG64(seed_of(salt, key)))
    return np.asarray(rng.standard_normal(tuple(shape))).astype(np.float32)


def uniform(salt, key, shape):
    """U[0,1) float32 array for golden inputs (float64 stream, then cast)."""
    rng = np.random.Generator(np.random.PCG64(seed_of(salt, key)))
    return np.asarray(rng.random(tuple(shape))).astype(np.float32)


def tensor(salt, key, shape, overrides=()):
    shape = tuple(int(s) for s in shape)
    n = normal(salt, key, shape)
    if len(shape) >= 2:
        fan_in = int(np.prod(shape[1:]))
        out = n * np.float32(1.0 / math.sqrt(fan_in))
    elif key.endswith(".weight"):
        out = np.float32(1.0) + np.float32(0.1) * n
    else:
        out = np.float32(0.1) * n
    for pattern, mul, add in overrides:
        if re.search(pattern, key):
            out = out * np.float32(mul) + np.float32(add)
    return np.ascontiguousarray(out.astype(np.float32))


def state_dict(salt, shapes, overrides=(), prefix=""):
    """shapes: mapping key -> shape. Returns mapping key -> float32 array.

    `prefix` is prepended to the key for seeding and matching only."""
    return {k: tensor(salt, prefix + k, s, overrides) for k, s in shapes.items()}


def fill_module(module, salt, overrides=(), prefix=""):
    """Fill a torch module in place from its own state-dict keys (torch imported lazily)."""
    import torch

    own = module.state_dict()
    new = {
        k: torch.from_numpy(tensor(salt, prefix + k, tuple(v.shape), overrides)) for k, v in own.items()
    }
    module.load_state_dict(new, strict=True)
    return module


if __name__ == "__main__":
    a = tensor("self-test", "conv.weight", (2, 3, 1, 1))
