"""Arguments of the public methods, checked once: prompts, seeds, sizes, steps."""

import math
import operator
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard, TypeVar

from pellucid.errors import InputError
from pellucid.files.conversion import MAX_SIDE_PX
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.schedulers import check_scheduler, check_steps
from pellucid.scene.scene import Scene

T = TypeVar("T")
Prompt = str | Sequence[str]
"""A text, or one for each image or scene."""
CallKwargs = Mapping[str, object]
"""What a stock pipeline is called with, by diffusers' usual names."""

# torch's generators take 64 bits with a sign.
MAX_SEED = 2**63 - 1
MAX_COUNT = 10_000
MAX_STEPS = 999
"""Models know 1000 noise levels, and solvers divide by the distance of two: with more they would repeat."""
PASSES = (1, 2, 4, 8)
"""How many orientations the alpha decoder can take the median of (test-time augmentation)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One image to sample."""

    prompt: str
    negative_prompt: str
    seed: int


def expand_requests(
    prompt: object, *, negative_prompt: object = "", count: int = 1, seed: object = None
) -> list[Request]:
    """Spells out every image of a call, prompt by prompt.

    Args:
        prompt: a text, or a list of texts.
        negative_prompt: what not to show: one for all, or one a prompt.
        count: images a prompt; image i takes seed + i.
        seed: None draws one; an int starts every prompt; a list has one a prompt, or one an image.

    Raises:
        InputError: nothing to make, something other than text, or lists of different lengths.
    """
    prompts = as_text_list(prompt, "prompt")
    negatives = as_text_list("" if negative_prompt is None else negative_prompt, "negative prompt")
    negatives = negatives * len(prompts) if len(negatives) == 1 else negatives
    if len(negatives) != len(prompts):
        raise InputError(
            f"Expected one negative prompt or {len(prompts)}, found {len(negatives)}. "
            "Give one for each prompt."
        )
    count = as_whole_number(count, "count")
    if not 1 <= count <= MAX_COUNT:
        raise InputError(f"Expected a count of 1 to {MAX_COUNT}, found {count}. Ask for at least one image.")
    seeds = _seeds(seed, n_prompts=len(prompts), count=count)
    return [
        Request(prompt=text, negative_prompt=negatives[i], seed=seeds[i * count + j])
        for i, text in enumerate(prompts)
        for j in range(count)
    ]


def as_text_list(value: object, what: str) -> list[str]:
    """Returns a text, or a list of texts, as a list that tokenizers can read.

    Raises:
        InputError: something else, or none.
    """
    texts = [value] if isinstance(value, str) else value
    if not _are_texts(texts):
        raise InputError(f"Expected the {what} as text or a list of texts, found {value!r:.60}. Pass a str.")
    if not texts:
        raise InputError(f"Expected at least one {what}, found an empty list. Pass a text; it may be empty.")
    return [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates break tokenizers


def _are_texts(values: object) -> TypeGuard[Sequence[str]]:
    return isinstance(values, Sequence) and all(isinstance(each, str) for each in values)


def _seeds(seed: object, *, n_prompts: int, count: int) -> list[int]:
    if isinstance(seed, Sequence) and not isinstance(seed, str):
        several: Sequence[object] = seed
        seeds = [_seed(value) for value in several]
        if len(seeds) == n_prompts * count:
            return seeds
        if len(seeds) != n_prompts:
            raise InputError(
                f"Expected {n_prompts} seeds, or {n_prompts * count}, found {len(seeds)}. "
                "Give one for each prompt."
            )
    else:
        # not torch's own generator: a drawn seed must not move the caller's draws; 32 bits are easy to copy
        seeds = [secrets.randbelow(2**32) if seed is None else _seed(seed)] * n_prompts
    # counted on from 0 at the end, rather than refused
    return [(first + i) % (MAX_SEED + 1) for first in seeds for i in range(count)]


def _seed(value: object) -> int:
    try:
        seed = operator.index(value)  # pyright: ignore[reportArgumentType] - numpy's integers too
    except TypeError:
        seed = -1
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"Expected a seed of 0 to {MAX_SEED}, found {value!r:.40}. Pass a whole number.")
    return seed


def as_whole_number(value: object, name: str) -> int:
    """Returns an int, numpy's included.

    Raises:
        InputError: text, a fraction, or anything else.
    """
    try:
        return operator.index(value)  # pyright: ignore[reportArgumentType] - raises what is no number
    except TypeError:
        raise InputError(
            f"Expected {name} as a whole number, found {value!r:.40} ({type(value).__name__}). Pass an int."
        ) from None


def as_number(value: object, name: str) -> float:
    """Returns a float, numpy's included; errors of `as_whole_number` for text and what is no number."""
    if isinstance(value, (str, bytes)):
        raise InputError(f"Expected {name} as a number, found the text {value!r:.40}. Pass a float.")
    try:
        return float(value)  # pyright: ignore[reportArgumentType] - raises what is no number
    except (TypeError, ValueError):
        raise InputError(f"Expected {name} as a number, found {value!r:.40}. Pass a float.") from None


