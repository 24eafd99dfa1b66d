"""What a call of ours is in the words of a family: guidance, negative prompts, images that must be there."""

import inspect
from typing import Any

import torch
from torch import Tensor

from pellucid.errors import InputError
from pellucid.pipelines.arguments import CallKwargs
from pellucid.pipelines.family import ModelFamily, PipelineVariants


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
    else:
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
