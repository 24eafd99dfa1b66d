"""What a denoiser is called with while it trains: text conditions, and one prediction.

Latents are scaled (b, c, h, w) on this side, whatever the family's transformer holds.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pellucid.pipelines.modes import Family
from pellucid.pipelines.stock import StockPipeline
from pellucid.training.denoiser import stock_step

Conditions = dict[str, Tensor]
"""What the text encoders say, by name, with a row a text."""
Show = Callable[[slice], AbstractContextManager[None]]
"""Shows a denoiser what belongs to some rows of a batch, for a while."""
TEXTS_AT_ONCE = 256


def show_nothing(_: slice) -> AbstractContextManager[None]:
    """Shows nothing."""
    return nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Denoiser:
    encode: Callable[[StockPipeline, list[str]], Mapping[str, Tensor]]
    predict: Callable[..., Tensor]
    names: tuple[str, ...] = ("states",)
    """Of the conditions."""


@torch.no_grad()
def encode_texts(stock: StockPipeline, texts: Sequence[str]) -> Conditions:
    """Encodes every text as the stock pipeline does; float16, on the pipeline's device."""
    if (denoiser := _denoiser(stock)) is None:
        return stock_step.encode_texts(stock, texts)
    encode = denoiser.encode
    parts = [
        encode(stock, list(texts[start : start + TEXTS_AT_ONCE]))
        for start in range(0, len(texts), TEXTS_AT_ONCE)
    ]
    # half precision, since the states of all captions stay in memory for the whole run
    return {name: torch.cat([part[name].half() for part in parts]) for name in parts[0]}


def condition_names(stock: StockPipeline) -> tuple[str, ...]:
    """Returns names of the conditions of the pipeline's family."""
    denoiser = _denoiser(stock)
    return stock_step.condition_names(stock) if denoiser is None else denoiser.names


def take_rows(conditions: Conditions, rows: Tensor) -> Conditions:
    """Returns the conditions of a batch, float32."""
    return {name: values[rows].float() for name, values in conditions.items()}


def predict(
    stock: StockPipeline,
    noisy: Tensor,
    timesteps: Tensor,
    conditions: Conditions,
    extra_kwargs: Mapping[str, object],
    *,
    rows_together: int = 1,
    show: Show = show_nothing,
) -> Tensor:
    """Returns what the pipeline's denoiser predicts, (b, c, h, w): noise, v or velocity, as it was trained.

    Args:
        stock: its denoiser is called, with gradients.
        noisy: latents.
        timesteps: (b,), 0 to 1000.
        conditions: rows of what `encode_texts` gave, one a latent.
        extra_kwargs: what else a UNet is called with.
        rows_together: neighbouring rows that the denoiser must see in one call, all at one timestep.
        show: shows the denoiser images that belong to rows, for as long as these are predicted.
    """
    denoiser = _denoiser(stock)
    at_once = rows_together if denoiser is None else len(noisy)
    parts: list[Tensor] = []
    for start in range(0, len(noisy), at_once):
        rows = slice(start, start + at_once)
        some = {name: values[rows] for name, values in conditions.items()}
        with show(rows):
            if denoiser is None:
                parts.append(stock_step.predict(stock, noisy[rows], timesteps[start], some))
            else:
                parts.append(denoiser.predict(stock, noisy[rows], timesteps[rows], some, **extra_kwargs))
    return torch.cat(parts)


def _denoiser(stock: StockPipeline) -> _Denoiser | None:
    """Returns how a denoiser is called whose call is known here; None where its stock pipeline has to."""
    # a denoiser that was distilled with guidance is told it, which the stock pipeline alone knows how to
    as_called = stock.variants.trains_as_called or stock.denoiser.config.get("time_cond_proj_dim")
    return None if as_called else _DENOISERS.get(stock.family.name)


def _encode_unet(stock: StockPipeline, texts: list[str]) -> Mapping[str, Tensor]:
    encoded = stock.pipeline.encode_prompt(texts, stock.device, 1, False)
    return {"states": encoded[0]}


