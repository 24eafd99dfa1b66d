"""What a call asks for, checked once: prompts, seeds, sizes, steps."""

import math
import operator
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from pellucid.errors import InputError

MAX_SIDE_PX = 8192
MAX_SEED = 2**63 - 1
MAX_COUNT = 10_000
MAX_STEPS = 999
"""Models know 1000 noise levels, and solvers divide by the distance of two: with more they would repeat."""
PASSES = (1, 2, 4, 8)
"""How many views the alpha decoder can take the median of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One picture to sample."""

    prompt: str
    negative_prompt: str
    seed: int


def requests_of(
    prompt: object, *, negative_prompt: object = "", count: int = 1, seed: object = None
) -> list[Request]:
    """Spells out every picture of a call, prompt by prompt.

    Args:
        prompt: a text, or a list of texts.
        negative_prompt: what not to show: one for all, or one a prompt.
        count: pictures a prompt; picture i takes seed + i.
        seed: None draws one; an int starts every prompt; a list has one a prompt, or one a picture.

    Raises:
        InputError: nothing to make, something other than text, or lists of different lengths.
    """
    prompts = texts_of(prompt, "prompt")
    negatives = texts_of("" if negative_prompt is None else negative_prompt, "negative prompt")
    negatives = negatives * len(prompts) if len(negatives) == 1 else negatives
    if len(negatives) != len(prompts):
        raise InputError(
            f"Expected one negative prompt or {len(prompts)}, found {len(negatives)}. "
            "Give one for each prompt."
        )
    if not 1 <= count <= MAX_COUNT:
        raise InputError(
            f"Expected a count of 1 to {MAX_COUNT}, found {count}. Ask for at least one picture."
        )
    seeds = _seeds(seed, n_prompts=len(prompts), count=count)
    return [
        Request(prompt=text, negative_prompt=negatives[i], seed=seeds[i * count + j])
        for i, text in enumerate(prompts)
        for j in range(count)
    ]


def texts_of(value: object, what: str) -> list[str]:
    """A text, or a list of texts, as a list that tokenizers can read.

    Raises:
        InputError: something else, or none.
    """
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, Sequence) else None
    if texts is None or not all(isinstance(text, str) for text in texts):
        raise InputError(f"Expected the {what} as text or a list of texts, found {value!r:.60}. Pass a str.")
    if not texts:
        raise InputError(f"Expected at least one {what}, found an empty list. Pass a text; it may be empty.")
    return [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates break tokenizers


def _seeds(seed: object, *, n_prompts: int, count: int) -> list[int]:
    if isinstance(seed, Sequence) and not isinstance(seed, str):
        given = [_seed(value) for value in seed]
        if len(given) == n_prompts * count:
            return given
        if len(given) != n_prompts:
            raise InputError(
                f"Expected {n_prompts} seeds, or {n_prompts * count}, found {len(given)}. "
                "Give one for each prompt."
            )
    else:
        given = [secrets.randbelow(2**32) if seed is None else _seed(seed)] * n_prompts
    return [(first + i) % (MAX_SEED + 1) for first in given for i in range(count)]


def _seed(value: object) -> int:
    try:
        seed = operator.index(value)  # pyright: ignore[reportArgumentType] - numpy's integers too
    except TypeError:
        seed = -1
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"Expected a seed of 0 to {MAX_SEED}, found {value!r:.40}. Pass a whole number.")
    return seed


def check_size(height: int, width: int) -> None:
    """Raises InputError for a side below 1 or beyond what any model here can paint."""
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX):
        raise InputError(
            f"Expected a size of 1 to {MAX_SIDE_PX} pixels a side, found height {height} and width {width}. "
            "Choose sides in that range."
        )


def check_sampling(num_inference_steps: int, guidance_scale: float, strength: float = 1.0) -> None:
    """Raises InputError for steps, guidance or strength that no sampler accepts."""
    if not 1 <= num_inference_steps <= MAX_STEPS:
        raise InputError(f"Expected 1 to {MAX_STEPS} steps, found {num_inference_steps}. Try 20.")
    if not math.isfinite(guidance_scale) or guidance_scale < 0:
        raise InputError(f"Expected a guidance of 0 or more, found {guidance_scale}. 1 turns it off.")
    if not 0 <= strength <= 1:
        raise InputError(
            f"Expected a strength of 0 to 1, found {strength}. 0 keeps the picture, 1 ignores it."
        )


def check_passes(passes: int | None) -> None:
    """Raises InputError for a number of views that no decoder has; None is the model's own."""
    if passes is not None and passes not in PASSES:
        raise InputError(
            f"Expected {', '.join(map(str, PASSES[:-1]))} or {PASSES[-1]} passes, found {passes}. "
            "8 is the released number, 1 the fastest."
        )


def padded(side: int, multiple: int) -> int:
    """The next multiple at or above `side`."""
    return -(-side // multiple) * multiple
