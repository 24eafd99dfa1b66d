"""Models that make transparent layers by themselves: an image taken apart, as a scene.

Qwen-Image-Layered has a VAE of four channels and samples all layers of an image together. It needs neither
codec nor adapter; what is here is the way from its images to a `Scene`.
"""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from pellucid._version import __version__
from pellucid.errors import InputError
from pellucid.pipelines.arguments import as_whole_number, check_sampling, expand_requests
from pellucid.pipelines.given_images import to_image
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.resizing import fit_rgba
from pellucid.scene.scene import Scene

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

NATIVE = ("QwenImageLayeredPipeline",)
"""Classes that make layers by themselves."""
MAX_LAYERS = 20
RESOLUTIONS = (640, 1024)
"""Sides, px, of the square whose number of pixels the model works at."""


def decompose(
    pipeline: "DiffusionPipeline",
    image: object,
    *,
    layers: int = 4,
    prompt: str | None = None,
    negative_prompt: str = "",
    seed: int | None = None,
    num_inference_steps: int = 50,
    guidance_scale: float = 4.0,
    resolution: int = 640,
) -> Scene:
    """Takes an image apart into transparent layers, by a model that makes layers itself.

    Args:
        pipeline: a `QwenImageLayeredPipeline` of diffusers, used as it is.
        image: an array, a PIL image, a path, a scene or a layer; any size.
        layers: how many to make, 1 to 20.
        prompt: what the whole image shows; None lets the model's own text encoder describe it.
        negative_prompt: what it does not.
        seed: the same one gives the same layers; None draws one.
        num_inference_steps: of the sampler.
        guidance_scale: how closely to follow the prompt; 1 turns guidance off and halves the time.
        resolution: 640, or 1024 for twice the detail at several times the time.

    Returns:
        A scene of the image's size, bottom layer first.

    Raises:
        InputError: another kind of pipeline, or a value that the model does not take.
    """
    if not any(cls.__name__ in NATIVE for cls in pipeline.__class__.__mro__):
        raise InputError(
            f"Expected {NATIVE[0]}, found {type(pipeline).__name__}. Load a model that makes layers itself, "
            "such as Qwen/Qwen-Image-Layered."
        )
    check_decomposition(layers, resolution, num_inference_steps, guidance_scale)
    (request,) = expand_requests(prompt or "", negative_prompt=negative_prompt, seed=seed)
    rgba = to_image(image)
    found = _sampled(
        pipeline,
        image=Image.fromarray(rgba),
        prompt=request.prompt or None,
        # a space, since without any text the pipeline leaves guidance out
        negative_prompt=request.negative_prompt or " ",
        layers=layers,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        num_inference_steps=num_inference_steps,
        true_cfg_scale=guidance_scale,
        resolution=resolution,
    )
    height, width = rgba.shape[:2]
    images = [fit_rgba(each, height, width, "stretch") for each in found]
    provenance = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "model": str(pipeline.config.get("_name_or_path") or type(pipeline).__name__),
        "version": __version__,
        "mode": "decompose",
        "steps": num_inference_steps,
        "guidance": guidance_scale,
        "resolution": resolution,
    }
    scene = Scene.of(images, name="layer", provenance=provenance)
    names = ["background", *(f"layer {number}" for number in range(1, layers))]
    named = [replace(layer, name=name) for layer, name in zip(scene.layers, names, strict=True)]
    return replace(scene, layers=tuple(named))


def check_decomposition(layers: int, resolution: int, steps: int, guidance: float) -> None:
    """Raises InputError for arguments of `decompose` that the model does not take."""
    if not 1 <= as_whole_number(layers, "layers") <= MAX_LAYERS:
        raise InputError(f"Expected 1 to {MAX_LAYERS} layers, found {layers}. Try 4.")
    if resolution not in RESOLUTIONS:
        raise InputError(f"Expected a resolution of 640 or 1024, found {resolution}. Take one of them.")
    check_sampling(steps, guidance)


def _sampled(pipeline: Any, **call_kwargs: object) -> list[np.ndarray]:  # noqa: ANN401 - diffusers has no common protocol
    """Calls a copy of the pipeline, whose scheduler and settings stay the user's; uint8 (h, w, 4) each."""
    own = copy.copy(pipeline)
    own.scheduler = copy.deepcopy(pipeline.scheduler)
    images: torch.Tensor = own(**call_kwargs, output_type="pt").images[0]
    if not bool(torch.isfinite(images).all()):
        raise InputError(
            "Expected numbers from the pipeline, found NaN or infinity. Take bfloat16 or float32."
        )
    return [to_bytes(each.permute(1, 2, 0).float().cpu().numpy()) for each in images]
