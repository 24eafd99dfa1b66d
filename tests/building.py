"""Calls to libraries whose annotations are narrower than what they take, and parts that must be there."""

from collections.abc import Callable, Mapping
from typing import Literal, TypedDict, TypeVar

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import ImageCms
from torch import nn

T = TypeVar("T")


def build(constructor: Callable[..., T], **arguments: object) -> T:
    """Calls a constructor of diffusers or transformers.

    They are annotated for tuples of one, for CLIP's tokenizer and for no None, and take any of these.
    """
    return constructor(**arguments)


def present(value: T | None) -> T:
    """Returns a value that a test knows to be there."""
    assert value is not None
    return value


def submodule(module: nn.Module, path: str, kind: type[T]) -> T:
    """Returns a module's part by its dotted path, which is of the kind that the test knows."""
    part = module.get_submodule(path)
    assert isinstance(part, kind)
    return part


def cast(module: nn.Module, dtype: torch.dtype) -> None:
    """Casts a module in place; diffusers' own `to` is annotated as another function's."""
    module.to(dtype)


def icc_profile(space: Literal["sRGB", "LAB"]) -> bytes:
    profile = ImageCms.createProfile(space)
    return ImageCms.ImageCmsProfile(profile).tobytes()  # pyright: ignore[reportUnknownArgumentType] - of PIL's C code


def call_stock(pipeline: DiffusionPipeline, prompt: str, **arguments: object) -> object:
    """Calls a pipeline, which their common class does not say it can be."""
    assert callable(pipeline)
    return pipeline(prompt, **arguments)


def hooks_in(module: nn.Module) -> int:
    """Counts what was registered to run before or after the parts of a module."""
    parts: list[nn.Module] = list(module.modules())
    return sum(_hooks(part) for part in parts)


def _hooks(part: nn.Module) -> int:
    before: Mapping[int, object] = part._forward_pre_hooks  # pyright: ignore[reportPrivateUsage]
    after: Mapping[int, object] = part._forward_hooks  # pyright: ignore[reportPrivateUsage]
    return len([*before]) + len([*after])


class Size(TypedDict):
    height: int
    width: int


class Quick(TypedDict):
    """Keywords of a call that is over soon."""

    num_inference_steps: int
    passes: int


class QuickDDIM(Quick):
    """The same, with a scheduler that needs few steps."""

    scheduler: str


class QuickSeeded(Quick):
    """The same, with a seed."""

    seed: int


class QuickSeededDDIM(QuickDDIM):
    """The same, with a seed and a scheduler that needs few steps."""

    seed: int
