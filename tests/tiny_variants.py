"""Real pipelines of further classes and families, made small: what steers, what paints inside masks, PAG."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from diffusers.models.controlnets.controlnet_flux import FluxControlNetModel
from diffusers.models.controlnets.controlnet_qwenimage import QwenImageControlNetModel
from diffusers.models.controlnets.controlnet_sana import SanaControlNetModel
from diffusers.models.controlnets.controlnet_sd3 import SD3ControlNetModel
from diffusers.models.transformers.hunyuan_transformer_2d import HunyuanDiT2DModel
from diffusers.models.transformers.lumina_nextdit2d import LuminaNextDiT2DModel
from diffusers.models.transformers.sana_transformer import SanaTransformer2DModel
from diffusers.models.transformers.transformer_bria import BriaTransformer2DModel
from diffusers.models.transformers.transformer_cogview3plus import CogView3PlusTransformer2DModel
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.models.transformers.transformer_hidream_image import HiDreamImageTransformer2DModel
from diffusers.models.transformers.transformer_hunyuanimage import HunyuanImageTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.bria.pipeline_bria import BriaPipeline
from diffusers.pipelines.cogview3.pipeline_cogview3plus import CogView3PlusPipeline
from diffusers.pipelines.controlnet_sd3.pipeline_stable_diffusion_3_controlnet import (
    StableDiffusion3ControlNetPipeline,
)
from diffusers.pipelines.flux.pipeline_flux_control import FluxControlPipeline
from diffusers.pipelines.flux.pipeline_flux_controlnet import FluxControlNetPipeline
from diffusers.pipelines.flux.pipeline_flux_fill import FluxFillPipeline
from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline
from diffusers.pipelines.flux2.pipeline_flux2 import Flux2Pipeline
from diffusers.pipelines.hidream_image.pipeline_hidream_image import HiDreamImagePipeline
from diffusers.pipelines.hunyuan_image.pipeline_hunyuanimage import HunyuanImagePipeline
from diffusers.pipelines.hunyuandit.pipeline_hunyuandit import HunyuanDiTPipeline
from diffusers.pipelines.kolors.pipeline_kolors import KolorsPipeline
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel
from diffusers.pipelines.latent_consistency_models.pipeline_latent_consistency_text2img import (
    LatentConsistencyModelPipeline,
)
from diffusers.pipelines.lumina.pipeline_lumina import LuminaPipeline
from diffusers.pipelines.pag.pipeline_pag_hunyuandit import HunyuanDiTPAGPipeline
from diffusers.pipelines.pag.pipeline_pag_kolors import KolorsPAGPipeline
from diffusers.pipelines.pag.pipeline_pag_pixart_sigma import PixArtSigmaPAGPipeline
from diffusers.pipelines.pag.pipeline_pag_sana import SanaPAGPipeline
from diffusers.pipelines.pag.pipeline_pag_sd import StableDiffusionPAGPipeline
from diffusers.pipelines.pag.pipeline_pag_sd_3 import StableDiffusion3PAGPipeline
from diffusers.pipelines.pag.pipeline_pag_sd_xl import StableDiffusionXLPAGPipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.qwenimage.pipeline_qwenimage_controlnet import QwenImageControlNetPipeline
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit import QwenImageEditPipeline
from diffusers.pipelines.sana.pipeline_sana_controlnet import SanaControlNetPipeline
from diffusers.pipelines.sana.pipeline_sana_sprint import SanaSprintPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import (
    StableDiffusionInpaintPipeline,
)
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_instruct_pix2pix import (
    StableDiffusionInstructPix2PixPipeline,
)
from diffusers.pipelines.stable_diffusion.pipeline_stable_unclip_img2img import StableUnCLIPImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_instruct_pix2pix import (
    StableDiffusionXLInstructPix2PixPipeline,
)
from diffusers.schedulers.scheduling_ddim_cogvideox import CogVideoXDDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from diffusers.schedulers.scheduling_scm import SCMScheduler
from PIL import Image
from torch import nn
from transformers import (
    BatchEncoding,
    BertConfig,
    BertModel,
    CLIPImageProcessor,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

import tiny
import tiny_families
import tiny_newer_families
import tiny_recent_families
import tiny_steered
import tiny_texts
import tiny_vaes
from building import build
from tiny_recent_families import HEADS, active, flow
from tiny_steered import SAFE, config_of, over
from tiny_texts import WIDTH


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A small pipeline of one class."""

    make: Callable[[], DiffusionPipeline]
    family: str
    steered: bool = False
    """Whether it is shown a control image."""
    reads_negative: bool = True
    inputs: dict[str, object] = field(default_factory=dict[str, object])
    """What else it is shown."""


