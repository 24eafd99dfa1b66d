"""What a caller hands to the stock pipeline itself: refused where nothing takes it, cut to each batch."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from diffusers.models.adapter import MultiAdapter
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from torch import Tensor

from pellucid.errors import InputError

SHOWN = "callback_on_step_end_tensor_inputs"
"""Argument of stock pipelines that names what their callback is shown."""
ROW_PREFIXES = ("prompt_", "pooled_prompt_", "negative_", "image_embeds")
"""Embeddings and further texts of these names have a row for each image."""
WITHOUT_ROWS = ("_size", "_crops_coords", "ip_adapter")
"""Parts of names that begin so, too: sizes, and images for adapters."""
OF_ALL_LAYERS = "llama3"
"""Part of names of an encoder's states at every layer, (layers, images, tokens, width)."""


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
    if not _has_rows(name) or not isinstance(value, str | Tensor | Sequence):
        return value
    if isinstance(value, str):
        return [value] * count
    if OF_ALL_LAYERS in name and isinstance(value, Tensor):
        cut = _rows(name.replace(OF_ALL_LAYERS, ""), value.movedim(1, 0), start, count, total)
        assert isinstance(cut, Tensor)
        return cut.movedim(0, 1)
    rows: Sequence[object] = list(value) if isinstance(value, Tensor) else value
    if len(rows) not in (1, total):
        raise InputError(
            f"Expected {name} with one row for all or a row for each of {total} images, found {len(rows)}. "
            "Give them in the order of the images."
        )
    if len(rows) == total:
        return value[start : start + count]
    return value.expand(count, *value.shape[1:]) if isinstance(value, Tensor) else [rows[0]] * count


def images_of(
    inputs: Mapping[str, object], names: Collection[str], start: int, count: int, total: int
) -> dict[str, object]:
    """Returns the inputs with lists of `total` images, under these names, cut to some of them."""
    found = dict(inputs)
    for name in names:
        if isinstance(found.get(name), list | tuple):
            images = list(cast("Sequence[object]", found[name]))
            found[name] = images[start : start + count] if len(images) == total > 1 else images
    return found


def has_several_networks(pipeline: object) -> bool:
    """Tells whether a list of control images is one for each network, or for each kind of control."""
    kinds = {"controlnet": (MultiControlNetModel, ControlNetUnionModel), "adapter": (MultiAdapter,)}
    return any(isinstance(getattr(pipeline, part, None), kind) for part, kind in kinds.items())


def _has_rows(name: str) -> bool:
    return name.startswith(ROW_PREFIXES) and not any(part in name for part in WITHOUT_ROWS)


def with_embeddings(call_kwargs: Mapping[str, object], longest: int | None = None) -> dict[str, object]:
    """Leaves out the texts in whose place embeddings are given; stock pipelines refuse both.

    Args:
        call_kwargs: of the stock pipeline.
        longest: tokens that its text encoder reads; None where that does not matter.

    Raises:
        InputError: a negative prompt beside its embeddings, or none beside longer embeddings than a text has.
    """
    kwargs = dict(call_kwargs)
    positive = kwargs.get("prompt_embeds")
    # some have them by encoder, under longer names
    given = any(
        isinstance(kwargs[name], Tensor) for name in kwargs if name.startswith("negative_prompt_embeds")
    )
    if any(name in kwargs for name in ("prompt_embeds", "pooled_prompt_embeds")):
        kwargs.pop("prompt", None)
    if given:
        texts = kwargs.pop("negative_prompt")
        if isinstance(texts, list) and any(texts):  # pyright: ignore[reportUnknownArgumentType] - of strings
            raise InputError(
                "Expected a negative prompt or negative_prompt_embeds, found both. Leave one of them out."
            )
    elif _is_longer(positive, longest) and float(str(kwargs.get("guidance_scale", 1))) > 1:
        raise InputError(
            f"Expected negative_prompt_embeds beside prompt_embeds of over {longest} tokens, found none. "
            "Embed an empty text at the same length."
        )
    return kwargs


def _is_longer(embeddings: object, longest: int | None) -> bool:
    return isinstance(embeddings, Tensor) and longest is not None and embeddings.shape[1] > longest


def adapter_inputs(pipeline: object, inputs: Mapping[str, object], rows: int) -> Mapping[str, object]:
    """Says to T2I-Adapters what their pipelines do not fill in themselves, unlike all others.

    An image for each row; and of several adapters in one, how strongly each counts.
    """
    adapter, image = getattr(pipeline, "adapter", None), inputs.get("image")
    if adapter is None or image is None:
        return inputs
    if isinstance(adapter, MultiAdapter):
        images = cast("list[object]", image if isinstance(image, list) else [image])
        scales = [1.0] * adapter.num_adapter
        spread = [_repeated(each, rows) for each in images]
        return {"adapter_conditioning_scale": scales, **inputs, "image": spread}
    return {**inputs, "image": _repeated(image, rows)}


def _repeated(image: object, rows: int) -> object:
    return image if rows == 1 or isinstance(image, list) else [image] * rows
