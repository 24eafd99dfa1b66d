"""Options that several commands share, declared once; those of sampling, for one, come as one object."""

import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from pellucid.apps.sections import option
from pellucid.apps.terminal import tell

if TYPE_CHECKING:
    from pellucid.pipelines.pipeline import TransparentPipeline

Command = Callable[..., object]
PATH = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
JSON = option("Output", "--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
CLEAN_FIRST = option(
    "Sampling",
    "--clean/--no-clean",
    "wants_clean",
    default=True,
    show_default=True,
    help="Repair dirty alpha, specks and fringes of what the model makes.",
)
CLEAN = option(
    "Output",
    "--clean/--no-clean",
    default=None,
    help="--clean repairs dirty alpha, specks, pinholes and fringes before writing, and --json adds scores "
    "from before and after; --no-clean keeps what was decoded.  [default: alpha that is nearly 0 or 255 is "
    "set to that, and nothing else]",
)
RAW = option(
    "Output",
    "--no-clean",
    "keeps_raw",
    is_flag=True,
    help="Keep alpha as it was decoded, where it is nearly 0 or 255.",
)


def server_options(command: Command) -> Command:
    """Declares where a page is served: --host, --port, --token."""
    declared = (
        option("Server", "--host", default="127.0.0.1", show_default=True, help="Address to listen at."),
        option(
            "Server",
            "--port",
            type=click.IntRange(0, 65535),
            default=8765,
            show_default=True,
            help="0 takes a free one.",
        ),
        option(
            "Server",
            "--token",
            help="Secret that the page's address must hold.  [default: none locally, else a random one]",
        ),
    )
    for each in reversed(declared):
        command = each(command)
    return command


def echo_address(address: str, as_json: bool) -> None:
    """Prints where a page is served."""
    click.echo(json.dumps({"address": address}) if as_json else address)


def passes_option(section: str) -> Callable[[Command], Command]:
    """Declares --passes under a heading: it belongs to sampling, or to decoding alone."""
    return option(
        section,
        "--passes",
        type=int,
        metavar="1|2|4|8",
        help="Orientations from which alpha is decoded; fewer is faster.  [default: the model's]",
    )


class Size(click.ParamType[tuple[int, int]]):
    """Reads WIDTHxHEIGHT as (height, width), pixels.

    People write the width first; arrays have the height first, as has everything behind the command line.
    """

    name = "WxH"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        size = parse_size(str(value))
        if size is None:
            self.fail(f"expected WIDTHxHEIGHT such as 64x96, found {value!r}.", param, ctx)
        return size


def parse_size(text: str) -> tuple[int, int] | None:
    """Reads WIDTHxHEIGHT as (height, width), pixels; None where it is written otherwise."""
    # nine digits at most: Python refuses to read very long numbers with an error of its own
    match = re.fullmatch(r"(\d{1,9})[xX×](\d{1,9})", text, re.ASCII)
    return None if match is None else (int(match[2]), int(match[1]))


def size_option(section: str = "Sampling") -> Callable[[Command], Command]:
    """Declares --size under a heading."""
    return option(
        section,
        "--size",
        type=Size(),
        help="Width and height in pixels; any numbers work.  [default: the model's]",
    )


class Place(click.ParamType[tuple[int, int, int, int]]):
    """Reads WIDTHxHEIGHT+LEFT+TOP, as ImageMagick writes it, as (top, left, height, width), pixels."""

    name = "WxH+X+Y"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int, int, int]:
        # no minus: a box lies inside the canvas
        match = re.fullmatch(r"(\d{1,9})[xX×](\d{1,9})\+(\d{1,9})\+(\d{1,9})", str(value), re.ASCII)
        if match is None:
            self.fail(f"expected WIDTHxHEIGHT+LEFT+TOP such as 64x96+10+20, found {value!r}.", param, ctx)
        width, height, left, top = (int(number) for number in match.groups())
        return top, left, height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Values of `model_options`: which model, and where it computes."""

    model: str | None
    adapter: str | None
    device: str
    dtype: str
    literal: bool = False

    @property
    def name(self) -> str:
        """Returns the name of the chosen model; the embedded one if none was named."""
        return "mini" if self.model is None else self.model

    @property
    def resolved_device(self) -> str:
        """Returns the device, the one that "auto" means on this machine included."""
        from pellucid.pipelines.placement import choose_device

        return str(choose_device(self.device))

    def load(self, usual: str = "mini") -> "TransparentPipeline":
        """Loads the chosen model, or the `usual` one if none was named."""
        from pellucid.apps.fast_imports import lean_imports

        with lean_imports():
            quieten_libraries()
            from pellucid.pipelines.loading import load

            pipe = load(
                usual if self.model is None else self.model,
                adapter=self.adapter,
                device=self.device,
                dtype=self.dtype,
                read_prompts=not self.literal,
            )
        pipe.model.reader.tell = tell
        return pipe


def quieten_libraries() -> None:
    """Keeps diffusers and transformers to errors, as their users may: a command has its own words."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # such as that of an argument's name, which every version that is supported takes
    warnings.filterwarnings("ignore", category=FutureWarning, module="diffusers|transformers")