def grown(
    cls: type[DiffusionPipeline], pipeline: DiffusionPipeline, inputs: int = 9, **extra: object
) -> DiffusionPipeline:
    config: dict[str, object] = dict(pipeline.components["unet"].config)
    known = {name: value for name, value in config.items() if not name.startswith("_")}
    net = build(UNet2DConditionModel, **{**known, "in_channels": inputs}).eval()
    return over(cls, pipeline, unet=net, **extra)


def unclip() -> DiffusionPipeline:
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32,
        patch_size=16, projection_dim=16,
    )  # fmt: skip
    return over(
        StableUnCLIPImg2ImgPipeline,
        tiny.sd15(tiny.unet(16, class_embed_type="projection", projection_class_embeddings_input_dim=32)),
        feature_extractor=CLIPImageProcessor(size=32, crop_size=32),
        image_encoder=CLIPVisionModelWithProjection(vision).eval(),
        image_normalizer=build(StableUnCLIPImageNormalizer, embedding_dim=16),
        image_noising_scheduler=build(DDPMScheduler, beta_schedule="squaredcos_cap_v2"),
    )


def lcm() -> DiffusionPipeline:
    parts = tiny.sd15(tiny.unet(16, time_cond_proj_dim=8))
    scheduler = build(
        LCMScheduler, **{k: v for k, v in tiny.scheduler().config.items() if not k.startswith("_")}
    )
    return over(LatentConsistencyModelPipeline, parts, scheduler=scheduler, **SAFE)


def sd_pag() -> DiffusionPipeline:
    return over(StableDiffusionPAGPipeline, tiny.sd15(), pag_applied_layers="mid", **SAFE)


class Placed(tiny.PreTrainedTokenizerFast):
    """Says where each token stands, as ChatGLM's does."""

    def __call__(self, *args: object, **options: object) -> BatchEncoding:
        found = super().__call__(*args, **options)  # pyright: ignore
        mask = found["attention_mask"]
        found["position_ids"] = (mask.cumsum(-1) - 1).clamp_min(0)
        return found


def kolors(cls: type[DiffusionPipeline] = KolorsPipeline) -> DiffusionPipeline:
    config = ChatGLMConfig(
        num_layers=2, padded_vocab_size=64, hidden_size=32, ffn_hidden_size=32, kv_channels=8,
        num_attention_heads=4, seq_length=256, multi_query_attention=True, multi_query_group_num=2,
        add_qkv_bias=True, original_rope=True, use_cache=False, _attn_implementation="eager",
    )  # fmt: skip
    text = ChatGLMModel(config).eval()
    for parameter in text.parameters():  # which the class leaves as memory was
        nn.init.normal_(parameter, std=0.1)
    known = tiny_texts.tokenizer()
    tokenizer = Placed(
        tokenizer_object=known.backend_tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    )
    net = tiny.unet(
        32,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
        encoder_hid_dim=32,
        encoder_hid_dim_type="text_proj",
        transformer_layers_per_block=(1, 2),
    )
    scheduler = build(
        EulerDiscreteScheduler, beta_start=0.00085, beta_end=0.014, beta_schedule="scaled_linear",
        num_train_timesteps=1100, steps_offset=1, timestep_spacing="leading",
    )  # fmt: skip
    return build(
        cls,
        vae=tiny_vaes.usual(4, 0.13025),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=net,
        scheduler=scheduler,
    )


def sd3_controlnet() -> DiffusionPipeline:
    parts = tiny_families.sd3()
    network = active(
        build(
            SD3ControlNetModel, sample_size=8, patch_size=2, in_channels=16, num_layers=1,
            attention_head_dim=8, num_attention_heads=2, joint_attention_dim=32, caption_projection_dim=16,
            pooled_projection_dim=32, out_channels=16, pos_embed_max_size=24,
        )
    )  # fmt: skip
    return over(StableDiffusion3ControlNetPipeline, parts, controlnet=network)


