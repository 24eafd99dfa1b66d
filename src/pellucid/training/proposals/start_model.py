"""What a recipe has to know of the model that it starts from."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from pellucid.errors import ConfigError
from pellucid.pipelines.loading import SINGLE_LAYER_FILES, load_stock_pipeline
from pellucid.pipelines.model_folders import MINI, find_part, model_folder
from pellucid.pipelines.stock import StockPipeline
from pellucid.training.denoiser.parameters import ATTENTION

RELEASED_VAE = (128, 256, 512, 512)
"""Channels of the VAEs that released codecs were trained over: those of Stable Diffusion 1.5 and XL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartModel:
    """A model without its weights."""

    name: str
    """As `pellucid.load` takes it."""
    title: str
    """What it is, for people."""
    native_px: int
    """Side of the images that it was trained on."""
    pixels_per_latent: int
    size_multiple: int
    """What sides must divide by, px: for the denoiser, and for the small codec that a recipe may train."""
    denoiser_parameters: int
    text_parameters: int
    """Of all text encoders."""
    vae_parameters: int
    vae_width: int
    """Channels of the VAE at full size."""
    lora_parameters_per_rank: int
    """Of LoRAs in all attentions, for each rank."""
    codec: Literal["own", "released", "none"]
    """Whether there are networks that read and write alpha in its latents."""
    codec_name: str | None = None
    """Released mode whose codec it is."""
    base_adapter: str = ""
    """Adapter that makes it transparent already: in its folder, or a released mode's. Empty is none."""


def read_start_model(name: str) -> StartModel:
    """Loads a model and tells what a recipe has to know of it.

    Args:
        name: "mini", a folder in diffusers' layout, or a hub id.

    Raises:
        WeightsError: it cannot be found, or a part is absent or damaged.
        InputError: no family here has such pipelines.
        ConfigError: it is a model that pictures of one's own made already.
    """
    # half precision, since nothing is computed: half the memory of a large model
    stock = StockPipeline(load_stock_pipeline(name, torch.bfloat16))
    stock.check()
    parts = stock.pipeline.components
    texts = [part for label, part in parts.items() if label.startswith("text_encoder")]
    codec, codec_name, adapter = _transparency(name, stock)
    return StartModel(
        name=name,
        title="The embedded model" if name == MINI else stock.family.title,
        native_px=min(stock.native_size),
        pixels_per_latent=stock.vae_scale_factor,
        size_multiple=stock.vae_scale_factor * math.lcm(stock.latents_multiple, 2 if codec == "none" else 1),
        denoiser_parameters=_count(stock.denoiser),
        text_parameters=sum(_count(part) for part in texts if isinstance(part, nn.Module)),
        vae_parameters=_count(stock.vae),
        vae_width=_vae_width(stock.vae),
        lora_parameters_per_rank=_lora_parameters(stock.denoiser),
        codec=codec,
        codec_name=codec_name,
        base_adapter=adapter,
    )


def _transparency(
    name: str, stock: StockPipeline
) -> tuple[Literal["own", "released", "none"], str | None, str]:
    """Returns where a codec comes from, the released mode that has it, and the adapter that lies below."""
    folder = model_folder(name)
    newest, usual = (Path(file).stem for file in SINGLE_LAYER_FILES)
    if folder is not None and find_part(folder, f"adapter/{newest}.safetensors").is_file():
        raise ConfigError(
            f"Expected a model without adapter/{newest}.safetensors, found one in {folder}: an adapter lies "
            "on one other at most. Start from the model below, with all pictures."
        )
    if folder is not None and find_part(folder, "rgba").is_dir():
        has_usual = find_part(folder, f"adapter/{usual}.safetensors").is_file()
        return "own", None, usual if has_usual else ""
    released = stock.family.default_adapter
    # a family's name does not say whose VAE it is: small ones and others of its class have another
    if released and tuple(stock.vae.config.get("block_out_channels", ())) == RELEASED_VAE:
        return "released", released, released
    return "none", None, ""


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _vae_width(vae: nn.Module) -> int:
    """Returns the channels of the first convolution, which works at full size or on folded pixels."""
    widths = [module.out_channels for module in vae.modules() if isinstance(module, nn.Conv2d)]
    return widths[0] if widths else 0


def _lora_parameters(denoiser: nn.Module) -> int:
    return sum(
        module.in_features + module.out_features
        for name, module in denoiser.named_modules()
        if isinstance(module, nn.Linear) and name.endswith(tuple(f".{matrix}" for matrix in ATTENTION))
    )


def halvings(pixels_per_latent: int) -> int:
    """Returns how often an image is halved to its latent."""
    return round(math.log2(pixels_per_latent))
