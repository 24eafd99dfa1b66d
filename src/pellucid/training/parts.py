"""The parts of a model that a stage starts from, read from its `init` folder (diffusers' layout)."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor
from transformers import AutoTokenizer, BertModel

from pellucid.errors import ConfigError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.mini_vae import MiniVAE
from pellucid.weights.store import load_codec, read_vae

SHEET_STEPS = 20
SHEET_GUIDANCE = 2.5


def _part(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_dir():
        raise ConfigError(
            f"Expected {path} from an earlier stage, found none. Set `init` to the folder that has it."
        )
    return path


def save_half(module: ModelMixin, folder: Path) -> None:
    """Writes a module in diffusers' layout and half precision; the module itself stays as it is."""
    deepcopy(module).half().save_pretrained(folder)


@lru_cache(maxsize=2)
def load_vae(folder: Path, device: torch.device) -> Any:  # noqa: ANN401 - ours or any `AutoencoderKL`
    """The frozen VAE of the folder."""
    return read_vae(_part(folder, "vae")).to(device)


def load_unet(folder: Path, architecture: Mapping[str, Any], *, transparent: bool) -> UNet2DConditionModel:
    """The folder's UNet where it has one, else a new one; `transparent` needs the first."""
    if transparent or (folder / "unet").is_dir():
        path = _part(folder, "unet")
        return UNet2DConditionModel.from_pretrained(path, torch_dtype=torch.float32)  # type: ignore[return-value]
    return UNet2DConditionModel(**architecture)


@lru_cache(maxsize=2)
def load_autoencoder(folder: Path, device: torch.device) -> RGBAAutoencoder:
    """The trained RGBA autoencoder over the folder's VAE."""
    return load_codec(_part(folder, "rgba"), load_vae(folder, device))


@torch.no_grad()
def encode_texts(folder: Path, texts: Sequence[str], device: torch.device) -> Tensor:
    """States of the frozen text encoder, (n, tokens, width) float16, as a stock pipeline computes them."""
    tokenizer = AutoTokenizer.from_pretrained(_part(folder, "tokenizer"))
    encoder = BertModel.from_pretrained(_part(folder, "text_encoder"), torch_dtype=torch.float32)
    encoder.to(device).eval()  # pyright: ignore[reportArgumentType]
    parts: list[Tensor] = []
    for start in range(0, len(texts), 256):
        rows = tokenizer(
            list(texts[start : start + 256]), padding="max_length", truncation=True, return_tensors="pt"
        ).to(device)
        parts.append(encoder(rows.input_ids, attention_mask=rows.attention_mask)[0].half())
    return torch.cat(parts)


def sample(
    unet: UNet2DConditionModel, vae: MiniVAE, texts: Tensor, empty: Tensor, *, seed: int = 0
) -> Tensor:
    """Scaled latents of a stock pipeline, one picture for each row of text states."""
    scheduler = DPMSolverMultistepScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    pipeline = StableDiffusionPipeline(
        vae=vae,  # type: ignore[arg-type]
        text_encoder=None,  # type: ignore[arg-type]
        tokenizer=None,  # type: ignore[arg-type]
        unet=unet,
        scheduler=scheduler,  # type: ignore[arg-type]
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt_embeds=texts.float(),
        negative_prompt_embeds=empty.float().expand_as(texts),
        num_inference_steps=SHEET_STEPS,
        guidance_scale=SHEET_GUIDANCE,
        generator=[torch.Generator().manual_seed(seed + row) for row in range(len(texts))],
        output_type="latent",
    ).images  # type: ignore[return-value]