class SamplingArguments(TypedDict):
    """Values of `sampling_options`, by the names of the keywords that all of the pipeline's methods share.

    None takes the model's own.
    """

    seed: int | None
    count: int
    num_inference_steps: int | None
    guidance_scale: float | None
    negative_prompt: str | None
    scheduler: str | None
    passes: int | None


def check_request(prompt: str, sampling: SamplingArguments, *, strength: float = 1.0) -> None:
    """Refuses values that no model accepts. Runs before a model is loaded, which takes seconds.

    Raises:
        InputError: says which value.
    """
    from pellucid.pipelines.arguments import SamplingOptions
    from pellucid.pipelines.modes import Sampling

    # for its errors alone: the pipeline does both once more, with the settings of the model
    options = SamplingOptions(**sampling)
    options.requests(prompt)
    options.resolve(Sampling(), strength)


class SingleRequest(TypedDict):
    """Keywords of one image, as `SamplingArguments`, with a seed of its own."""

    seed: int
    num_inference_steps: int | None
    guidance_scale: float | None
    negative_prompt: str
    scheduler: str | None
    passes: int | None
    clean: bool


def single_requests(
    prompt: str,
    sampling: SamplingArguments,
    *,
    clean: bool | None,
    seed: int | None = None,
    negative: str | None = None,
) -> list[SingleRequest]:
    """Spells out the images of a prompt, so that each can be written when it is made.

    Args:
        prompt: the text.
        sampling: what all of them share.
        clean: value of `CLEAN`; False keeps alpha as it was decoded.
        seed: of the first; None takes that of `sampling`.
        negative: None takes that of `sampling`.

    Returns:
        Keywords that give the same images one by one as `count` gives together.
    """
    from pellucid.pipelines.arguments import expand_requests

    requests = expand_requests(
        prompt,
        negative_prompt=sampling["negative_prompt"] if negative is None else negative,
        count=sampling["count"],
        seed=sampling["seed"] if seed is None else seed,
    )
    return [
        SingleRequest(
            seed=request.seed,
            num_inference_steps=sampling["num_inference_steps"],
            guidance_scale=sampling["guidance_scale"],
            negative_prompt=request.negative_prompt,
            scheduler=sampling["scheduler"],
            clean=clean is not False,
            passes=sampling["passes"],
        )
        for request in requests
    ]