def _predict_unet(
    stock: StockPipeline,
    noisy: Tensor,
    timesteps: Tensor,
    conditions: Conditions,
    **extra_kwargs: object,
) -> Tensor:
    return stock.denoiser(noisy, timesteps, conditions["states"], return_dict=False, **extra_kwargs)[0]


def _encode_pooled(stock: StockPipeline, texts: list[str], *, n_prompts: int) -> Mapping[str, Tensor]:
    """Families with a text's states and one vector for all of it; they take the same text several times."""
    encoded = stock.pipeline.encode_prompt(*[texts] * n_prompts, do_classifier_free_guidance=False)
    return {"states": encoded[0], "pooled": encoded[2]}


def _predict_xl(stock: StockPipeline, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
    """Predicts for an image that had this very size, of which nothing was cut off."""
    height, width = (side * stock.vae_scale_factor for side in noisy.shape[-2:])
    # original size, crop's corner, target size: XL's conditions, in its own order
    sizes = noisy.new_tensor([[height, width, 0, 0, height, width]]).expand(len(noisy), -1)
    added = {"text_embeds": conditions["pooled"], "time_ids": sizes}
    states = conditions["states"]
    return stock.denoiser(noisy, timesteps, states, added_cond_kwargs=added, return_dict=False)[0]


def _predict_sd3(stock: StockPipeline, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
    return stock.denoiser(
        hidden_states=noisy,
        timestep=timesteps,
        encoder_hidden_states=conditions["states"],
        pooled_projections=conditions["pooled"],
        return_dict=False,
    )[0]


def _encode_flux(stock: StockPipeline, texts: list[str]) -> Mapping[str, Tensor]:
    states, pooled, _ = stock.pipeline.encode_prompt(texts, texts)
    return {"states": states, "pooled": pooled}


def _predict_flux(stock: StockPipeline, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
    """Predicts with the family's usual guidance, which is an input of the distilled models."""
    net, states = stock.denoiser, conditions["states"]
    rows, columns = noisy.shape[-2:]
    places = stock.pipeline._prepare_latent_image_ids(
        len(noisy), rows // 2, columns // 2, noisy.device, noisy.dtype
    )
    guidance = noisy.new_full((len(noisy),), stock.family.sampling.guidance_scale)
    packed = net(
        hidden_states=stock.pack(noisy),
        # the transformer multiplies by 1000 itself
        timestep=timesteps / 1000,
        guidance=guidance if net.config.guidance_embeds else None,
        pooled_projections=conditions["pooled"],
        encoder_hidden_states=states,
        txt_ids=noisy.new_zeros(states.shape[1], 3),
        img_ids=places,
        return_dict=False,
    )[0]
    pixels = stock.vae_scale_factor
    return stock.unpack(packed, rows * pixels, columns * pixels)


def _encode_pixart(stock: StockPipeline, texts: list[str]) -> Mapping[str, Tensor]:
    states, mask, _, _ = stock.pipeline.encode_prompt(texts, do_classifier_free_guidance=False)
    return {"states": states, "mask": mask}


def _predict_pixart(stock: StockPipeline, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
    """Predicts with half of the channels; the other is a variance, which these pipelines do not use."""
    net = stock.denoiser
    height, width = (side * stock.vae_scale_factor for side in noisy.shape[-2:])
    added: dict[str, Tensor | None] = {"resolution": None, "aspect_ratio": None}
    if net.config.sample_size == 128:  # as the stock pipelines ask
        added["resolution"] = noisy.new_tensor([[height, width]]).expand(len(noisy), -1)
        added["aspect_ratio"] = noisy.new_tensor([[height / width]]).expand(len(noisy), -1)
    mean_and_variance = net(
        noisy,
        encoder_hidden_states=conditions["states"],
        encoder_attention_mask=conditions["mask"],
        timestep=timesteps,
        added_cond_kwargs=added,
        return_dict=False,
    )[0]
    return mean_and_variance[:, : stock.latent_channels]


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
"""Families of `pellucid.pipelines.families` whose denoisers are called here, all rows at once. Of the others
the stock pipeline is called, for the rows of one scene at a time."""
