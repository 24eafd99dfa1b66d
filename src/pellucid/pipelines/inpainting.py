"""Repainting inside a mask: after every step latents outside it are put back, and at the end the bytes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.errors import InputError
from pellucid.pipelines.codec import middle_of, rgba_of
from pellucid.pipelines.families import packed
from pellucid.rgba.compositing import premultiply, unpremultiply
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import RGBA8, AnyArray

Callback = Callable[[Any, int, Any, dict[str, Tensor]], dict[str, Tensor]]


def mask_of(mask: object, like: RGBA8) -> AnyArray:
    """A mask as float32 (h, w) in [0, 1]: how much of each pixel is repainted.

    Args:
        mask: picture, array or path; white is repainted, black and transparent are kept.
        like: the picture that it belongs to.

    Raises:
        InputError: another size, or nothing to repaint.
    """
    rgba = rgba_of(mask)
    if rgba.shape[:2] != like.shape[:2]:
        raise InputError(
            f"Expected a mask of {like.shape[0]} x {like.shape[1]} like the picture, found "
            f"{rgba.shape[0]} x {rgba.shape[1]}. Draw it over the picture itself."
        )
    share = to_float(rgba[..., :3].max(axis=-1)) * to_float(rgba[..., 3])
    if not share.any():
        raise InputError("Expected a mask with something white, found none. White is what is repainted.")
    return share.astype(np.float32)


def latent_mask(share: AnyArray, rows: int, columns: int, pixels: int) -> Tensor:
    """1 for each latent (1, 1, rows, columns) whose cell of `pixels` px holds anything to repaint, else 0."""
    height, width = share.shape
    canvas = np.zeros((rows * pixels, columns * pixels), np.float32)
    top, left = middle_of(canvas.shape, share.shape)
    canvas[top : top + height, left : left + width] = share
    return torch.nn.functional.max_pool2d(torch.from_numpy(canvas > 0).float()[None, None], pixels)


def keep_outside(known: Tensor, mask: Tensor) -> Callback:
    """A stock pipeline's `callback_on_step_end`: puts `known` back, noised to the step, where `mask` is 0.

    The noise is the same for every picture, so that company in a batch changes nothing.

    Args:
        known: scaled latents (1, c, h, w), whatever the pipeline packs them into.
        mask: (1, 1, h, w), 1 where the sampler is free.
    """
    noise = torch.randn(known.shape, generator=torch.Generator().manual_seed(0)).to(known)
    mask = mask.to(known).expand_as(known)

    def put_back(stock: Any, step: int, _: Any, values: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: ANN401 - diffusers' own
        scheduler = stock.scheduler
        timesteps = scheduler.timesteps[-getattr(stock, "num_timesteps", 0) :]  # 0: the whole of its own list
        kept, free = packed(stock, known), packed(stock, mask)
        there = kept
        if step + 1 < len(timesteps):
            at = timesteps[step + 1 : step + 2]
            if hasattr(scheduler, "scale_noise"):  # flow matching
                there = scheduler.scale_noise(kept, at, packed(stock, noise))
            else:
                there = scheduler.add_noise(kept, packed(stock, noise), at)
        return {"latents": values["latents"] * free + there.to(known.dtype) * (1 - free)}

    return put_back


def pasted(picture: RGBA8, painted: RGBA8, share: AnyArray) -> RGBA8:
    """`painted` where `share` is 1, `picture` where it is 0, to the byte; mixed premultiplied between.

    Args:
        picture: uint8 (h, w, 4).
        painted: the same shape.
        share: float32 (h, w), [0, 1].
    """
    soft = share[..., None]
    mixed = premultiply(to_float(painted)) * soft + premultiply(to_float(picture)) * (1 - soft)
    between = to_bytes(unpremultiply(mixed))
    return np.where(soft == 0, picture, np.where(soft == 1, painted, between))
