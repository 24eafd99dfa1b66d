"""From one way of asking to what each family's stock pipeline is called with.

Latents are scaled (b, c, h, w) here, as the codec has them; pipelines may hold them otherwise.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from pellucid.errors import InputError
from pellucid.pipelines.families import largest_side, pixels_per_latent, row_of, twins_of, unpacked

Arguments = Mapping[str, Any]


def call(stock: Any, asked: Arguments) -> Tensor:  # noqa: ANN401 - any diffusers pipeline
    """Scaled latents (b, c, h, w) that a stock pipeline samples.

    Args:
        stock: the pipeline.
        asked: its arguments by diffusers' usual names, whatever it calls them itself. With latents as `image`
            (b, c, h, w) it starts from them, at `strength`.

    Raises:
        InputError: something that this family's pipelines cannot do.
    """
    row = row_of(stock)
    asked = _sized(stock, {**row.always, **asked})
    if row.negative_needs and asked.get(row.negative_needs, 1.0) <= 1 and any(asked["negative_prompt"]):
        raise InputError(
            f"Expected no negative prompt with {row.title} unless {row.negative_needs} is above 1, found one."
            f' Leave it out, or pass pipeline_inputs={{"{row.negative_needs}": 4.0}}, at twice the time.'
        )
    if "image" in asked and twins_of(stock).from_picture is None:
        asked = _begun(stock, asked)
    steps = len(asked["timesteps"]) if "timesteps" in asked else asked["num_inference_steps"]
    if steps < row.fewest_steps:
        raise InputError(
            f"Expected {row.fewest_steps} steps or more with {row.title}, found {steps}. "
            "Take more steps, or more strength."
        )
    if row.callback == "in_place" and "callback_on_step_end" in asked:
        asked = {**asked, "callback": _in_place(stock, asked["callback_on_step_end"])}
        asked.pop("callback_on_step_end")
    found = stock(**asked, output_type="latent").images
    return unpacked(stock, found, asked.get("height", 0), asked.get("width", 0))


def _sized(stock: Any, asked: Arguments) -> dict[str, Any]:  # noqa: ANN401 - any diffusers pipeline
    """Says the size in pixels of latents to start from, where the pipeline would take its own."""
    sized = dict(asked)
    if "image" in asked and row_of(stock).denoiser == "transformer":
        pixels = pixels_per_latent(stock)
        height, width = (side * pixels for side in asked["image"].shape[-2:])
        sized = {"height": height, "width": width, **asked}
    most = largest_side(stock)
    if most is not None and max(sized.get("height", 0), sized.get("width", 0)) > most:
        raise InputError(
            f"Expected at most {most} pixels a side for this model, found {sized['height']} x "
            f"{sized['width']}. Shrink it: the model knows no positions beyond."
        )
    return sized


def _begun(stock: Any, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - any diffusers pipeline
    """Noised `latents` and the last `timesteps` in place of `image` and `strength`, as image-to-image."""
    rest = {name: value for name, value in asked.items() if name not in ("image", "strength")}
    image, scheduler, steps = asked["image"], stock.scheduler, asked["num_inference_steps"]
    scheduler.set_timesteps(steps)
    begin = (steps - min(int(steps * asked["strength"]), steps)) * scheduler.order
    timesteps = scheduler.timesteps[begin:].tolist()
    accepted = inspect.signature(scheduler.set_timesteps).parameters
    try:
        if "timesteps" not in accepted:
            raise ValueError("no timesteps of its own choice")
        scheduler.set_timesteps(timesteps=timesteps, device=image.device)
    except ValueError as error:
        raise InputError(
            f"Expected a scheduler that can start from a picture with {row_of(stock).title}, found "
            f"{type(scheduler).__name__} ({str(error).rstrip('.')}). Take dpm++-2m or the model's own."
        ) from None
    noise = randn_tensor(image.shape, generator=asked["generator"], device=image.device, dtype=image.dtype)
    noised = scheduler.add_noise(image, noise, scheduler.timesteps[:1].expand(len(image)))
    return {**rest, "latents": noised / scheduler.init_noise_sigma, "timesteps": timesteps}


def _in_place(stock: Any, step_end: Callable[..., Arguments]) -> Callable[[int, Any, Tensor], None]:  # noqa: ANN401
    """A `callback_on_step_end` for pipelines that only show their latents: the very tensor they use."""

    def shown(step: int, timestep: Any, latents: Tensor) -> None:  # noqa: ANN401 - the scheduler's own
        latents.copy_(step_end(stock, step, timestep, {"latents": latents})["latents"])

    return shown
