"""What a denoiser is called with while it trains, family by family: text conditions, and one prediction.

Latents are scaled (b, c, h, w) on this side, whatever the family's transformer holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pellucid.pipelines.families import (
    latent_channels,
    packed,
    pixels_per_latent,
    row_of,
    unpacked,
)
from pellucid.pipelines.modes import Family

Conditions = dict[str, Tensor]
"""What the text encoders say, by name, with a row a text."""
TEXTS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Denoiser:
    encode: Callable[[Any, list[str]], Mapping[str, Tensor]]
    predict: Callable[..., Tensor]
    names: tuple[str, ...] = ("states",)
    """Of the conditions."""


@torch.no_grad()
def encode_texts(pipeline: Any, texts: Sequence[str]) -> Conditions:  # noqa: ANN401 - any diffusers pipeline
    """Conditions of every text, as the stock pipeline computes them; float16, on the pipeline's device."""
    encode = _DENOISERS[row_of(pipeline).name].encode
    parts = [
        encode(pipeline, list(texts[start : start + TEXTS_AT_ONCE]))
        for start in range(0, len(texts), TEXTS_AT_ONCE)
    ]
    return {name: torch.cat([part[name].half() for part in parts]) for name in parts[0]}


def condition_names(pipeline: Any) -> tuple[str, ...]:  # noqa: ANN401 - any diffusers pipeline
    """Names of the conditions of the pipeline's family."""
    return _DENOISERS[row_of(pipeline).name].names


def rows_of(conditions: Conditions, rows: Tensor) -> Conditions:
    """The conditions of a batch, float32."""
    return {name: values[rows].float() for name, values in conditions.items()}


def predict(
    pipeline: Any,  # noqa: ANN401 - any diffusers pipeline
    noisy: Tensor,
    timesteps: Tensor,
    conditions: Conditions,
    more: Mapping[str, Any],
) -> Tensor:
    """What the pipeline's denoiser predicts, (b, c, h, w): noise, v or velocity, as it was trained.

    Args:
        pipeline: its denoiser is called, with gradients.
        noisy: latents; more channels than the result has where pictures are shown beside them.
        timesteps: (b,), 0 to 1000.
        conditions: rows of what `encode_texts` gave, one a latent.
        more: what else a UNet is called with.
    """
    return _DENOISERS[row_of(pipeline).name].predict(pipeline, noisy, timesteps, conditions, **more)


def _encode_unet(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:  # noqa: ANN401
    found = pipeline.encode_prompt(texts, pipeline._execution_device, 1, False)
    return {"states": found[0]}


def _predict_unet(
    pipeline: Any,  # noqa: ANN401
    noisy: Tensor,
    timesteps: Tensor,
    conditions: Conditions,
    **more: Any,  # noqa: ANN401
) -> Tensor:
    return pipeline.unet(noisy, timesteps, conditions["states"], return_dict=False, **more)[0]


def _encode_pooled(pipeline: Any, texts: list[str], *, n_prompts: int) -> Mapping[str, Tensor]:  # noqa: ANN401
    """Families with a text's states and one vector for all of it; they take the same text several times."""
    found = pipeline.encode_prompt(*[texts] * n_prompts, do_classifier_free_guidance=False)
    return {"states": found[0], "pooled": found[2]}


def _predict_xl(pipeline: Any, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:  # noqa: ANN401
    """The picture was of this very size, and nothing of it was cut off."""
    height, width = (side * pixels_per_latent(pipeline) for side in noisy.shape[-2:])
    sizes = noisy.new_tensor([[height, width, 0, 0, height, width]]).expand(len(noisy), -1)
    added = {"text_embeds": conditions["pooled"], "time_ids": sizes}
    states = conditions["states"]
    return pipeline.unet(noisy, timesteps, states, added_cond_kwargs=added, return_dict=False)[0]


def _predict_sd3(pipeline: Any, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:  # noqa: ANN401
    return pipeline.transformer(
        hidden_states=noisy,
        timestep=timesteps,
        encoder_hidden_states=conditions["states"],
        pooled_projections=conditions["pooled"],
        return_dict=False,
    )[0]


def _encode_flux(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:  # noqa: ANN401
    states, pooled, _ = pipeline.encode_prompt(texts, texts)
    return {"states": states, "pooled": pooled}


def _predict_flux(pipeline: Any, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:  # noqa: ANN401
    """Guidance is an input of the distilled models, shown at the family's usual value."""
    net, states = pipeline.transformer, conditions["states"]
    rows, columns = noisy.shape[-2:]
    places = pipeline._prepare_latent_image_ids(
        len(noisy), rows // 2, columns // 2, noisy.device, noisy.dtype
    )
    guidance = noisy.new_full((len(noisy),), row_of(pipeline).sampling.guidance_scale)
    found = net(
        hidden_states=packed(pipeline, noisy),
        timestep=timesteps / 1000,
        guidance=guidance if net.config.guidance_embeds else None,
        pooled_projections=conditions["pooled"],
        encoder_hidden_states=states,
        txt_ids=noisy.new_zeros(states.shape[1], 3),
        img_ids=places,
        return_dict=False,
    )[0]
    pixels = pixels_per_latent(pipeline)
    return unpacked(pipeline, found, rows * pixels, columns * pixels)


def _encode_pixart(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:  # noqa: ANN401
    states, mask, _, _ = pipeline.encode_prompt(texts, do_classifier_free_guidance=False)
    return {"states": states, "mask": mask}


def _predict_pixart(pipeline: Any, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:  # noqa: ANN401
    """The first half of the channels; the other is a variance, which these pipelines do not sample with."""
    net = pipeline.transformer
    height, width = (side * pixels_per_latent(pipeline) for side in noisy.shape[-2:])
    added: dict[str, Tensor | None] = {"resolution": None, "aspect_ratio": None}
    if net.config.sample_size == 128:  # as the stock pipelines ask
        added["resolution"] = noisy.new_tensor([[height, width]]).expand(len(noisy), -1)
        added["aspect_ratio"] = noisy.new_tensor([[height / width]]).expand(len(noisy), -1)
    found = net(
        noisy,
        encoder_hidden_states=conditions["states"],
        encoder_attention_mask=conditions["mask"],
        timestep=timesteps,
        added_cond_kwargs=added,
        return_dict=False,
    )[0]
    return found[:, : latent_channels(pipeline)]


UNET = _Denoiser(encode=_encode_unet, predict=_predict_unet)
PIXART = _Denoiser(encode=_encode_pixart, predict=_predict_pixart, names=("states", "mask"))
POOLED = ("states", "pooled")
_DENOISERS: Mapping[Family, _Denoiser] = {
    "sd15": UNET,
    "sd21": UNET,
    "sdxl": _Denoiser(encode=partial(_encode_pooled, n_prompts=1), predict=_predict_xl, names=POOLED),
    "sd3": _Denoiser(encode=partial(_encode_pooled, n_prompts=3), predict=_predict_sd3, names=POOLED),
    "flux": _Denoiser(encode=_encode_flux, predict=_predict_flux, names=POOLED),
    "pixart-alpha": PIXART,
    "pixart-sigma": PIXART,
}
"""Families of `pellucid.pipelines.families`."""
