"""Every kind of VAE that latents are known of, made small: 8 pixels a latent, or what the kind always has."""

from collections.abc import Callable

import torch
from diffusers.models.autoencoders.autoencoder_dc import AutoencoderDC
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from diffusers.models.autoencoders.autoencoder_kl_hunyuanimage import AutoencoderKLHunyuanImage
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from building import build
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.latent_space import latent_space
from pellucid.models.offset_encoder import OffsetEncoder


def _blocks(levels: int = 4) -> dict[str, object]:
    return {
        "block_out_channels": (4, 8, 8, 8)[:levels],
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "sample_size": 64,
    }


def usual(latent_channels: int, scaling_factor: float, shift_factor: float | None = None) -> AutoencoderKL:
    return build(
        AutoencoderKL,
        latent_channels=latent_channels,
        scaling_factor=scaling_factor,
        shift_factor=shift_factor,
        **_blocks(),
    ).eval()


def flux2() -> AutoencoderKLFlux2:
    """16 pixels a latent, as squares of four are one; statistics as after training."""
    made = build(AutoencoderKLFlux2, latent_channels=4, **_blocks()).eval()
    assert made.bn.running_mean is not None
    assert made.bn.running_var is not None
    made.bn.running_mean.normal_(0, 0.5)
    made.bn.running_var.uniform_(0.5, 2)
    return made


def _video(channels: int) -> dict[str, object]:
    return {
        "base_dim": 4,
        "z_dim": channels,
        "dim_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
        "latents_mean": [0.1 * channel - 0.3 for channel in range(channels)],
        "latents_std": [0.5 + 0.1 * channel for channel in range(channels)],
    }


def qwen(images: int = 3) -> AutoencoderKLQwenImage:
    return build(AutoencoderKLQwenImage, input_channels=images, **_video(16)).eval()


def wan() -> AutoencoderKLWan:
    return build(AutoencoderKLWan, **_video(16)).eval()


def wan22() -> AutoencoderKLWan:
    """16 pixels a latent: squares of pixels are channels before its first layer."""
    return build(
        AutoencoderKLWan,
        **_video(16),
        in_channels=12,
        out_channels=12,
        patch_size=2,
        is_residual=True,
        scale_factor_spatial=16,
    ).eval()


def deep_compression() -> AutoencoderDC:
    """32 pixels a latent, without a distribution."""
    levels = 6
    return build(
        AutoencoderDC,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock",) * 4 + ("EfficientViTBlock",) * 2,
        decoder_block_types=("ResBlock",) * 4 + ("EfficientViTBlock",) * 2,
        encoder_block_out_channels=(4, 4, 8, 8, 8, 8),
        decoder_block_out_channels=(4, 4, 8, 8, 8, 8),
        encoder_qkv_multiscales=((), (), (), (), (5,), (5,)),
        decoder_qkv_multiscales=((), (), (), (), (5,), (5,)),
        encoder_layers_per_block=(1,) * levels,
        decoder_layers_per_block=(1,) * levels,
        downsample_block_type="Conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    ).eval()


def hunyuan() -> AutoencoderKLHunyuanImage:
    """32 pixels a latent, over six levels."""
    return build(
        AutoencoderKLHunyuanImage,
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(32, 32, 32, 32, 32, 64),
        layers_per_block=1,
        spatial_compression_ratio=32,
        sample_size=64,
        scaling_factor=0.75289,
    ).eval()


def taesd() -> AutoencoderTiny:
    return build(
        AutoencoderTiny,
        encoder_block_out_channels=(4, 4, 4, 4),
        decoder_block_out_channels=(4, 4, 4, 4),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    ).eval()


MADE: dict[str, Callable[[], ModelMixin]] = {
    "AutoencoderKL": lambda: usual(4, 0.18215, 0.1),
    "AutoencoderTiny": taesd,
    "AutoencoderDC": deep_compression,
    "AutoencoderKLHunyuanImage": hunyuan,
    "AutoencoderKLFlux2": flux2,
    "AutoencoderKLQwenImage": qwen,
    "AutoencoderKLWan": wan,
}
"""Class -> a small one."""


def codec_over(vae: nn.Module) -> RGBAAutoencoder:
    """A codec of new networks that fit, whose offset is not 0."""
    torch.manual_seed(1)
    space = latent_space(vae)
    halvings = space.pixels_per_latent.bit_length() - 1
    encoder = OffsetEncoder(widths=(4,) * (halvings + 1), latent_channels=space.channels)
    decoder = AlphaDecoder(
        widths=(4,) * (halvings + 1), latent_channels=space.channels, latent_level=halvings,
        attention_levels=0, layers_per_block=1,
    )  # fmt: skip
    for part in (encoder.blocks[-1], decoder.latent_conv_in):
        nn.init.normal_(part.weight, std=0.3)  # pyright: ignore[reportArgumentType]
    return RGBAAutoencoder(vae, encoder.eval(), decoder.eval()).eval()


def seeded(name: str) -> ModelMixin:
    torch.manual_seed(0)
    return MADE[name]()