def flux_net(channels: int) -> FluxTransformer2DModel:
    return build(
        FluxTransformer2DModel,
        in_channels=channels,
        out_channels=64,
        num_layers=1,
        num_single_layers=1,
        joint_attention_dim=2 * tiny_families.WIDTH,
        pooled_projection_dim=tiny_families.WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
        **HEADS,
    ).eval()


def flux_controlnet() -> DiffusionPipeline:
    parts = tiny_families.flux()
    config = config_of(parts.components["transformer"], FluxControlNetModel)
    network = active(build(FluxControlNetModel, **config))
    return over(FluxControlNetPipeline, parts, controlnet=network)


def qwen_controlnet() -> DiffusionPipeline:
    parts = tiny_newer_families.qwen_image()
    config = config_of(parts.components["transformer"])
    known = ("patch_size", "in_channels", "out_channels", "joint_attention_dim", "axes_dims_rope")
    network = active(
        build(QwenImageControlNetModel, num_layers=1, **HEADS, **{name: config[name] for name in known})
    )
    return over(QwenImageControlNetPipeline, parts, controlnet=network)


def sana_controlnet() -> DiffusionPipeline:
    parts = tiny_newer_families.sana()
    config = config_of(parts.components["transformer"], SanaControlNetModel)
    return over(SanaControlNetPipeline, parts, controlnet=active(build(SanaControlNetModel, **config)))


def sana_sprint() -> DiffusionPipeline:
    parts = tiny_newer_families.sana()
    config = config_of(parts.components["transformer"])
    net = build(
        SanaTransformer2DModel, **{**config, "guidance_embeds": True, "qk_norm": "rms_norm_across_heads"}
    )
    return over(SanaSprintPipeline, parts, transformer=net.eval(), scheduler=SCMScheduler())


