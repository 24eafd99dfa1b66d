"""Calls to libraries whose annotations are narrower than what they take, and parts that must be there."""

from collections.abc import Callable
from typing import Literal, TypedDict, TypeVar

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


def icc_profile(space: Literal["sRGB", "LAB"]) -> bytes:
    profile = ImageCms.createProfile(space)
    return ImageCms.ImageCmsProfile(profile).tobytes()  # pyright: ignore[reportUnknownArgumentType] - of PIL's C code


class Quick(TypedDict):
    """Keywords of a call that is over soon."""

    num_inference_steps: int
    passes: int


class QuickDDIM(Quick):
    """The same, with a scheduler that needs few steps."""

    scheduler: str