def gathered(
    name: str, cls: type, options: tuple[Callable[[Command], Command], ...]
) -> Callable[[Command], Command]:
    """Makes a decorator that adds `options`, whose values reach the command as one `cls` called `name`."""

    def decorate(command: Command) -> Command:
        # wraps also hands on click's list of parameters, which it keeps on the function itself
        @wraps(command)
        def called(**values: object) -> object:
            typed: Mapping[str, object] = cls.__annotations__
            names = [each.name for each in fields(cls)] if is_dataclass(cls) else list(typed)
            chosen = cls(**{name: values.pop(name) for name in names})
            return command(**{name: chosen}, **values)

        decorated: Command = called
        for add in reversed(options):  # click lists options in the order in which decorators are written
            decorated = add(decorated)
        return decorated

    return decorate


MODEL_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    option("Model", "--model", help="mini (embedded), a folder, or a hub id.  [default: mini]"),
    option("Model", "--adapter", help="Name of a mode, or a .safetensors file.  [default: the model's]"),
    option(
        "Model",
        "--device",
        default="auto",
        show_default=True,
        help="auto (CUDA, else MPS, else the CPU), cpu, cuda, cuda:1 or mps.",
    ),
    option(
        "Model",
        "--dtype",
        default="auto",
        show_default=True,
        help="auto (float32 on a CPU, else float16), float32, float16 or bfloat16.",
    ),
    option(
        "Model",
        "--literal",
        is_flag=True,
        help="Take PROMPT as it stands: mini else reads emoji, other languages and misspelt words.",
    ),
)
model_options = gathered("choice", ModelChoice, MODEL_OPTIONS)
"""Adds the options of a model; the command gets them as `choice`."""

sampling_options = gathered(
    "sampling",
    SamplingArguments,
    (
        option("Sampling", "--seed", type=int, help="The same seed gives the same image.  [default: random]"),
        option("Sampling", "--count", type=int, default=1, show_default=True, help="Number of images."),
        option(
            "Sampling",
            "--steps",
            "num_inference_steps",
            type=int,
            help="Denoising steps.  [default: the model's]",
        ),
        option(
            "Sampling",
            "--guidance",
            "guidance_scale",
            type=float,
            help="How closely to follow the text; 1 turns guidance off.  [default: the model's]",
        ),
        option(
            "Sampling", "--negative", "negative_prompt", metavar="TEXT", help="What the image must not show."
        ),
        option(
            "Sampling",
            "--scheduler",
            metavar="NAME",
            help="Sampler: ddim, ddpm, dpm++-2m, dpm++-2m-karras, dpm++-2m-karras-exact, dpm++-2m-sde, "
            "dpm++-2m-sde-karras, euler, euler-a, unipc. Of distilled models: dmd2, lcm, tcd, ddim-trailing, "
            "euler-trailing, euler-a-trailing.  [default: the model's]",
        ),
        passes_option("Sampling"),
    ),
)
"""Adds the options of sampling; the command gets them as `sampling`."""


def check_target(target: Path, *, image: bool = True) -> None:
    """Refuses a path that cannot be written. Commands call it first, so that no long work is lost.

    Args:
        target: file that the command will write.
        image: whether its extension must be that of an image or layered document.

    Raises:
        FileError: the path is a folder, lies in none, may not be written, or has an extension that no image
            has.
    """
    from pellucid.errors import FileError

    # imported late like everything of the library, since `--help` should not wait
    from pellucid.files.extensions import LAYERED
    from pellucid.files.images import format_for

    if image and target.suffix.lower() not in LAYERED:
        format_for(target)
    try:
        # raises where a name is too long for the file system, or a folder may not be entered
        is_folder = target.is_dir()
    except OSError as error:
        raise FileError(f"Cannot write {target}: {error.strerror}. Choose another name with -o.") from None
    if is_folder:
        raise FileError(f"Expected a file to write, found the folder {target}. Add a name to it.")
    if not target.parent.is_dir():
        raise FileError(f"Expected a folder {target.parent}, found none. Create it first.")
    if not os.access(target.parent, os.W_OK):
        raise FileError(
            f"Expected a folder that you may write, found {target.parent}. Choose another with -o."
        )
