"""What a caller hands to the stock pipeline itself: refused where nothing takes it, cut to each batch."""

import difflib
from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from pellucid.errors import InputError

SHOWN = "callback_on_step_end_tensor_inputs"
"""Argument of stock pipelines that names what their callback is shown."""
ROW_PREFIXES = ("prompt_", "pooled_prompt_", "negative_")
"""Embeddings and further texts of these names have a row for each image."""


def check_known(names: Collection[str], accepted: Collection[str], pipeline: str) -> None:
    """Raises InputError for an argument that a stock pipeline does not have; diffusers drops some."""
    if unknown := sorted(set(names) - set(accepted)):
        near = difflib.get_close_matches(unknown[0], accepted, n=1)
        advice = f"Did you mean {near[0]}?" if near else "Leave it out, or attach a pipeline that takes it."
        raise InputError(f"Expected inputs that {pipeline} takes, found {unknown[0]}. {advice}")


def rows_of(inputs: Mapping[str, object], start: int, count: int, total: int) -> Mapping[str, object]:
    """Returns the inputs of some of a call's images: rows of embeddings `start` to `start + count`.

    Args:
        inputs: with embeddings of one row, which holds for every image, or of a row for each.
        start: first image.
        count: images of the batch.
        total: images of the call.

    Raises:
        InputError: another number of rows.
    """
    return {name: _rows(name, value, start, count, total) for name, value in inputs.items()}


def _rows(name: str, value: object, start: int, count: int, total: int) -> object:
    if not name.startswith(ROW_PREFIXES) or not isinstance(value, str | Tensor | Sequence):
        return value
    if isinstance(value, str):
        return [value] * count
    rows: Sequence[object] = list(value) if isinstance(value, Tensor) else value
    if len(rows) not in (1, total):
        raise InputError(
            f"Expected {name} with one row for all or a row for each of {total} images, found {len(rows)}. "
            "Give them in the order of the images."
        )
    if len(rows) == total:
        return value[start : start + count]
    return value.expand(count, *value.shape[1:]) if isinstance(value, Tensor) else [rows[0]] * count


def with_embeddings(call_kwargs: Mapping[str, object], longest: int | None = None) -> dict[str, object]:
    """Leaves out the texts in whose place embeddings are given; stock pipelines refuse both.

    Args:
        call_kwargs: of the stock pipeline.
        longest: tokens that its text encoder reads; None where that does not matter.

    Raises:
        InputError: a negative prompt beside its embeddings, or none beside longer embeddings than a text has.
    """
    kwargs = dict(call_kwargs)
    positive, negative = kwargs.get("prompt_embeds"), kwargs.get("negative_prompt_embeds")
    if isinstance(positive, Tensor):
        del kwargs["prompt"]
    if isinstance(negative, Tensor):
        texts = kwargs.pop("negative_prompt")
        if isinstance(texts, list) and any(texts):  # pyright: ignore[reportUnknownArgumentType] - of strings
            raise InputError(
                "Expected a negative prompt or negative_prompt_embeds, found both. Leave one of them out."
            )
    elif isinstance(positive, Tensor) and longest is not None and positive.shape[1] > longest:
        raise InputError(
            f"Expected negative_prompt_embeds beside prompt_embeds of over {longest} tokens, found none. "
            "Embed an empty text at the same length."
        )
    return kwargs
