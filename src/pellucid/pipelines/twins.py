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
from pellucid.pipelines.families import CONTROL, Place, denoiser_of, latent_channels, row_of, twins_of


class LatentSource(ModelMixin, ConfigMixin):
    """Stands where an image-to-image pipeline has its VAE, and hands on latents that are already encoded.

    Stock pipelines take latents instead of a picture only when they have four channels; with this, any.
    """

    @register_to_config
    def __init__(self, block_out_channels: list[int], latent_channels: int) -> None:
        super().__init__()
        self.config: Any
        self.register_to_config(scaling_factor=1.0, shift_factor=0.0, force_upcast=False)
        self.anchor: Tensor
        self.register_buffer("anchor", torch.zeros(1), persistent=False)  # pipelines ask for device and dtype

    def encode(self, latents: Tensor) -> SimpleNamespace:
        return SimpleNamespace(latents=latents)


def check_pipeline(pipeline: Any) -> None:  # noqa: ANN401 - any diffusers pipeline
    """Raises InputError for a pipeline that has no row, or whose denoiser wants more than a latent."""
    row, channels = row_of(pipeline), pipeline.vae.config.latent_channels
    inputs = denoiser_of(pipeline).config.in_channels
    if inputs != channels * row.packing**2:
        raise InputError(
            f"Expected a {row.denoiser} with as many inputs as its VAE's latents have channels, found "
            f"{inputs / row.packing**2:g} and {channels}. "
            "Take the base model, not one made for inpainting; `inpaint` works on it."
        )


def text_to_image(pipeline: Any) -> Any:  # noqa: ANN401 - any diffusers pipeline
    """`pipeline` itself if it starts from noise, else its twin that does."""
    from_text = twins_of(pipeline).from_text
    return pipeline if _is(pipeline, from_text) else built(from_text, pipeline, {})


def image_to_image(pipeline: Any) -> Any:  # noqa: ANN401 - any diffusers pipeline
    """The twin that starts from scaled latents of any number of channels; see `pellucid.pipelines.calls`."""
    place = twins_of(pipeline).from_picture
    if place is None:
        return pipeline
    channels, denoiser = latent_channels(pipeline), denoiser_of(pipeline)
    source = LatentSource(list(pipeline.vae.config.block_out_channels), channels)
    source.anchor = source.anchor.to(device=denoiser.device, dtype=denoiser.dtype)
    twin = built(place, pipeline, {"vae": source})
    twin.image_processor = VaeImageProcessor(
        vae_scale_factor=twin.vae_scale_factor, vae_latent_channels=channels
    )
    return twin


def for_picture(pipeline: object, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of the pipeline from text, as its twin from a picture takes them.

    A ControlNet's picture is called `control_image` there, and a T2I-Adapter's has no place.
    """
    others = {name: value for name, value in inputs.items() if name != "image"}
    place = twins_of(pipeline).from_picture
    is_control = place is not None and place[0] == CONTROL
    return others | ({"control_image": inputs["image"]} if is_control and "image" in inputs else {})


def _is(pipeline: object, place: Place) -> bool:
    return any(cls.__name__ == place[2] for cls in type(pipeline).__mro__)


def built(place: Place, pipeline: Any, instead: dict[str, Any]) -> Any:  # noqa: ANN401
    """The stock pipeline at `place` over the parts of `pipeline`, some of them replaced or added."""
    package, module, name = place
    cls = getattr(import_module(f"diffusers.pipelines.{package}.{module}"), name)
    parts = {**pipeline.components, **instead}
    accepted = inspect.signature(cls.__init__).parameters
    options = {key: value for key, value in pipeline.config.items() if key in accepted and key not in parts}
    options = {key: value for key, value in options.items() if not isinstance(value, (list, tuple))}
    twin = cls(**{key: parts[key] for key in parts if key in accepted}, **options)
    twin.set_progress_bar_config(**getattr(pipeline, "_progress_bar_config", {}))
    return twin
