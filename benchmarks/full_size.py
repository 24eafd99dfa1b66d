"""Full-size pipelines and codecs of generated weights, and small ones of the same parts, for benchmarks."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from full_size_adapters import SD15, SDXL
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

import pellucid
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.pipelines.pipeline import TransparentPipeline

Clip = TypeVar("Clip", CLIPTextModel, CLIPTextModelWithProjection)
VAE = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2,
}  # fmt: skip
FLUX = {"guidance_embeds": True}
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


@dataclass(frozen=True, kw_only=True)
class Size:
    """What differs between the released sizes and the small ones that try this script."""

    sd15: dict[str, object]
    sdxl: dict[str, object]
    flux: dict[str, object]
    vae: dict[str, object]
    text: tuple[tuple[int, int, int], tuple[int, int, int]]
    """Width, layers and heads of either CLIP."""
    t5: dict[str, object]
    decoder: dict[str, object]
    encoder: dict[str, object]
    px: int
    rank: int


FULL = Size(
    sd15=SD15, sdxl=SDXL, flux=FLUX, vae=VAE, text=((768, 12, 12), (1280, 32, 20)),
    t5={"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64},
    decoder={}, encoder={}, px=1024, rank=256,
)  # fmt: skip
NARROW = {"block_out_channels": (8, 16, 16), "norm_num_groups": 4, "layers_per_block": 1}
TINY = Size(
    sd15={"block_out_channels": (8, 16, 16, 16), "norm_num_groups": 4, "layers_per_block": 1,
          "cross_attention_dim": 16, "attention_head_dim": 2},
    sdxl={**SDXL, **NARROW, "cross_attention_dim": 32, "attention_head_dim": (1, 2, 2), "sample_size": 8,
          "transformer_layers_per_block": 1, "addition_time_embed_dim": 8,
          "projection_class_embeddings_input_dim": 64},
    flux={"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2,
          "joint_attention_dim": 32, "pooled_projection_dim": 16, "axes_dims_rope": (4, 4, 8),
          "guidance_embeds": True},
    vae={**VAE, "block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "layers_per_block": 1},
    text=((16, 1, 2), (16, 1, 2)), t5={"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2},
    decoder={"widths": (4, 4, 8, 8, 8), "attention_levels": 0, "layers_per_block": 1},
    encoder={"widths": (4, 8, 8, 8)}, px=64, rank=2,
)  # fmt: skip


class Maker:
    """Builds pipelines and codecs of generated weights, where they compute."""

    def __init__(self, size: Size, device: torch.device, folder: Path) -> None:
        self.size, self.device, self.folder = size, device, folder
        self.dtype = torch.float16 if device.type == "cuda" else torch.float32

    def pipeline(self, name: str, device: torch.device | None = None) -> DiffusionPipeline:
        """Returns "sd15", "sdxl" or "flux"."""
        torch.set_default_dtype(self.dtype)
        try:
            with device or self.device:
                made = {"sd15": self._sd15, "sdxl": self._sdxl, "flux": self._flux}[name]()
        finally:
            torch.set_default_dtype(torch.float32)
        for part in made.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval().requires_grad_(False)
        made.set_progress_bar_config(disable=True)
        return made

    def transparent(self, name: str, device: torch.device | None = None) -> TransparentPipeline:
        """Returns the pipeline with a generated adapter of LoRAs in its denoiser and a codec over its VAE."""
        pipeline = self.pipeline(name, device)
        denoiser = pipeline.transformer if name == "flux" else pipeline.unet
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            factors: dict[str, torch.Tensor] = {}
            for key, value in denoiser.named_parameters():
                if key.endswith(("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight")):
                    factors[f"{key}::lora::0"] = torch.randn(value.shape[0], self.size.rank).half() * 1e-3
                    factors[f"{key}::lora::1"] = torch.randn(self.size.rank, value.shape[1]).half() * 1e-3
            save_file(factors, path)
        return pellucid.attach(pipeline, path, autoencoder=self.codec(pipeline.vae))

    def codec(self, vae: torch.nn.Module) -> RGBAAutoencoder:
        """Returns the released networks' architecture over a VAE."""
        channels = vae.config.latent_channels
        device = next(vae.parameters()).device
        encoder = OffsetEncoder(**self.size.encoder, latent_channels=channels).to(device).eval()
        decoder = AlphaDecoder(**self.size.decoder, latent_channels=channels).to(device).eval()
        return RGBAAutoencoder(vae, encoder, decoder, convention="forge")

    def _sd15(self) -> DiffusionPipeline:
        return StableDiffusionPipeline(
            vae=self._vae(4), text_encoder=self._clip(CLIPTextModel, 0), tokenizer=tokenizer(),
            unet=UNet2DConditionModel(**self.size.sd15), scheduler=EulerDiscreteScheduler(**BETAS),
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip

    def _sdxl(self) -> DiffusionPipeline:
        return StableDiffusionXLPipeline(
            vae=self._vae(4), text_encoder=self._clip(CLIPTextModel, 0), tokenizer=tokenizer(),
            text_encoder_2=self._clip(CLIPTextModelWithProjection, 1), tokenizer_2=tokenizer(),
            unet=UNet2DConditionModel(**self.size.sdxl), scheduler=EulerDiscreteScheduler(**BETAS),
            add_watermarker=False,
        )  # fmt: skip

    def _flux(self) -> DiffusionPipeline:
        t5 = T5Config(**self.size.t5, vocab_size=64, feed_forward_proj="gated-gelu", pad_token_id=0)
        return FluxPipeline(
            vae=self._vae(16), text_encoder=self._clip(CLIPTextModel, 0), tokenizer=tokenizer(),
            text_encoder_2=T5EncoderModel(t5), tokenizer_2=tokenizer(512),
            transformer=FluxTransformer2DModel(**self.size.flux), scheduler=FlowMatchEulerDiscreteScheduler(),
        )  # fmt: skip

    def _vae(self, channels: int) -> AutoencoderKL:
        return AutoencoderKL(**self.size.vae, latent_channels=channels)

    def _clip(self, cls: type[Clip], which: int) -> Clip:
        width, layers, heads = self.size.text[which]
        config = CLIPTextConfig(
            vocab_size=64, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
            num_attention_heads=heads, projection_dim=width, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        )  # fmt: skip
        return cls(config)


def tokenizer(length: int = 77) -> PreTrainedTokenizerFast:
    """Returns a tokenizer that knows no word: texts do not matter here."""
    made = Tokenizer(models.WordLevel({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_max_length=length
    )
