"""One batch through a stock pipeline, up to its latents."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from pellucid.errors import InputError
from pellucid.pipelines.calls import call
from pellucid.pipelines.families import row_of
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.quiet import quiet
from pellucid.pipelines.requests import Request
from pellucid.pipelines.schedulers import check_scheduler, scheduled

T = TypeVar("T")


def sample(
    stock: Any,  # noqa: ANN401 - any diffusers pipeline
    rows: Sequence[Request],
    settings: Sampling,
    inputs: Mapping[str, Any],
) -> Tensor:
    """Scaled latents (rows, c, h, w): a row a request, each with noise of its own seed.

    Args:
        stock: the pipeline.
        rows: prompts and seeds.
        settings: steps, guidance, scheduler.
        inputs: what else the pipeline is called with.

    Raises:
        InputError: sampling ended in NaN or infinity, or errors of `pellucid.pipelines.calls.call`.
    """
    check_scheduler(settings.scheduler, row_of(stock))
    with quiet(), scheduled(stock, settings.scheduler):
        asked = {
            "prompt": [row.prompt for row in rows],
            "negative_prompt": [row.negative_prompt for row in rows],
            "num_inference_steps": settings.num_inference_steps,
            "guidance_scale": settings.guidance_scale,
            "generator": [torch.Generator("cpu").manual_seed(row.seed) for row in rows],
        }
        found = call(stock, {**asked, **_for_each(rows, stock, inputs)})
    _check_finite(found, settings)
    return found


def _for_each(rows: Sequence[Request], stock: object, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """A T2I-Adapter's picture once a row, which its pipelines want, unlike all others."""
    picture = inputs.get("image")
    if len(rows) == 1 or picture is None or isinstance(picture, list) or not hasattr(stock, "adapter"):
        return inputs
    return {**inputs, "image": [picture] * len(rows)}


def batches(items: Sequence[T], batch_size: int | None) -> Generator[Sequence[T]]:
    """The items, `batch_size` at a time; None is 1.

    Raises:
        InputError: less than 1.
    """
    size = 1 if batch_size is None else batch_size
    if size < 1:
        raise InputError(f"Expected a batch size of 1 or more, found {size}. Leave it out for 1.")
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _check_finite(latents: Tensor, settings: Sampling) -> None:
    """Raises InputError where sampling has ended in NaN or infinity, of which no picture can be made."""
    if not bool(torch.isfinite(latents).all()):
        raise InputError(
            f"Expected numbers after {settings.num_inference_steps} steps at guidance "
            f"{settings.guidance_scale:g}, found NaN or infinity. "
            "Take fewer steps, less guidance, another scheduler, or float32."
        )
