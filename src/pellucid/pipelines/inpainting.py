"""Repainting inside a mask: after every step latents outside it are put back, and at the end the bytes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from pellucid.errors import InputError
from pellucid.pipelines.arguments import CallKwargs
from pellucid.pipelines.given_images import to_image
from pellucid.pipelines.latents import centre_offset
from pellucid.pipelines.pipeline_inputs import SHOWN
from pellucid.pipelines.stock import StockPipeline
from pellucid.rgba.compositing import premultiply, unpremultiply
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import RGBA8, AnyArray


@runtime_checkable
class NoiseScheduler(Protocol):
    """What is asked of a diffusers scheduler here; those of flow matching have `scale_noise` as well."""

    timesteps: Tensor

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...


@runtime_checkable
class RunningPipeline(Protocol):
    """What is asked of the stock pipeline that calls back."""

    scheduler: NoiseScheduler


Callback = Callable[[RunningPipeline, int, object, dict[str, Tensor]], Mapping[str, Tensor] | None]
"""A stock pipeline's `callback_on_step_end`."""


def to_mask(mask: object, like: RGBA8) -> AnyArray:
    """Reads a mask as float32 (h, w) in [0, 1]: how much of each pixel is repainted.

    Args:
        mask: image, array or path; white is repainted, black and transparent are kept.
        like: the image that it belongs to.

    Raises:
        InputError: another size, or nothing to repaint.
    """
    rgba = to_image(mask)
    if rgba.shape[:2] != like.shape[:2]:
        raise InputError(
            f"Expected a mask of {like.shape[0]} x {like.shape[1]} like the image, found "
            f"{rgba.shape[0]} x {rgba.shape[1]}. Draw it over the image itself."
        )
    share = to_float(rgba[..., :3].max(axis=-1)) * to_float(rgba[..., 3])
    if not share.any():
        raise InputError("Expected a mask with something white, found none. White is what is repainted.")
    return share.astype(np.float32)


def latent_mask(share: AnyArray, rows: int, columns: int, pixels: int) -> Tensor:
    """Marks with 1 each latent (1, 1, rows, columns) whose cell of `pixels` px is to be repainted; else 0."""
    height, width = share.shape
    canvas = np.zeros((rows * pixels, columns * pixels), np.float32)
    top, left = centre_offset(canvas.shape, share.shape)
    canvas[top : top + height, left : left + width] = share
    # a latent is free if one pixel of its cell is: `paste` puts the others back to the byte
    return torch.nn.functional.max_pool2d(torch.from_numpy(canvas > 0).float()[None, None], pixels)


def keep_outside(
    stock: StockPipeline, original: Tensor, mask: Tensor, *, first: Callback | None = None
) -> Callback:
    """Makes a `callback_on_step_end` that puts `original` back, noised to the step, where `mask` is 0.

    The noise is the same for every image, so that company in a batch changes nothing.

    Args:
        stock: the pipeline, whose sampler may hold latents packed.
        original: scaled latents (1, c, h, w).
        mask: (1, 1, h, w), 1 where the sampler is free.
        first: the caller's own callback, which is called before.
    """
    noise = torch.randn(original.shape, generator=torch.Generator().manual_seed(0)).to(original)
    kept, noise = stock.pack(original), stock.pack(noise)
    free = stock.pack(mask.to(original).expand_as(original))

    def put_back(
        running: RunningPipeline, step: int, timestep: object, values: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        if first is not None:
            values = {**values, **(first(running, step, timestep, values) or {})}
        scheduler = running.scheduler
        # 0: the whole of its list
        count = 0 if hasattr(scheduler, "lists_the_end") else getattr(running, "num_timesteps", 0)
        timesteps = scheduler.timesteps[-count:]
        noised = kept
        if step + 1 < len(timesteps):
            at = timesteps[step + 1 : step + 2]
            scale_noise = getattr(scheduler, "scale_noise", None)  # of flow matching
            # flow matching's scheduler takes the timestep before the noise, the others after it
            noised = scale_noise(kept, at, noise) if scale_noise else scheduler.add_noise(kept, noise, at)
        return {**values, "latents": values["latents"] * free + noised.to(original.dtype) * (1 - free)}

    return put_back


def step_end_callback(inputs: CallKwargs) -> Callback | None:
    """Returns the caller's own callback among the inputs of a stock pipeline, which must not be lost."""
    return cast("Callback | None", inputs.get("callback_on_step_end"))


def with_step_end(inputs: CallKwargs, callback: Callback) -> dict[str, object]:
    """Returns the inputs with another callback, which is shown latents and what the caller asked for."""
    shown = cast("Sequence[str]", inputs.get(SHOWN, ()))
    return {**inputs, "callback_on_step_end": callback, SHOWN: list(dict.fromkeys((*shown, "latents")))}


def paste(image: RGBA8, painted: RGBA8, share: AnyArray) -> RGBA8:
    """Lays `painted` where `share` is 1 over `image` where it is 0, to the byte; mixes premultiplied between.

    Args:
        image: uint8 (h, w, 4).
        painted: the same shape.
        share: float32 (h, w), [0, 1].
    """
    soft = share[..., None]
    mixed = premultiply(to_float(painted)) * soft + premultiply(to_float(image)) * (1 - soft)
    between = to_bytes(unpremultiply(mixed))
    # the ends are taken and not mixed, which would round them
    return np.where(soft == 0, image, np.where(soft == 1, painted, between))
