"""Real pipelines of families since FLUX.1, made small."""

from collections.abc import Callable

import torch
from diffusers.models.transformers.auraflow_transformer_2d import AuraFlowTransformer2DModel
from diffusers.models.transformers.sana_transformer import SanaTransformer2DModel
from diffusers.models.transformers.transformer_chroma import ChromaTransformer2DModel
from diffusers.models.transformers.transformer_cogview4 import CogView4Transformer2DModel
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.models.transformers.transformer_lumina2 import Lumina2Transformer2DModel
from diffusers.models.transformers.transformer_ovis_image import OvisImageTransformer2DModel
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.pipelines.aura_flow.pipeline_aura_flow import AuraFlowPipeline
from diffusers.pipelines.chroma.pipeline_chroma import ChromaPipeline
from diffusers.pipelines.cogview4.pipeline_cogview4 import CogView4Pipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
from diffusers.pipelines.lumina2.pipeline_lumina2 import Lumina2Pipeline
from diffusers.pipelines.ovis_image.pipeline_ovis_image import OvisImagePipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.qwenimage.pipeline_qwenimage import QwenImagePipeline
from diffusers.pipelines.sana.pipeline_sana import SanaPipeline
from diffusers.pipelines.wan.pipeline_wan import WanPipeline
from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

import tiny
import tiny_recent_families
import tiny_texts
import tiny_vaes
from building import build
from tiny_families import quiet, t5
from tiny_recent_families import HEADS, flow
from tiny_texts import WIDTH


def klein() -> DiffusionPipeline:
    net = build(
        Flux2Transformer2DModel,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        joint_attention_dim=3 * WIDTH,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
        **HEADS,
    )
    return build(
        Flux2KleinPipeline,
        scheduler=flow(use_dynamic_shifting=True),
        vae=tiny_vaes.flux2(),
        text_encoder=tiny_texts.qwen3_speaker(27),
        tokenizer=tiny_texts.tokenizer(),
        transformer=net.eval(),
    )


def qwen_image() -> DiffusionPipeline:
    net = build(
        QwenImageTransformer2DModel,
        in_channels=64,
        out_channels=16,
        num_layers=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
        **HEADS,
    )
    return build(
        QwenImagePipeline,
        scheduler=flow(use_dynamic_shifting=True),
        vae=tiny_vaes.qwen(),
        text_encoder=tiny_texts.qwen_vl(),
        tokenizer=tiny_texts.tokenizer(),
        transformer=net.eval(),
    )


def z_image() -> DiffusionPipeline:
    net = build(
        ZImageTransformer2DModel,
        in_channels=16,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=WIDTH,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 64, 64],
    )
    return build(
        ZImagePipeline,
        scheduler=flow(),
        vae=tiny_vaes.usual(16, 0.3611, 0.1159),
        text_encoder=tiny_texts.qwen3(),
        tokenizer=tiny_texts.tokenizer(),
        transformer=net.eval(),
    )


def sana() -> DiffusionPipeline:
    net = build(
        SanaTransformer2DModel,
        in_channels=4,
        out_channels=4,
        num_layers=2,  # what a ControlNet adds comes in with the second
        num_cross_attention_heads=2,
        cross_attention_head_dim=16,
        cross_attention_dim=32,
        caption_channels=WIDTH,
        sample_size=2,
        **HEADS,
    )
    return build(
        SanaPipeline,
        tokenizer=tiny_texts.tokenizer(),
        text_encoder=tiny_texts.gemma2(),
        vae=tiny_vaes.deep_compression(),
        transformer=net.eval(),
        scheduler=build(
            DPMSolverMultistepScheduler,
            use_flow_sigmas=True,
            flow_shift=3.0,
            prediction_type="flow_prediction",
        ),
    )


