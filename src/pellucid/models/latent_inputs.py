"""Where a denoiser takes latents in: its first layer, which may be grown to be shown images beside them.

A UNet's is a convolution. A transformer's is one as well, or a matrix over squares of latents that the
pipeline or the model itself has laid out in a row.
"""

import math
import re
from collections.abc import Iterator
from typing import TypeGuard

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pellucid.errors import InputError

InputLayer = nn.Conv2d | nn.Conv3d | nn.Linear
NAMES = re.compile(
    r"conv_in|img_in|x_embedder|patch_embedding|(pos_embed|patch_embed|patch_embedder|x_embedder)\.proj"
    r"|all_x_embedder\.[^.]+|visual_embeddings\.in_layer"
)
"""diffusers' names of such layers, of which every model has one."""
IN_A_ROW = 32
"""Z-Image lays the images of a batch in one row, each filled up to a multiple of so many tokens."""


def find_input(denoiser: nn.Module) -> tuple[str, InputLayer]:
    """Returns the layer that takes latents in, without what PEFT wraps around it, and its name in files.

    Args:
        denoiser: diffusers UNet or transformer, compiled or not.

    Raises:
        InputError: it has none that is known.
    """
    inner = unwrapped(denoiser)
    for path, module in modules_of(inner):
        name = path.removesuffix(".base_layer")
        if _takes_latents(module) and NAMES.fullmatch(name):
            return name, module
    raise InputError(
        f"Expected a denoiser whose first layer is known, found {type(inner).__name__} without. "
        "Take a family of docs/families.md."
    )


def unwrapped(denoiser: nn.Module) -> nn.Module:
    """Returns the module inside `torch.compile`'s, or the module itself."""
    inner = getattr(denoiser, "_orig_mod", denoiser)
    return inner if isinstance(inner, nn.Module) else denoiser


def modules_of(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yields all parts of a network by name; torch's own method says no types."""
    yield from net.named_modules()


def _takes_latents(module: nn.Module) -> TypeGuard[InputLayer]:
    return isinstance(module, InputLayer)


def inputs_of(layer: InputLayer) -> int:
    """Returns the inputs of a layer: of a convolution its channels, of a matrix its features."""
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def is_compiled(denoiser: nn.Module) -> bool:
    """Tells whether `torch.compile` has compiled a denoiser as a whole, beside it or in place."""
    return hasattr(denoiser, "_orig_mod") or denoiser._compiled_call_impl is not None  # pyright: ignore[reportPrivateUsage]


def inputs_for(layer: InputLayer, channels: int, side: int) -> int:
    """Returns how many inputs further channels of latents are.

    Args:
        layer: that takes them in.
        channels: of latents.
        side: of the squares that a matrix takes as one token, latents.
    """
    return channels * side**2 if isinstance(layer, nn.Linear) else channels


def as_tokens(latents: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b n f"]:
    """Lays squares of `side` latents in rows, a token each, channels slowest, as FLUX's pipelines do."""
    squares = latents.unflatten(3, (-1, side)).unflatten(2, (-1, side))
    return squares.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def tokens_beside(latents: Float[Tensor, "b c h w"], side: int, x: Tensor) -> Tensor:
    """Returns latents as the tokens that stand beside tokens `x` (rows, n or h w, f) or (rows * n, f).

    Guidance stacks whole batches, so all latents are repeated one after the other. Tokens that `x` has more,
    such as a further image's, are beside zeros.

    Raises:
        InputError: latents of another size, or rows that are no multiple of theirs.
    """
    tokens = as_tokens(latents, side).to(x)
    scenes, count = tokens.shape[:2]
    each = x.shape[1:-1].numel() if x.ndim > 2 else -(-count // IN_A_ROW) * IN_A_ROW
    rows = x.shape[:-1].numel() // each
    if each < count or rows % scenes or rows * each != x.shape[:-1].numel():
        raise _wrong(latents, x)
    filled = functional.pad(tokens, (0, 0, 0, each - count))
    return filled.repeat(rows // scenes, 1, 1).view(*x.shape[:-1], -1)


def channels_beside(latents: Float[Tensor, "b c h w"], x: Tensor) -> Tensor:
    """Returns latents as the channels that stand beside latents `x` (rows, c, h, w) or (rows, c, 1, h, w).

    What `x` has more at the right, such as another image beside it, is beside zeros.

    Raises:
        InputError: see `tokens_beside`.
    """
    wider = x.shape[-1] - latents.shape[-1]
    if x.shape[-2] != latents.shape[-2] or wider < 0 or x.shape[0] % latents.shape[0]:
        raise _wrong(latents, x)
    repeated = latents.to(x).repeat(x.shape[0] // latents.shape[0], 1, 1, 1)
    filled = functional.pad(repeated, (0, wider)) if wider else repeated
    return filled.unsqueeze(2) if x.ndim == 5 else filled


def side_of(features: int, channels: int) -> int:
    """Returns the side of the squares of latents that so many features are.

    Raises:
        InputError: none that is a whole number.
    """
    side = math.isqrt(max(features, 0) // channels)
    if side < 1 or channels * side**2 != features:
        raise InputError(
            f"Expected conditions of whole squares for {features} features, found {channels} channels. "
            "Take the conditions that the adapter was trained with."
        )
    return side


def _wrong(latents: Tensor, x: Tensor) -> InputError:
    return InputError(
        f"Expected conditions for {tuple(x.shape)}, found {tuple(latents.shape)}. "
        "Encode them at the size of the result, a scene each."
    )