def hunyuan_dit(cls: type[DiffusionPipeline] = HunyuanDiTPipeline, layers: int = 2) -> DiffusionPipeline:
    net = build(
        HunyuanDiT2DModel,
        sample_size=8,
        num_layers=layers,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        in_channels=4,
        hidden_size=16,
        cross_attention_dim=32,
        cross_attention_dim_t5=32,
        pooled_projection_dim=16,
        text_len=77,
        text_len_t5=256,
    )
    bert = BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=77,
    )  # fmt: skip
    return build(
        cls,
        vae=tiny_vaes.usual(4, 0.13025),
        text_encoder=BertModel(bert).eval(),
        tokenizer=tiny.tokenizer(77),
        text_encoder_2=tiny_families.t5(),
        tokenizer_2=tiny.tokenizer(256),
        transformer=net.eval(),
        scheduler=build(
            DDPMScheduler, beta_end=0.018, beta_schedule="scaled_linear", prediction_type="v_prediction"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def cogview3() -> DiffusionPipeline:
    net = build(
        CogView3PlusTransformer2DModel,
        sample_size=8,
        in_channels=16,
        out_channels=16,
        num_layers=1,
        text_embed_dim=WIDTH,
        time_embed_dim=8,
        condition_dim=4,
        pos_embed_max_size=24,
        **HEADS,
    )
    return build(
        CogView3PlusPipeline,
        tokenizer=tiny.tokenizer(),
        text_encoder=tiny_families.t5(),
        vae=tiny_vaes.usual(16, 1.0),
        transformer=net.eval(),
        scheduler=build(CogVideoXDDIMScheduler, prediction_type="v_prediction"),
    )


def lumina() -> DiffusionPipeline:
    net = build(
        LuminaNextDiT2DModel,
        sample_size=8,
        patch_size=2,
        in_channels=4,
        hidden_size=32,
        num_layers=1,
        num_attention_heads=2,
        num_kv_heads=2,
        multiple_of=16,
        cross_attention_dim=WIDTH,
    )
    return build(
        LuminaPipeline,
        transformer=net.eval(),
        scheduler=flow(),
        vae=tiny_vaes.usual(4, 0.13025),
        text_encoder=tiny_texts.gemma2(),
        tokenizer=tiny_texts.tokenizer(),
    )


def bria() -> DiffusionPipeline:
    net = build(
        BriaTransformer2DModel,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        joint_attention_dim=WIDTH,
        axes_dims_rope=[4, 4, 8],
        **HEADS,
    )
    return build(
        BriaPipeline,
        transformer=net.eval(),
        scheduler=flow(use_dynamic_shifting=True),
        vae=tiny_vaes.usual(4, 0.13025),
        text_encoder=tiny_families.t5(),
        tokenizer=tiny.tokenizer(),
    )


def hunyuan_image() -> DiffusionPipeline:
    net = build(
        HunyuanImageTransformer2DModel,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size=(1, 1),
        text_embed_dim=WIDTH,
        text_embed_2_dim=WIDTH,
        rope_axes_dim=(8, 8),
        **HEADS,
    )
    from diffusers.guiders.adaptive_projected_guidance_mix import AdaptiveProjectedMixGuidance

    return build(
        HunyuanImagePipeline,
        scheduler=flow(),
        vae=tiny_vaes.hunyuan(),
        text_encoder=tiny_texts.qwen_vl(),
        tokenizer=tiny_texts.tokenizer(),
        text_encoder_2=tiny_families.t5(),
        tokenizer_2=tiny.tokenizer(),
        transformer=net.eval(),
        guider=AdaptiveProjectedMixGuidance(adaptive_projected_guidance_start_step=1, enabled=True),
        ocr_guider=AdaptiveProjectedMixGuidance(adaptive_projected_guidance_start_step=1, enabled=True),
    )


def hidream() -> DiffusionPipeline:
    net = build(
        HiDreamImageTransformer2DModel,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        caption_channels=[WIDTH, WIDTH],
        text_emb_dim=2 * WIDTH,
        num_routed_experts=2,
        num_activated_experts=1,
        axes_dims_rope=(4, 6, 6),
        max_resolution=(16, 16),
        llama_layers=(0, 1),
        **HEADS,
    )
    speaker = tiny_texts.tokenizer()
    speaker.eos_token = "[SEP]"
    return build(
        HiDreamImagePipeline,
        scheduler=flow(),
        vae=tiny_vaes.usual(16, 0.3611, 0.1159),
        text_encoder=tiny.clip_text(CLIPTextModelWithProjection, WIDTH, 248),
        tokenizer=tiny.tokenizer(),
        text_encoder_2=tiny.clip_text(CLIPTextModelWithProjection, WIDTH, 248),
        tokenizer_2=tiny.tokenizer(),
        text_encoder_3=tiny_families.t5(),
        tokenizer_3=tiny.tokenizer(),
        text_encoder_4=tiny_texts.llama(),
        tokenizer_4=speaker,
        transformer=net.eval(),
    )


def flux2() -> DiffusionPipeline:
    net = build(
        Flux2Transformer2DModel,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        joint_attention_dim=3 * WIDTH,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=True,
        **HEADS,
    )
    return build(
        Flux2Pipeline,
        scheduler=flow(use_dynamic_shifting=True),
        vae=tiny_vaes.flux2(),
        text_encoder=tiny_texts.qwen3_speaker(30),
        tokenizer=tiny_texts.listener(),
        transformer=net.eval(),
    )


RIGHT_HALF = Image.new("L", (96, 64))
RIGHT_HALF.paste(255, (48, 0, 96, 64))
VARIANTS: dict[str, Variant] = {
    "sd-controlnet-pag": Variant(make=tiny_steered.sd_pag, family="sd15", steered=True),
    "sdxl-controlnet-pag": Variant(make=tiny_steered.xl_pag, family="sdxl", steered=True),
    "sdxl-controlnet-union": Variant(
        make=tiny_steered.xl_union, family="sdxl", steered=True, inputs={"control_mode": 0}
    ),
    "sd3-controlnet-inpainting": Variant(
        make=tiny_steered.sd3_inpainting, family="sd3", steered=True, inputs={"control_mask": RIGHT_HALF}
    ),
    "qwen-controlnet-inpainting": Variant(
        make=tiny_steered.qwen_inpainting,
        family="qwen-image",
        steered=True,
        inputs={"control_mask": RIGHT_HALF},
    ),
    "z-image-controlnet": Variant(make=tiny_steered.z_image, family="z-image", steered=True),
    "z-image-controlnet-inpainting": Variant(
        make=tiny_steered.z_image_inpainting, family="z-image", steered=True
    ),
    "hunyuan-dit-controlnet": Variant(
        make=lambda: tiny_steered.hunyuan_dit(hunyuan_dit(layers=4)), family="hunyuan-dit", steered=True
    ),
    "cogview4-control": Variant(make=tiny_steered.cogview4, family="cogview4", steered=True),
    "sd-pag": Variant(make=sd_pag, family="sd15"),
    "lcm": Variant(make=lcm, family="sd15", reads_negative=False),
    "sd-inpainting": Variant(
        make=lambda: grown(StableDiffusionInpaintPipeline, tiny.sd15(), 9, **SAFE), family="sd15"
    ),
    "sd-pix2pix": Variant(
        make=lambda: grown(StableDiffusionInstructPix2PixPipeline, tiny.sd15(), 8, **SAFE),
        family="sd15",
        steered=True,
    ),
    "sdxl-pix2pix": Variant(
        make=lambda: grown(StableDiffusionXLInstructPix2PixPipeline, tiny.sdxl(), 8),
        family="sdxl",
        steered=True,
    ),
    "unclip": Variant(make=unclip, family="sd15", inputs={"image_embeds": torch.zeros(1, 16)}),
    "sdxl-pag": Variant(make=lambda: over(StableDiffusionXLPAGPipeline, tiny.sdxl()), family="sdxl"),
    "sdxl-inpainting": Variant(
        make=lambda: grown(StableDiffusionXLInpaintPipeline, tiny.sdxl()), family="sdxl"
    ),
    "kolors": Variant(make=kolors, family="kolors"),
    "kolors-pag": Variant(make=lambda: kolors(KolorsPAGPipeline), family="kolors"),
    "sd3-pag": Variant(
        make=lambda: over(StableDiffusion3PAGPipeline, tiny_families.sd3(), pag_applied_layers=["1"]),
        family="sd3",
    ),
    "sd3-controlnet": Variant(make=sd3_controlnet, family="sd3", steered=True),
    "flux-controlnet": Variant(make=flux_controlnet, family="flux", steered=True, reads_negative=False),
    "flux-fill": Variant(
        make=lambda: over(FluxFillPipeline, tiny_families.flux(), transformer=flux_net(384)),
        family="flux",
        reads_negative=False,
    ),
    "flux-control": Variant(
        make=lambda: over(FluxControlPipeline, tiny_families.flux(), transformer=flux_net(128)),
        family="flux",
        steered=True,
        reads_negative=False,
    ),
    "flux-kontext": Variant(
        make=lambda: over(FluxKontextPipeline, tiny_families.flux()), family="flux", reads_negative=False
    ),
    "pixart-sigma-pag": Variant(
        make=lambda: over(PixArtSigmaPAGPipeline, tiny_families.pixart_sigma(), pag_applied_layers=["1"]),
        family="pixart-sigma",
    ),
    "hunyuan-dit": Variant(make=hunyuan_dit, family="hunyuan-dit"),
    "hunyuan-dit-pag": Variant(make=lambda: hunyuan_dit(HunyuanDiTPAGPipeline), family="hunyuan-dit"),
    "cogview3": Variant(make=cogview3, family="cogview3"),
    "lumina": Variant(make=lumina, family="lumina"),
    "qwen-controlnet": Variant(make=qwen_controlnet, family="qwen-image", steered=True),
    "qwen-edit": Variant(
        make=lambda: over(
            QwenImageEditPipeline, tiny_newer_families.qwen_image(), processor=tiny_texts.tokenizer()
        ),
        family="qwen-image",
    ),
    "sana-pag": Variant(
        make=lambda: over(
            SanaPAGPipeline, tiny_newer_families.sana(), pag_applied_layers="transformer_blocks.0"
        ),
        family="sana",
    ),
    "sana-sprint": Variant(make=sana_sprint, family="sana-sprint", reads_negative=False),
    "sana-controlnet": Variant(make=sana_controlnet, family="sana", steered=True),
    "bria": Variant(make=bria, family="bria"),
    "hunyuan-image": Variant(make=hunyuan_image, family="hunyuan-image"),
    "hidream": Variant(make=hidream, family="hidream"),
    "flux2": Variant(make=flux2, family="flux2", reads_negative=False),
}
"""By name; those of `tiny_families` and `tiny_newer_families` are not here again."""


def made(name: str) -> DiffusionPipeline:
    torch.manual_seed(0)
    pipeline = VARIANTS[name].make()
    return tiny_families.quiet(tiny_recent_families.small(pipeline))
