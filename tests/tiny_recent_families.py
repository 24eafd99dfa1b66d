"""Real pipelines of the latest families, made small."""

from collections.abc import Callable

from diffusers.models.transformers.transformer_bria_fibo import BriaFiboTransformer2DModel
from diffusers.models.transformers.transformer_bria_fibo2 import BriaFibo2Transformer2DModel
from diffusers.models.transformers.transformer_ernie_image import ErnieImageTransformer2DModel
from diffusers.models.transformers.transformer_kandinsky import Kandinsky5Transformer3DModel
from diffusers.models.transformers.transformer_krea2 import Krea2Transformer2DModel
from diffusers.models.transformers.transformer_longcat_image import LongCatImageTransformer2DModel
from diffusers.models.transformers.transformer_nucleusmoe_image import NucleusMoEImageTransformer2DModel
from diffusers.models.transformers.transformer_prx import PRXTransformer2DModel
from diffusers.models.unets.unet_dreamlite import DreamLiteUNetModel
from diffusers.pipelines.bria_fibo.pipeline_bria_fibo import BriaFiboPipeline
from diffusers.pipelines.bria_fibo2.pipeline_bria_fibo2 import BriaFibo2Pipeline
from diffusers.pipelines.dreamlite.pipeline_dreamlite import DreamLitePipeline
from diffusers.pipelines.dreamlite.pipeline_dreamlite_mobile import DreamLiteMobilePipeline
from diffusers.pipelines.ernie_image.pipeline_ernie_image import ErnieImagePipeline
from diffusers.pipelines.kandinsky5.pipeline_kandinsky_t2i import Kandinsky5T2IPipeline
from diffusers.pipelines.krea2.pipeline_krea2 import Krea2Pipeline
from diffusers.pipelines.longcat_image.pipeline_longcat_image import LongCatImagePipeline
from diffusers.pipelines.nucleusmoe_image.pipeline_nucleusmoe_image import NucleusMoEImagePipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.prx.pipeline_prx import PRXPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import nn
from transformers import CLIPTextModel

import tiny
import tiny_texts
import tiny_vaes
from building import build
from tiny_texts import WIDTH

HEADS = {"attention_head_dim": 16, "num_attention_heads": 2}


def flow(**more: object) -> FlowMatchEulerDiscreteScheduler:
    return build(FlowMatchEulerDiscreteScheduler, **{"shift": 3.0, **more})


def small(pipeline: DiffusionPipeline) -> DiffusionPipeline:
    """Sets what is not in a configuration, as small as the others: 64 px."""
    pipeline.default_sample_size = 64 // getattr(pipeline, "vae_scale_factor", 8)
    return pipeline


def active(network: nn.Module) -> nn.Module:
    """Lets a network have a say, which some new ones do not: layers of theirs are 0, as ControlNets' are."""
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network.eval()


def ernie_image() -> DiffusionPipeline:
    net = build(
        ErnieImageTransformer2DModel,
        hidden_size=32,
        num_attention_heads=2,
        num_layers=1,
        ffn_hidden_size=32,
        in_channels=16,
        out_channels=16,
        text_in_dim=WIDTH,
        rope_axes_dim=(4, 6, 6),
    )
    return build(
        ErnieImagePipeline,
        transformer=active(net),
        vae=tiny_vaes.flux2(),
        text_encoder=tiny_texts.mistral3(),
        tokenizer=tiny_texts.tokenizer(),
        scheduler=flow(),
    )


def longcat_image() -> DiffusionPipeline:
    net = build(
        LongCatImageTransformer2DModel,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=[4, 6, 6],
        **HEADS,
    )
    made = build(
        LongCatImagePipeline,
        scheduler=flow(use_dynamic_shifting=True),
        vae=tiny_vaes.usual(16, 0.3611, 0.1159),
        text_encoder=tiny_texts.qwen_vl(),
        tokenizer=tiny_texts.tokenizer(),
        text_processor=tiny_texts.tokenizer(),
        transformer=net.eval(),
    )
    made.tokenizer_max_length = 16
    return made


def krea2() -> DiffusionPipeline:
    net = build(
        Krea2Transformer2DModel,
        in_channels=64,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=32,
        timestep_embed_dim=16,
        text_hidden_dim=WIDTH,
        num_text_layers=2,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=32,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 6, 6),
    )
    return build(
        Krea2Pipeline,
        scheduler=flow(use_dynamic_shifting=True),
        vae=tiny_vaes.qwen(),
        text_encoder=tiny_texts.qwen3_vl().model,
        tokenizer=tiny_texts.tokenizer(),
        transformer=net.eval(),
        text_encoder_select_layers=(1, 2),
    )


