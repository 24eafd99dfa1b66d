"""Real pipelines that are shown a control image in ways of their own, made small."""

import inspect

from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.controlnet_hunyuan import HunyuanDiT2DControlNetModel
from diffusers.models.controlnets.controlnet_qwenimage import QwenImageControlNetModel
from diffusers.models.controlnets.controlnet_sd3 import SD3ControlNetModel
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel
from diffusers.models.transformers.transformer_cogview4 import CogView4Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.cogview4.pipeline_cogview4_control import CogView4ControlPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_union_sd_xl import (
    StableDiffusionXLControlNetUnionPipeline,
)
from diffusers.pipelines.controlnet_hunyuandit.pipeline_hunyuandit_controlnet import (
    HunyuanDiTControlNetPipeline,
)
from diffusers.pipelines.controlnet_sd3.pipeline_stable_diffusion_3_controlnet_inpainting import (
    StableDiffusion3ControlNetInpaintingPipeline,
)
from diffusers.pipelines.pag.pipeline_pag_controlnet_sd import StableDiffusionControlNetPAGPipeline
from diffusers.pipelines.pag.pipeline_pag_controlnet_sd_xl import StableDiffusionXLControlNetPAGPipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.qwenimage.pipeline_qwenimage_controlnet_inpaint import (
    QwenImageControlNetInpaintPipeline,
)
from diffusers.pipelines.z_image.pipeline_z_image_controlnet import ZImageControlNetPipeline
from diffusers.pipelines.z_image.pipeline_z_image_controlnet_inpaint import ZImageControlNetInpaintPipeline
from torch import nn

import tiny
import tiny_families
import tiny_newer_families
from building import build
from tiny_recent_families import HEADS, active

SAFE: dict[str, object] = {
    "requires_safety_checker": False, "safety_checker": None, "feature_extractor": None,
}  # fmt: skip


def over(cls: type[DiffusionPipeline], pipeline: DiffusionPipeline, **parts: object) -> DiffusionPipeline:
    """Makes a pipeline of another class over the parts of one."""
    known = {name: part for name, part in pipeline.components.items() if part is not None}
    return build(cls, **{**known, **parts})


def config_of(part: object, cls: type[nn.Module] | None = None) -> dict[str, object]:
    """Returns the arguments that a network was made with, of those that another class takes."""
    config: dict[str, object] = dict(part.config)  # pyright: ignore - of diffusers
    known = inspect.signature(cls.__init__).parameters if cls else config
    return {name: value for name, value in config.items() if not name.startswith("_") and name in known}


def _unets(pipeline: DiffusionPipeline) -> nn.Module:
    net = pipeline.components["unet"]
    assert isinstance(net, UNet2DConditionModel)
    return active(ControlNetModel.from_unet(net, conditioning_embedding_out_channels=(4, 8, 8, 8)))


def sd_pag() -> DiffusionPipeline:
    parts = tiny.sd15()
    pag = {"pag_applied_layers": "mid", **SAFE}
    return over(StableDiffusionControlNetPAGPipeline, parts, controlnet=_unets(parts), **pag)


def xl_pag() -> DiffusionPipeline:
    parts = tiny.sdxl()
    return over(StableDiffusionXLControlNetPAGPipeline, parts, controlnet=_unets(parts))


def xl_union() -> DiffusionPipeline:
    parts = tiny.sdxl()
    network = build(
        ControlNetUnionModel,
        **config_of(parts.components["unet"], ControlNetUnionModel),
        conditioning_embedding_out_channels=(4, 8, 8, 8),
        num_trans_channel=16,
        num_trans_head=2,
        num_proj_channel=16,
    )
    return over(StableDiffusionXLControlNetUnionPipeline, parts, controlnet=active(network))


def sd3_inpainting() -> DiffusionPipeline:
    parts = tiny_families.sd3()
    config = config_of(parts.components["transformer"], SD3ControlNetModel)
    network = build(SD3ControlNetModel, **{**config, "num_layers": 1, "extra_conditioning_channels": 1})
    return over(StableDiffusion3ControlNetInpaintingPipeline, parts, controlnet=active(network))


def qwen_inpainting() -> DiffusionPipeline:
    parts = tiny_newer_families.qwen_image()
    config = config_of(parts.components["transformer"], QwenImageControlNetModel)
    network = build(QwenImageControlNetModel, **{**config, "num_layers": 1, "extra_condition_channels": 4})
    return over(QwenImageControlNetInpaintPipeline, parts, controlnet=active(network))


def z_image(channels: int = 16, cls: type[DiffusionPipeline] = ZImageControlNetPipeline) -> DiffusionPipeline:
    network = build(
        ZImageControlNetModel,
        control_layers_places=[0],
        control_refiner_layers_places=[0],
        control_in_dim=channels,
        dim=32,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
    )
    return over(cls, tiny_newer_families.z_image(), controlnet=active(network))


def z_image_inpainting() -> DiffusionPipeline:
    return z_image(33, ZImageControlNetInpaintPipeline)


def hunyuan_dit(parts: DiffusionPipeline) -> DiffusionPipeline:
    config = config_of(parts.components["transformer"], HunyuanDiT2DControlNetModel)
    network = build(HunyuanDiT2DControlNetModel, **config, transformer_num_layers=4)
    return over(HunyuanDiTControlNetPipeline, parts, controlnet=active(network), **SAFE)


def cogview4() -> DiffusionPipeline:
    parts = tiny_newer_families.cogview4()
    config = config_of(parts.components["transformer"])
    net = build(CogView4Transformer2DModel, **{**config, **HEADS, "in_channels": 32})
    return over(CogView4ControlPipeline, parts, transformer=net.eval())