def chroma() -> DiffusionPipeline:
    net = build(
        ChromaTransformer2DModel,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
        **HEADS,
    )
    return build(
        ChromaPipeline,
        scheduler=flow(),
        vae=tiny_vaes.usual(16, 0.3611, 0.1159),
        text_encoder=t5(),
        tokenizer=tiny.tokenizer(),
        transformer=net.eval(),
    )


def aura_flow() -> DiffusionPipeline:
    net = build(
        AuraFlowTransformer2DModel,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        joint_attention_dim=WIDTH,
        caption_projection_dim=32,
        pos_embed_max_size=12**2,
        **HEADS,
    )
    return build(
        AuraFlowPipeline,
        tokenizer=tiny.tokenizer(),
        text_encoder=tiny_texts.umt5(),
        vae=tiny_vaes.usual(4, 0.13025),
        transformer=net.eval(),
        scheduler=flow(shift=1.73),
    )


def lumina2() -> DiffusionPipeline:
    net = build(
        Lumina2Transformer2DModel,
        sample_size=8,
        in_channels=16,
        hidden_size=32,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=2,
        num_kv_heads=2,
        multiple_of=16,
        axes_dim_rope=(4, 6, 6),
        axes_lens=(300, 64, 64),
        cap_feat_dim=WIDTH,
    )
    return build(
        Lumina2Pipeline,
        transformer=net.eval(),
        scheduler=flow(shift=6.0),
        vae=tiny_vaes.usual(16, 0.3611, 0.1159),
        text_encoder=tiny_texts.gemma2(),
        tokenizer=tiny_texts.tokenizer(),
    )


def cogview4() -> DiffusionPipeline:
    net = build(
        CogView4Transformer2DModel,
        sample_size=8,
        in_channels=16,
        out_channels=16,
        num_layers=1,
        text_embed_dim=WIDTH,
        time_embed_dim=8,
        condition_dim=4,
        rope_axes_dim=(64, 64),
        **HEADS,
    )
    return build(
        CogView4Pipeline,
        tokenizer=tiny_texts.tokenizer(),
        text_encoder=tiny_texts.glm(),
        vae=tiny_vaes.usual(16, 1.0),
        transformer=net.eval(),
        scheduler=flow(use_dynamic_shifting=True, time_shift_type="linear", base_shift=0.25, max_shift=0.75),
    )


def ovis_image() -> DiffusionPipeline:
    net = build(
        OvisImageTransformer2DModel,
        in_channels=64,
        out_channels=64,
        num_layers=1,
        num_single_layers=1,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
        **HEADS,
    )
    return build(
        OvisImagePipeline,
        scheduler=flow(),
        vae=tiny_vaes.usual(16, 0.3611, 0.1159),
        text_encoder=tiny_texts.qwen3(),
        tokenizer=tiny_texts.tokenizer(),
        transformer=net.eval(),
    )


def wan() -> DiffusionPipeline:
    net = build(
        WanTransformer3DModel,
        in_channels=16,
        out_channels=16,
        text_dim=WIDTH,
        freq_dim=32,
        ffn_dim=32,
        num_layers=1,
        rope_max_seq_len=32,
        **HEADS,
    )
    return build(
        WanPipeline,
        tokenizer=tiny.tokenizer(),
        text_encoder=tiny_texts.umt5(),
        vae=tiny_vaes.wan(),
        transformer=net.eval(),
        scheduler=build(
            UniPCMultistepScheduler, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )


BUILDERS: dict[str, Callable[[], DiffusionPipeline]] = {
    "flux2-klein": klein,
    "qwen-image": qwen_image,
    "z-image": z_image,
    "sana": sana,
    "chroma": chroma,
    "aura-flow": aura_flow,
    "lumina2": lumina2,
    "cogview4": cogview4,
    "ovis-image": ovis_image,
    "wan": wan,
    **tiny_recent_families.BUILDERS,
}


def made(name: str) -> DiffusionPipeline:
    torch.manual_seed(0)
    pipeline = BUILDERS[name]()
    return quiet(tiny_recent_families.small(pipeline))
