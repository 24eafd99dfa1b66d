"""Real pipelines of the families beyond SD 1.5 and XL, made small; VAEs keep their row's numbers."""

import torch
from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.pixart_alpha.pipeline_pixart_alpha import PixArtAlphaPipeline
from diffusers.pipelines.pixart_alpha.pipeline_pixart_sigma import PixArtSigmaPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import StableDiffusion3Pipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

import tiny
import tiny_vaes
from building import build

WIDTH = 16


def t5() -> T5EncoderModel:
    config = T5Config(
        vocab_size=64, d_model=2 * WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0
    )
    return T5EncoderModel(config).eval()


def quiet(pipeline: DiffusionPipeline) -> DiffusionPipeline:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sd21() -> DiffusionPipeline:
    """Stable Diffusion 2.1 at 768 px: wide text, and a UNet that predicts v."""
    torch.manual_seed(0)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )
    return quiet(
        build(
            StableDiffusionPipeline,
            vae=tiny_vaes.usual(4, 0.18215),
            text_encoder=tiny.clip_text(CLIPTextModel, 1024),
            tokenizer=tiny.tokenizer(),
            unet=tiny.unet(1024, use_linear_projection=True),
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    )


def sd3() -> DiffusionPipeline:
    torch.manual_seed(0)
    net = build(
        SD3Transformer2DModel,
        sample_size=8,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=24,
    )
    return quiet(
        build(
            StableDiffusion3Pipeline,
            transformer=net.eval(),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=tiny_vaes.usual(16, 1.5305, 0.0609),
            text_encoder=tiny.clip_text(CLIPTextModelWithProjection, WIDTH),
            tokenizer=tiny.tokenizer(),
            text_encoder_2=tiny.clip_text(CLIPTextModelWithProjection, WIDTH),
            tokenizer_2=tiny.tokenizer(),
            text_encoder_3=t5(),
            tokenizer_3=tiny.tokenizer(),
        )
    )


def flux() -> DiffusionPipeline:
    torch.manual_seed(0)
    net = build(
        FluxTransformer2DModel,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    )
    pipeline = build(
        FluxPipeline,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=tiny_vaes.usual(16, 0.3611, 0.1159),
        text_encoder=tiny.clip_text(CLIPTextModel, WIDTH),
        tokenizer=tiny.tokenizer(),
        text_encoder_2=t5(),
        tokenizer_2=tiny.tokenizer(),
        transformer=net.eval(),
    )
    pipeline.default_sample_size = 8  # not in the configuration, but as small as the others
    return quiet(pipeline)


def _pixart(cls: type[DiffusionPipeline], scaling_factor: float) -> DiffusionPipeline:
    torch.manual_seed(0)
    net = build(
        PixArtTransformer2DModel,
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        in_channels=4,
        cross_attention_dim=WIDTH,
        out_channels=8,
        caption_channels=2 * WIDTH,
    )
    return quiet(
        build(
            cls,
            tokenizer=tiny.tokenizer(),
            text_encoder=t5(),
            vae=tiny_vaes.usual(4, scaling_factor),
            transformer=net.eval(),
            scheduler=DPMSolverMultistepScheduler(),
        )
    )


def pixart_alpha() -> DiffusionPipeline:
    return _pixart(PixArtAlphaPipeline, 0.18215)


def pixart_sigma() -> DiffusionPipeline:
    return _pixart(PixArtSigmaPipeline, 0.13025)


MADE = {
    "sd21": sd21,
    "sd3": sd3,
    "flux": flux,
    "pixart-alpha": pixart_alpha,
    "pixart-sigma": pixart_sigma,
}
