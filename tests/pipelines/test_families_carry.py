"""What users put on a pipeline works with every family: LoRAs, offloading, control images of any size."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from peft import LoraConfig
from PIL import Image
from torch import nn

import pellucid
import tiny
import tiny_families
import tiny_newer_families
import tiny_vaes
import tiny_variants
from building import QuickSeeded
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.types import AnyArray

QUICK: QuickSeeded = {"num_inference_steps": 3, "seed": 3, "passes": 1}
OLDER: dict[str, Callable[[], DiffusionPipeline]] = {
    "sd15": tiny.sd15, "sdxl": tiny.sdxl, "sd21": tiny_families.sd21, "sd3": tiny_families.sd3,
    "flux": tiny_families.flux, "pixart-alpha": tiny_families.pixart_alpha,
    "pixart-sigma": tiny_families.pixart_sigma,
}  # fmt: skip
NAMES = [*OLDER, *tiny_newer_families.BUILDERS, *tiny_variants.VARIANTS]
STEERED = [name for name, variant in tiny_variants.VARIANTS.items() if variant.steered]
PICTURE = np.random.default_rng(0).integers(0, 256, (50, 90, 4), np.uint8)


def made(name: str) -> DiffusionPipeline:
    if name in OLDER:
        return OLDER[name]()
    return (tiny_newer_families if name in tiny_newer_families.BUILDERS else tiny_variants).made(name)


def attached(name: str) -> TransparentPipeline:
    stock = made(name)
    return pellucid.attach(stock, None, autoencoder=tiny_vaes.codec_over(stock.components["vae"]))


def shown(name: str, image: AnyArray = PICTURE) -> dict[str, object]:
    if name not in STEERED:
        return {}
    return {**tiny_variants.VARIANTS[name].inputs, "control_image": Image.fromarray(image[..., :3])}


def image(pipe: TransparentPipeline, inputs: dict[str, object]) -> AnyArray:
    scene = pipe.generate("a cat", height=64, width=96, clean=False, pipeline_inputs=inputs, **QUICK)
    return scene.layers[0].image


@pytest.mark.parametrize("name", NAMES)
def test_a_lora_of_others_counts_and_goes(name: str) -> None:
    pipe = attached(name)
    if not hasattr(pipe.denoiser, "add_adapter"):
        pytest.skip("diffusers gives this denoiser no LoRAs")
    plain = image(pipe, shown(name))
    # any few of its matrices: names differ by family
    layers: list[str] = [
        path for path, layer in pipe.denoiser.named_modules() if isinstance(layer, nn.Linear)
    ]
    some = [path for path in layers if "attn" in path or "attention" in path][:8]
    torch.manual_seed(0)
    pipe.denoiser.add_adapter(  # pyright: ignore[reportCallIssue] - diffusers' denoisers have it
        LoraConfig(r=2, lora_alpha=16, target_modules=some, init_lora_weights=False)
    )
    assert not np.array_equal(image(pipe, shown(name)), plain)
    pipe.denoiser.disable_adapters()  # pyright: ignore[reportCallIssue]
    assert np.abs(image(pipe, shown(name)).astype(int) - plain).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_offloaded_parts_give_the_same_image(name: str) -> None:
    pipe = attached(name)
    if not getattr(pipe.denoiser, "_supports_group_offloading", True):
        pytest.skip("diffusers offloads this denoiser by whole parts alone")
    plain = image(pipe, shown(name))
    pipe.pipeline.enable_group_offload(torch.device("cpu"), torch.device("cpu"), offload_type="leaf_level")
    pipe.move_codec()
    assert np.abs(image(pipe, shown(name)).astype(int) - plain).max() <= 1


@pytest.mark.parametrize("name", STEERED)
def test_a_control_image_of_any_size_steers(name: str) -> None:
    pipe = attached(name)
    shades = [np.full(PICTURE.shape, value, np.uint8) for value in (0, 255)]
    generated = [image(pipe, shown(name, each)) for each in shades]
    assert not np.array_equal(generated[0], generated[1])
    varied = [
        pipe.vary(PICTURE, "a cat", strength=0.7, clean=False, pipeline_inputs=shown(name, each), **QUICK)
        for each in shades
    ]
    assert varied[0].layers[0].image.shape == PICTURE.shape
    assert not np.array_equal(varied[0].layers[0].image, varied[1].layers[0].image)
