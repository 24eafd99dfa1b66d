"""What a call of ours is in the words of a family: guidance, negative prompts, images that must be there."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from pellucid.errors import InputError
from pellucid.pipelines.arguments import CallKwargs
from pellucid.pipelines.family import ModelFamily, PipelineVariants
from pellucid.pipelines.pipeline_inputs import SHOWN


def in_its_words(pipeline: Any, family: ModelFamily, call_kwargs: CallKwargs) -> dict[str, Any]:  # noqa: ANN401
    """Calls guidance and negative prompts as a family does.

    Args:
        pipeline: nobody else's; a guider in it is exchanged.
        family: of the pipeline.
        call_kwargs: by diffusers' usual names.

    Raises:
        InputError: the pipeline would not read the negative prompts.
    """
    kwargs = dict[str, Any](call_kwargs)
    accepted, needs = inspect.signature(pipeline.__call__).parameters, family.negative_prompt_requires
    if (
        needs is not None
        and needs in accepted
        and kwargs.get(needs, 1.0) <= 1
        and any(kwargs.get("negative_prompt", []))
    ):
        raise InputError(
            f"Expected no negative prompt with {family.title} unless {needs} is above 1, found one."
            f' Leave it out, or pass pipeline_inputs={{"{needs}": 4.0}}, at twice the time.'
        )
    if "negative_prompt" not in accepted and any(kwargs.pop("negative_prompt", [])):
        raise InputError(
            f"Expected no negative prompt with {type(pipeline).__name__}, which reads none, found one. "
            "Leave it out."
        )
    guidance = kwargs.pop("guidance_scale")
    if family.guidance == "guider":
        pipeline.guider = pipeline.guider.new(guidance_scale=guidance)
    elif family.guidance != "none":
        kwargs.setdefault(family.guidance, guidance)
    return kwargs


def blank_images(variants: PipelineVariants, call_kwargs: CallKwargs) -> dict[str, Tensor]:
    """Returns the images that a pipeline cannot do without, empty, for a call of some size and batch."""
    # one for each image, since encoding them draws from each one's generator
    rows = len(call_kwargs["generator"])  # pyright: ignore[reportArgumentType] - a list, as `sample` makes it
    height, width = int(call_kwargs["height"]), int(call_kwargs["width"])  # pyright: ignore[reportArgumentType]
    return {
        name: torch.full((rows, channels, height, width), value)
        for name, (channels, value) in variants.blank_images.items()
    }


def as_accepted(
    pipeline: Any,  # noqa: ANN401 - diffusers has no common protocol
    family: ModelFamily,
    variants: PipelineVariants,
    call_kwargs: CallKwargs,
) -> dict[str, Any]:
    """Returns the arguments of a call in the number that a pipeline takes, without a size if it takes none.

    Args:
        pipeline: with the call.
        family: of the pipeline.
        variants: its kind of pipelines.
        call_kwargs: with lists of prompts and generators.
    """
    accepted = inspect.signature(pipeline.__call__).parameters
    kwargs = {k: each for k, each in call_kwargs.items() if k in accepted or k not in ("height", "width")}
    rows = len(kwargs["generator"])  # pyright: ignore[reportArgumentType] - a list, as `sample` makes it
    for name, part in variants.mean_embeddings.items():
        if "image" not in kwargs and name not in kwargs:
            kwargs[name] = getattr(pipeline, part).mean.expand(rows, -1)
    if variants.edits and rows > 1:
        kwargs[variants.control_name] = _one_each(kwargs[variants.control_name], rows)
    return _in_singular(kwargs) if family.one_at_a_time else kwargs


def _one_each(image: object, rows: int) -> object:
    if isinstance(image, Tensor):
        return image.expand(rows, -1, -1, -1) if len(image) == 1 else image
    return image if isinstance(image, list) else [image] * rows


def _in_singular(call_kwargs: CallKwargs) -> dict[str, Any]:
    """Returns the arguments of a call for one image as pipelines want them that make no more."""
    one = dict[str, Any](call_kwargs)
    for name in ("prompt", "negative_prompt", "generator"):
        if isinstance(one.get(name), list):
            (one[name],) = one[name]
    return one


def set_size(pipeline: Any, family: ModelFamily, call_kwargs: CallKwargs) -> None:  # noqa: ANN401
    """Lets a pipeline, nobody else's, make the size of the call, px, where it would make another."""
    if family.sized_by == "call":
        return
    height, width = int(call_kwargs["height"]), int(call_kwargs["width"])  # pyright: ignore[reportArgumentType]
    if family.sized_by == "area":
        # by a hair more, or rounding would take a row away
        pipeline.default_sample_size = (height * width * (1 + 1e-9)) ** 0.5 / pipeline.vae_scale_factor
    else:
        pipeline.resolutions = [(width, height)]


StepEnd = Callable[..., Mapping[str, Tensor]]
"""A `callback_on_step_end`: of pipeline, step, timestep and the tensors that it is shown."""


def hand_on_step_end(pipeline: Any, family: ModelFamily, call_kwargs: dict[str, Any]) -> None:  # noqa: ANN401
    """Hands a `callback_on_step_end` to the scheduler where the stock pipeline has none, or ignores it.

    Args:
        pipeline: nobody else's, with a scheduler of its own.
        family: of the pipeline.
        call_kwargs: of its call; changed.
    """
    known = "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters
    if (known and family.reads_answers) or "callback_on_step_end" not in call_kwargs:
        return
    call_kwargs.pop(SHOWN, None)  # the scheduler shows the latents, and nothing else
    step_end: StepEnd = call_kwargs.pop("callback_on_step_end")

    def callback(step: int, timestep: Any, latents: Tensor) -> None:  # noqa: ANN401 - the scheduler's own
        values = step_end(pipeline, step, timestep, {"latents": latents})
        latents.copy_(values.get("latents", latents))  # the tensor that the pipeline goes on with

    pipeline.scheduler.step = _after_each(pipeline.scheduler.step, callback)


def _after_each(
    take_step: Callable[..., Any], callback: Callable[[int, Any, Tensor], None]
) -> Callable[..., Any]:
    """Returns a scheduler's `step` that shows its result, a tuple or what counts like one, to a callback."""
    taken = 0

    # wrapped, since pipelines ask its signature what it takes
    @wraps(take_step)
    def step(output: Tensor, timestep: Any, *args: object, **options: object) -> Any:  # noqa: ANN401
        nonlocal taken
        result = take_step(output, timestep, *args, **options)
        callback(taken, timestep, result[0])
        taken += 1
        return result

    return step