def check_size(height: int, width: int) -> None:
    """Raises InputError for a side below 1 or beyond what any model here can paint."""
    height, width = as_whole_number(height, "height"), as_whole_number(width, "width")
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX):
        raise InputError(
            f"Expected a size of 1 to {MAX_SIDE_PX} pixels a side, found height {height} and width {width}. "
            "Choose sides in that range."
        )


def check_repaint_strength(strength: float) -> None:
    """Raises InputError for a share of repainting that is no number of 0 to 1; adapters go to 2."""
    if not 0 <= as_number(strength, "strength") <= 1:
        raise InputError(f"Expected a strength of 0 to 1, found {strength}. 0 keeps the image, 1 ignores it.")


def check_sampling(num_inference_steps: int, guidance_scale: float, strength: float = 1.0) -> None:
    """Raises InputError for steps, guidance or strength that no sampler accepts."""
    if not 1 <= as_whole_number(num_inference_steps, "num_inference_steps") <= MAX_STEPS:
        raise InputError(f"Expected 1 to {MAX_STEPS} steps, found {num_inference_steps}. Try 20.")
    if not math.isfinite(as_number(guidance_scale, "guidance_scale")) or guidance_scale < 0:
        raise InputError(f"Expected a guidance of 0 or more, found {guidance_scale}. 1 turns it off.")
    check_repaint_strength(strength)


def check_passes(passes: int | None) -> None:
    """Raises InputError for a number of views that no decoder has; None is the model's own."""
    if passes is not None and passes not in PASSES:
        raise InputError(
            f"Expected {', '.join(map(str, PASSES[:-1]))} or {PASSES[-1]} passes, found {passes}. "
            "8 is the released number, 1 the fastest."
        )


def round_up(side: int, multiple: int) -> int:
    """Returns the next multiple at or above `side`."""
    return -(-side // multiple) * multiple


def one_or_all(
    scenes: list[Scene], prompts: Sequence[str | Sequence[str] | None], count: int
) -> Scene | list[Scene]:
    """Returns the only scene where every prompt is one text and the count is 1, else the list."""
    single = count == 1 and all(prompt is None or isinstance(prompt, str) for prompt in prompts)
    return scenes[0] if single else scenes


ELSEWHERE = {
    "prompt": "Pass the prompt itself",
    "negative_prompt": "Pass negative_prompt= itself",
    "num_inference_steps": "Pass num_inference_steps= itself",
    "guidance_scale": "Pass guidance_scale= itself",
    "height": "Pass height= itself",
    "width": "Pass width= itself",
    "strength": "Pass strength= itself",
    "generator": "Pass seed=, from which each image gets its own noise",
    "num_images_per_prompt": "Pass count=",
    "output_type": "Leave it out: results are images with alpha",
    "return_dict": "Leave it out: methods return scenes",
}
"""Arguments of stock pipelines that methods here say for themselves, and what to do instead."""


def check_names(inputs: CallKwargs) -> None:
    """Raises InputError for an argument that a method here has under a name of its own, or decides."""
    for name in inputs:
        if name in ELSEWHERE:
            raise InputError(f"Expected no {name} in pipeline_inputs, found one. {ELSEWHERE[name]}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """What every public method may say about sampling.

    None takes the mode's own value; a mode without a scheduler has the pipeline's.
    """

    count: int = 1
    seed: int | Sequence[int] | None = None
    negative_prompt: str | Sequence[str] | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    passes: int | None = None
    batch_size: int | None = None
    pipeline_inputs: CallKwargs | None = None
    clean: bool = True
    """Whether alpha is snapped as soon as it is decoded (`pellucid.rgba.snapping`)."""

    def requests(self, prompt: str | Sequence[str]) -> list[Request]:
        """Spells out every image of the call; errors of `expand_requests`."""
        return expand_requests(prompt, negative_prompt=self.negative_prompt, count=self.count, seed=self.seed)

    def resolve(self, defaults: Sampling, strength: float = 1.0) -> Sampling:
        """Returns the call's settings, and the mode's where the call says nothing.

        Raises:
            InputError: a value that no sampler or decoder has.
        """
        names = ("num_inference_steps", "guidance_scale", "scheduler", "passes")
        overrides = {name: value for name in names if (value := getattr(self, name)) is not None}
        settings = replace(defaults, **overrides)
        check_names(self.inputs)
        check_passes(settings.passes)
        check_scheduler(settings.scheduler)
        check_sampling(settings.num_inference_steps, settings.guidance_scale, strength)
        check_steps(settings.scheduler, settings.num_inference_steps)
        return settings

    def batches(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """Yields the items, `batch_size` at a time; 1 if none was asked for.

        Raises:
            InputError: less than 1.
        """
        size = 1 if self.batch_size is None else as_whole_number(self.batch_size, "batch_size")
        if size < 1:
            raise InputError(f"Expected a batch size of 1 or more, found {size}. Leave it out for 1.")
        for start in range(0, len(items), size):
            yield items[start : start + size]

    @property
    def inputs(self) -> CallKwargs:
        """Returns what the stock pipeline itself is called with beside all this."""
        return self.pipeline_inputs or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptions(SamplingOptions):
    """The same for methods that make layers."""

    height: int | None = None
    width: int | None = None
    adapter_end: float | None = None
    adapter_strength: float | None = None
