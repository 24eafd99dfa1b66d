"""What a call may say about sampling, spelled out once for every way of making pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.requests import Request, check_passes, check_sampling, requests_of
from pellucid.pipelines.schedulers import check_scheduler


class SamplingOptions(TypedDict, total=False):
    """Keywords of `generate`, `vary`, `inpaint`, `joint` and all others."""

    count: int
    """Pictures a prompt; 1 if left out."""
    seed: int | Sequence[int] | None
    """Picture i of a prompt takes seed + i; a list has a seed for each prompt. None draws one."""
    negative_prompt: str | Sequence[str] | None
    """What not to show: one for all, or one a prompt."""
    num_inference_steps: int | None
    """None takes the mode's; when repainting, of a full run of which the last `strength` is done."""
    guidance_scale: float | None
    """1 is off. None takes the mode's."""
    scheduler: str | None
    """A name of `pellucid.pipelines.schedulers.SCHEDULERS`. None takes the mode's."""
    passes: int | None
    """Views that the alpha decoder takes the median of: 1, 2, 4 or 8. None takes the mode's."""
    batch_size: int | None
    """Scenes sampled together. None takes 1, which gives the same bytes in any company."""
    pipeline_inputs: Mapping[str, Any] | None
    """What the stock pipeline itself asks for, such as a ControlNet's `image`; where a picture is repainted
    its ControlNet's is called `control_image`."""


class SizedOptions(SamplingOptions, total=False):
    """The same for what is made from text alone."""

    height: int | None
    """Of the result, px; any size. None takes the model's."""
    width: int | None
    """As `height`."""


class StackOptions(SamplingOptions, total=False):
    """The same for layers whose size is given."""

    stop_at: float | None
    """Share of the noise schedule after which the plain UNet goes on alone, 0 to 1; for modes that are shown
    pictures on extra channels. None takes the mode's."""
    adapter_strength: float | None
    """0 to 2, of adapters that have one. None takes what `attach` was given."""


class LayerOptions(StackOptions, SizedOptions, total=False):
    """The same for `joint`, `foreground_on`, `background_for` and `split`."""


class GenerateOptions(SizedOptions, total=False):
    """The same for `generate`."""

    hires_strength: float | None
    """Makes the picture at the model's own size first, then enlarges and repaints it with this strength (try
    0.4), so that large ones keep one subject. None makes it at once."""
    mend_backdrop: bool
    """Measures whether the model left its surroundings clear, and makes the picture again from a clear start
    with a clear frame where it did not, as community models and prompts with a background do."""
    control: object
    """A picture (array, PIL or path, of any size) whose structure the result takes, for models with a control
    network of their own, such as mini. None is none."""
    control_kind: str
    """What is taken: "both" (if left out), "silhouette" or "edges"; of an opaque picture, the silhouette of
    what differs from the corners."""


def check_options(given: Mapping[str, Any], kind: type, caller: str) -> None:
    """Raises TypeError for a keyword that `kind`, one of the classes here, does not have."""
    known = {name: None for cls in reversed(kind.__mro__) for name in getattr(cls, "__annotations__", {})}
    for name in given:
        if name not in known:
            raise TypeError(f"{caller}() has no argument {name!r}. Choose from {', '.join(known)}.")


def requests_in(prompt: object, options: Mapping[str, Any]) -> list[Request]:
    """Every picture of a call, prompt by prompt; errors of `requests_of`."""
    return requests_of(
        prompt,
        negative_prompt=options.get("negative_prompt"),
        count=options.get("count", 1),
        seed=options.get("seed"),
    )


def settings_in(options: Mapping[str, Any], own: Sampling, strength: float = 1.0) -> Sampling:
    """The call's settings, and the mode's `own` where it says nothing.

    Raises:
        InputError: a value that no sampler or decoder has.
    """
    fields = ("num_inference_steps", "guidance_scale", "scheduler", "passes")
    chosen = {name: options.get(name) for name in fields}
    settings = replace(own, **{name: value for name, value in chosen.items() if value is not None})
    check_passes(settings.passes)
    check_scheduler(settings.scheduler)
    check_sampling(settings.num_inference_steps, settings.guidance_scale, strength)
    return settings
