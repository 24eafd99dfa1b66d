"""The text-to-image and image-to-image pipelines that share one set of components.

Built by their constructors, which move and cast nothing, so both twins hold the very same modules.
"""

import inspect
from collections.abc import Mapping
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from pellucid.errors import InputError
from pellucid.pipelines.modes import Family

Place = tuple[str, str, str]
SD, XL, CONTROL, T2I = "stable_diffusion", "stable_diffusion_xl", "controlnet", "t2i_adapter"
FROM_TEXT: Place = (SD, "pipeline_stable_diffusion", "StableDiffusionPipeline")
FROM_PICTURE: Place = (SD, "pipeline_stable_diffusion_img2img", "StableDiffusionImg2ImgPipeline")
XL_FROM_TEXT: Place = (XL, "pipeline_stable_diffusion_xl", "StableDiffusionXLPipeline")
XL_FROM_PICTURE: Place = (XL, "pipeline_stable_diffusion_xl_img2img", "StableDiffusionXLImg2ImgPipeline")
TWINS: tuple[tuple[Place, Place, tuple[str, ...]], ...] = (
    # (package, module, class) from text, and from a picture; other classes with the same parts
    (FROM_TEXT, FROM_PICTURE, ("StableDiffusionInpaintPipeline",)),
    (XL_FROM_TEXT, XL_FROM_PICTURE, ("StableDiffusionXLInpaintPipeline",)),
    (
        (CONTROL, "pipeline_controlnet", "StableDiffusionControlNetPipeline"),
        (CONTROL, "pipeline_controlnet_img2img", "StableDiffusionControlNetImg2ImgPipeline"),
        ("StableDiffusionControlNetInpaintPipeline",),
    ),
    (
        (CONTROL, "pipeline_controlnet_sd_xl", "StableDiffusionXLControlNetPipeline"),
        (CONTROL, "pipeline_controlnet_sd_xl_img2img", "StableDiffusionXLControlNetImg2ImgPipeline"),
        ("StableDiffusionXLControlNetInpaintPipeline",),
    ),
    # T2I-Adapters steer what is made from text; diffusers has no image-to-image with them
    ((T2I, "pipeline_stable_diffusion_adapter", "StableDiffusionAdapterPipeline"), FROM_PICTURE, ()),
    ((T2I, "pipeline_stable_diffusion_xl_adapter", "StableDiffusionXLAdapterPipeline"), XL_FROM_PICTURE, ()),
)
SUPPORTED = tuple(
    dict.fromkeys(name for *places, more in TWINS for name in (*(place[2] for place in places), *more))
)


class LatentSource(ModelMixin, ConfigMixin):
    """Stands where an image-to-image pipeline has its VAE, and hands on latents that are already encoded.

    Stock pipelines take latents instead of a picture only when they have four channels; with this, any.
    """

    @register_to_config
    def __init__(self, block_out_channels: list[int], latent_channels: int) -> None:
        super().__init__()
        self.config: Any
        self.register_to_config(scaling_factor=1.0, force_upcast=False)
        self.anchor: Tensor
        self.register_buffer("anchor", torch.zeros(1), persistent=False)  # pipelines ask for device and dtype

    def encode(self, latents: Tensor) -> SimpleNamespace:
        return SimpleNamespace(latents=latents)


def _row(pipeline: object) -> tuple[Place, Place]:
    for cls in type(pipeline).__mro__:  # the nearest class first: a user's own may be a subclass
        for from_text, from_picture, others in TWINS:
            if cls.__name__ in (from_text[2], from_picture[2], *others):
                return from_text, from_picture
    raise InputError(
        f"Expected a Stable Diffusion pipeline, found {type(pipeline).__name__}. "
        f"Use one of {', '.join(SUPPORTED)}."
    )


def check_pipeline(pipeline: Any) -> None:  # noqa: ANN401 - any diffusers pipeline
    """Raises InputError for a pipeline that has no row in `TWINS`, or whose UNet wants more than a latent."""
    _row(pipeline)
    config = pipeline.unet.config
    if config.in_channels != config.out_channels:
        raise InputError(
            f"Expected a UNet with as many inputs as outputs, found {config.in_channels} and "
            f"{config.out_channels}. Take the base model, not one made for inpainting; `inpaint` works on it."
        )


def family_of(pipeline: object) -> Family:
    """Which released adapters fit; InputError as `check_pipeline`."""
    return "sdxl" if "XL" in _row(pipeline)[0][2] else "sd15"


def text_to_image(pipeline: Any) -> Any:  # noqa: ANN401 - any diffusers pipeline
    """`pipeline` itself if it starts from noise, else its twin that does."""
    from_text, _ = _row(pipeline)
    return pipeline if _is(pipeline, from_text) else _build(from_text, pipeline, {})


def image_to_image(pipeline: Any) -> Any:  # noqa: ANN401 - any diffusers pipeline
    """The twin that starts from scaled latents of any number of channels."""
    channels = pipeline.unet.config.out_channels
    source = LatentSource(list(pipeline.vae.config.block_out_channels), channels)
    source.anchor = source.anchor.to(device=pipeline.unet.device, dtype=pipeline.unet.dtype)
    twin = _build(_row(pipeline)[1], pipeline, {"vae": source})
    twin.image_processor = VaeImageProcessor(
        vae_scale_factor=twin.vae_scale_factor, vae_latent_channels=channels
    )
    return twin


def for_picture(pipeline: object, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of the pipeline from text, as its twin from a picture takes them.

    A ControlNet's picture is called `control_image` there, and a T2I-Adapter's has no place.
    """
    others = {name: value for name, value in inputs.items() if name != "image"}
    is_control = _row(pipeline)[1][0] == CONTROL
    return others | ({"control_image": inputs["image"]} if is_control and "image" in inputs else {})


def _is(pipeline: object, place: Place) -> bool:
    return any(cls.__name__ == place[2] for cls in type(pipeline).__mro__)


def _build(place: Place, pipeline: Any, instead: dict[str, Any]) -> Any:  # noqa: ANN401
    package, module, name = place
    cls = getattr(import_module(f"diffusers.pipelines.{package}.{module}"), name)
    parts = {**pipeline.components, **instead}
    accepted = inspect.signature(cls.__init__).parameters
    options = {key: value for key, value in pipeline.config.items() if key in accepted and key not in parts}
    options = {key: value for key, value in options.items() if not isinstance(value, (list, tuple))}
    twin = cls(**{key: parts[key] for key in parts if key in accepted}, **options)
    twin.set_progress_bar_config(**getattr(pipeline, "_progress_bar_config", {}))
    return twin
