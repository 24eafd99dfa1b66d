"""Real pipelines of the true architectures, made small: sizes shrink, behaviour stays."""

import json
from pathlib import Path
from typing import TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
)

from building import build
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.weights.tensor_files import NoInit

C = TypeVar("C", CLIPTextModel, CLIPTextModelWithProjection)
LETTERS = [chr(code) for code in range(97, 123)]


def tokenizer(n_tokens: int = 16) -> PreTrainedTokenizerFast:
    """Splits words into known letters; everything else is unknown."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    model = models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=n_tokens,
    )


def clip_text(cls: type[C], width: int, positions: int = 16) -> C:
    config = CLIPTextConfig(
        vocab_size=64,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=positions,
        projection_dim=width,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    model = cls(config)
    model.eval()
    return model


def vae() -> AutoencoderKL:
    return build(
        AutoencoderKL,
        block_out_channels=(4, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=0.18215,
    ).eval()


def unet(cross_attention_dim: int, **more: object) -> UNet2DConditionModel:
    return build(
        UNet2DConditionModel,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=cross_attention_dim,
        **more,
    ).eval()


def sd15_unet() -> UNet2DConditionModel:
    """Stable Diffusion 1.5's architecture, block for block, 40 times as narrow: 32 attentions of 8 heads."""
    return build(
        UNet2DConditionModel,
        sample_size=8,
        block_out_channels=(8, 16, 16, 16),
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=8,
        cross_attention_dim=16,
    ).eval()


def sdxl_unet() -> UNet2DConditionModel:
    """Stable Diffusion XL's architecture, block for block, 40 times as narrow: 140 attentions."""
    return build(
        UNet2DConditionModel,
        sample_size=8,
        block_out_channels=(8, 16, 24),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        transformer_layers_per_block=(1, 2, 10),
        norm_num_groups=4,
        attention_head_dim=(1, 2, 4),
        cross_attention_dim=32,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
    ).eval()


def sharing_file(path: Path, net: torch.nn.Module, frames: int, *, control: bool = False) -> Path:
    """A random attention-sharing adapter in the released layout."""
    torch.manual_seed(frames)
    with NoInit():
        sharing = AttentionSharing.for_unet(net, frames=frames, rank=4, control=control)
    state = sharing.state_dict()
    for name, value in state.items():
        value.normal_(0, 0.3 if "lora" in name else 0.1)
    save_file({name if "kwargs" in name else f"hookers.{name}": state[name] for name in state}, path)
    return path


def delta_file(path: Path, net: UNet2DConditionModel, in_channels: int = 4) -> Path:
    """Random weight differences for the first convolution, grown to `in_channels`, and one in the middle."""
    torch.manual_seed(in_channels)
    first, middle = "conv_in.weight", "mid_block.resnets.0.conv1.weight"
    shape = (net.get_parameter(first).shape[0], in_channels, 3, 3)
    values = {first: torch.randn(shape), middle: torch.randn(net.get_parameter(middle).shape)}
    save_file({name: value * 0.2 for name, value in values.items()}, path)
    return path


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )


def sd15(net: UNet2DConditionModel | None = None) -> StableDiffusionPipeline:
    torch.manual_seed(0)
    pipeline = build(
        StableDiffusionPipeline,
        vae=vae(),
        text_encoder=clip_text(CLIPTextModel, 16),
        tokenizer=tokenizer(),
        unet=net or unet(16),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sdxl(net: UNet2DConditionModel | None = None) -> StableDiffusionXLPipeline:
    torch.manual_seed(0)
    pipeline = build(
        StableDiffusionXLPipeline,
        vae=vae(),
        text_encoder=clip_text(CLIPTextModel, 16),
        text_encoder_2=clip_text(CLIPTextModelWithProjection, 16),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=net
        or unet(
            32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16,
            use_linear_projection=True,
            transformer_layers_per_block=(1, 2),
        ),
        scheduler=scheduler(),
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def codec(frozen: torch.nn.Module, latent_channels: int = 4, convention: str = "forge") -> RGBAAutoencoder:
    torch.manual_seed(1)
    encoder = OffsetEncoder(widths=(4, 8, 8, 8), latent_channels=latent_channels)
    decoder = AlphaDecoder(
        widths=(4, 4, 8, 8, 8),
        latent_channels=latent_channels,
        attention_levels=0,
        layers_per_block=1,
    )
    return RGBAAutoencoder(frozen, encoder.eval(), decoder.eval(), convention=convention).eval()


def networks_of(both: RGBAAutoencoder) -> tuple[OffsetEncoder, AlphaDecoder]:
    encoder, decoder = both.offset_encoder, both.alpha_decoder
    assert isinstance(encoder, OffsetEncoder)
    assert isinstance(decoder, AlphaDecoder)
    return encoder, decoder


def save_codec(both: RGBAAutoencoder, folder: Path) -> None:
    encoder, decoder = networks_of(both)
    encoder.save_pretrained(folder / "offset_encoder")
    decoder.save_pretrained(folder / "alpha_decoder")


def save_mini(folder: Path) -> Path:
    """A folder in the layout of the embedded model, with a 16-channel latent."""
    from pellucid.models.mini_vae import MiniVAE

    torch.manual_seed(0)
    frozen = MiniVAE(block_out_channels=(3, 12, 16, 16), layers_per_block=1).eval()
    text = BertModel(
        BertConfig(
            vocab_size=64,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=16,
        )
    )
    text.config.use_attention_mask = True
    net = build(
        UNet2DConditionModel,
        sample_size=8,
        in_channels=16,
        out_channels=16,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=16,
    )
    frozen.save_pretrained(folder / "vae")
    text.half().save_pretrained(folder / "text_encoder")
    net.half().save_pretrained(folder / "unet")
    tokenizer().save_pretrained(folder / "tokenizer")
    DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False
    ).save_pretrained(folder / "scheduler")
    both = codec(frozen, latent_channels=16, convention="embedded")
    save_codec(both, folder / "rgba")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["pellucid.models.mini_vae", "MiniVAE"],
        "text_encoder": ["transformers", "BertModel"],
        "tokenizer": ["transformers", "BertTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