def kandinsky5() -> DiffusionPipeline:
    net = build(
        Kandinsky5Transformer3DModel,
        in_visual_dim=16,
        out_visual_dim=16,
        in_text_dim=WIDTH,
        in_text_dim2=WIDTH,
        time_dim=16,
        model_dim=32,
        ff_dim=32,
        num_text_blocks=1,
        num_visual_blocks=1,
        axes_dims=(4, 6, 6),
    )
    return build(
        Kandinsky5T2IPipeline,
        transformer=active(net),
        vae=tiny_vaes.usual(16, 0.3611),
        text_encoder=tiny_texts.qwen_vl(),
        tokenizer=tiny_texts.tokenizer(),
        text_encoder_2=tiny.clip_text(CLIPTextModel, WIDTH, 77),
        tokenizer_2=tiny.tokenizer(77),
        scheduler=flow(),
    )


def bria_fibo() -> DiffusionPipeline:
    net = build(
        BriaFiboTransformer2DModel,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        joint_attention_dim=16,
        text_encoder_dim=8,
        axes_dims_rope=[4, 6, 6],
        **HEADS,
    )
    return build(
        BriaFiboPipeline,
        transformer=net.eval(),
        scheduler=flow(use_dynamic_shifting=True),
        vae=tiny_vaes.wan22(),
        text_encoder=tiny_texts.smol_lm3(),
        tokenizer=tiny_texts.tokenizer(),
    )


def bria_fibo2() -> DiffusionPipeline:
    net = build(
        BriaFibo2Transformer2DModel,
        in_channels=4,
        dim=48,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        cap_feat_dim=3 * WIDTH,
        injection_layer_ids=(1,),
        perceiver_num_layers=1,
        min_num_gist_tokens=4,
        max_num_gist_tokens=8,
        gist_step=4,
        gist_min_text_len=4,
        gist_max_text_len=8,
        axes_dims=(8, 8, 8),
        axes_lens=(64, 16, 16),
    )
    return build(
        BriaFibo2Pipeline,
        transformer=net.eval(),
        scheduler=flow(use_dynamic_shifting=True),
        vae=tiny_vaes.flux2(),
        text_encoder=tiny_texts.qwen3_vl(36),  # of whose layers it reads the ends
        processor=tiny_texts.tokenizer(),
    )


def nucleus_image() -> DiffusionPipeline:
    net = build(
        NucleusMoEImageTransformer2DModel,
        in_channels=64,
        out_channels=16,
        num_layers=2,
        num_key_value_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
        dense_moe_strategy="leave_first_block_dense",
        num_experts=2,
        moe_intermediate_dim=16,
        mlp_ratio=6.0,
        capacity_factors=1.0,
        **HEADS,
    )
    for parameter in net.parameters():
        if parameter.ndim == 3:  # experts, which the class leaves as memory was
            nn.init.normal_(parameter, std=0.1)
    return build(
        NucleusMoEImagePipeline,
        transformer=net.eval(),
        scheduler=flow(use_dynamic_shifting=True),
        vae=tiny_vaes.qwen(),
        text_encoder=tiny_texts.qwen3_vl(8),
        processor=tiny_texts.tokenizer(),
    )


def prx() -> DiffusionPipeline:
    net = build(
        PRXTransformer2DModel,
        in_channels=16,
        context_in_dim=WIDTH,
        hidden_size=32,
        mlp_ratio=1.0,
        num_heads=2,
        depth=1,
        axes_dim=[8, 8],
    )
    return build(
        PRXPipeline,
        transformer=active(net),
        scheduler=flow(),
        text_encoder=tiny_texts.gemma2(),
        tokenizer=tiny_texts.tokenizer(),
        vae=tiny_vaes.usual(16, 0.3611, 0.1159),
    )


def dreamlite(cls: type[DiffusionPipeline] = DreamLitePipeline) -> DiffusionPipeline:
    net = build(
        DreamLiteUNetModel,
        sample_size=8,
        block_out_channels=(16, 32),
        down_block_types=("DreamLiteCrossAttnNoSelfAttnDownBlock2D", "DreamLiteCrossAttnDownBlock2D"),
        up_block_types=("DreamLiteCrossAttnUpBlock2D", "DreamLiteUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        addition_embed_type="time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16,
        use_linear_projection=True,
        ff_mult=1,
    )
    return build(
        cls,
        text_encoder=tiny_texts.qwen3_vl(),
        tokenizer=tiny_texts.tokenizer(512),
        processor=tiny_texts.tokenizer(),
        vae=tiny_vaes.taesd(),
        unet=net.eval(),
        scheduler=flow(use_dynamic_shifting=True),
    )


def dreamlite_mobile() -> DiffusionPipeline:
    return dreamlite(DreamLiteMobilePipeline)


BUILDERS: dict[str, Callable[[], DiffusionPipeline]] = {
    "ernie-image": ernie_image,
    "longcat-image": longcat_image,
    "krea2": krea2,
    "kandinsky5": kandinsky5,
    "bria-fibo": bria_fibo,
    "bria-fibo2": bria_fibo2,
    "nucleus-image": nucleus_image,
    "prx": prx,
    "dreamlite": dreamlite,
    "dreamlite-mobile": dreamlite_mobile,
}
