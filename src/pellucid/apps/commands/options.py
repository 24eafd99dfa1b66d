"""Options that several commands share; each family reaches a command as one object."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pellucid.pipelines.pipeline import TransparentPipeline

Command = Callable[..., Any]
PATH = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
CLEAN = click.option(
    "--clean",
    is_flag=True,
    help="Mend dirty alpha, specks, pinholes and fringes first; with --json, scores before and after.",
)
PASSES = click.option(
    "--passes",
    type=int,
    metavar="1|2|4|8",
    help="Views that alpha is read from; fewer is faster.  [default: the model's]",
)


class Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT to (height, width)."""

    name = "WxH"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        found = re.fullmatch(r"(\d{1,9})[xX×](\d{1,9})", str(value), re.ASCII)
        if found is None:
            self.fail(f"expected WIDTHxHEIGHT such as 64x96, found {value!r}.", param, ctx)
        return int(found[2]), int(found[1])


SIZE = click.option(
    "--size", type=Size(), help="Width and height, any number of pixels.  [default: the model's]"
)


class Place(click.ParamType[tuple[int, int, int, int]]):
    """WIDTHxHEIGHT+LEFT+TOP to (top, left, height, width)."""

    name = "WxH+X+Y"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int, int, int]:
        found = re.fullmatch(r"(\d{1,9})[xX×](\d{1,9})\+(\d{1,9})\+(\d{1,9})", str(value), re.ASCII)
        if found is None:
            self.fail(f"expected WIDTHxHEIGHT+LEFT+TOP such as 64x96+10+20, found {value!r}.", param, ctx)
        width, height, left, top = (int(each) for each in found.groups())
        return top, left, height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """What `model_options` say."""

    model: str | None
    adapter: str | None
    device: str
    dtype: str | None

    @property
    def name(self) -> str:
        """The model that was named, or the embedded one."""
        return "mini" if self.model is None else self.model

    def load(self, usual: str = "mini") -> "TransparentPipeline":
        """Loads the model that was named, or the `usual` one."""
        from pellucid.apps.fast_imports import lean_imports

        with lean_imports():
            from transformers.utils import logging as transformers_logging

            from pellucid.pipelines.loading import load

            transformers_logging.disable_progress_bar()
            model = usual if self.model is None else self.model
            return load(model, adapter=self.adapter, device=self.device, dtype=self.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingChoice:
    """What `sampling_options` say."""

    seed: int | None
    count: int
    steps: int | None
    guidance: float | None
    negative: str | None
    scheduler: str | None
    passes: int | None

    def check(self, prompt: str, *, strength: float = 1.0) -> None:
        """Raises InputError for what no model accepts, before one is loaded."""
        from pellucid.pipelines.arguments import check_passes, check_sampling, expand_requests
        from pellucid.pipelines.schedulers import check_scheduler

        expand_requests(prompt, negative_prompt=self.negative, count=self.count, seed=self.seed)
        steps = 1 if self.steps is None else self.steps
        check_sampling(steps, 1.0 if self.guidance is None else self.guidance, strength)
        check_scheduler(self.scheduler)
        check_passes(self.passes)

    def arguments(self) -> dict[str, Any]:
        """The same by the names that `TransparentPipeline.generate` and `vary` use."""
        return {
            "seed": self.seed,
            "count": self.count,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "negative_prompt": self.negative,
            "scheduler": self.scheduler,
            "passes": self.passes,
        }


def _gathered(name: str, cls: type, options: tuple[Callable[[Command], Command], ...]) -> Any:  # noqa: ANN401 - a decorator
    """A decorator: `options`, in --help in that order, fill one `cls`, which the command gets as `name`."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def called(**values: Any) -> Any:  # noqa: ANN401 - click's own
            chosen = cls(**{each.name: values.pop(each.name) for each in fields(cls)})
            return command(**{name: chosen}, **values)

        decorated: Command = called
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


model_options = _gathered(
    "choice",
    ModelChoice,
    (
        click.option("--model", help="mini (embedded), a folder, or a hub id.  [default: mini]"),
        click.option("--adapter", help="Mode's name or .safetensors file.  [default: the model's usual one]"),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps."),
        click.option(
            "--dtype", help="float32, float16 or bfloat16.  [default: float32 on a CPU, else float16]"
        ),
    ),
)
"""Adds the options; the command gets `choice`."""

sampling_options = _gathered(
    "sampling",
    SamplingChoice,
    (
        click.option("--seed", type=int, help="Same seed, same picture.  [default: drawn]"),
        click.option("--count", type=int, default=1, show_default=True, help="How many pictures."),
        click.option("--steps", type=int, help="Denoising steps.  [default: the model's]"),
        click.option(
            "--guidance",
            type=float,
            help="How closely to follow the text; 1 turns it off.  [default: the model's]",
        ),
        click.option("--negative", help="What not to show."),
        click.option(
            "--scheduler", help="Sampler, such as dpm++-2m-karras, euler-a, ddim.  [default: the model's]"
        ),
        PASSES,
    ),
)
"""Adds the options; the command gets `sampling`."""


def check_target(target: Path, *, picture: bool = True) -> None:
    """Refuses, before any work, a place that cannot be written or an ending that no picture has.

    Raises:
        FileError: says which.
    """
    from pellucid.errors import FileError
    from pellucid.files.extensions import LAYERED
    from pellucid.files.images import format_of

    if picture and target.suffix.lower() not in LAYERED:
        format_of(target)
    try:
        is_folder = target.is_dir()
    except OSError as error:
        raise FileError(f"Cannot write {target}: {error.strerror}. Choose another name with -o.") from None
    if is_folder:
        raise FileError(f"Expected a file to write, found the folder {target}. Add a name to it.")
    if not target.parent.is_dir():
        raise FileError(f"Expected a folder {target.parent}, found none. Make it first.")
    if not os.access(target.parent, os.W_OK):
        raise FileError(f"The folder {target.parent} is not yours to write. Choose another with -o.")
