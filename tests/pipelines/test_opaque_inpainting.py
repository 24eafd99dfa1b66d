"""Inpainting of opaque images, by any text-to-image model and by diffusers' own pipelines, tiny and real."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import (
    StableDiffusionInpaintPipeline,
)

import pellucid
import tiny
from building import build
from pellucid.errors import InputError, WeightsError
from pellucid.pipelines.arguments import SamplingOptions
from pellucid.pipelines.opaque_inpainting import (
    GUIDANCE,
    HELD,
    DiffusersInpainter,
    Inpainter,
    LatentInpainter,
    load_inpainter,
)

SIZE = (61, 72)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
SHARE = np.zeros(SIZE, np.float32)
SHARE[:, 40:] = 1
FAST = SamplingOptions(num_inference_steps=3)


def latent_inpainter(options: SamplingOptions = FAST) -> LatentInpainter:
    pipeline = tiny.sd15()
    pipe = pellucid.attach(pipeline, None, autoencoder=tiny.codec(pipeline.vae))
    return LatentInpainter(pipe.model, options)


def saved(folder: Path, *, channels: int = 4) -> Path:
    """A base model, or one made for inpainting: nine channels, of which five are mask and masked image."""
    stock = tiny.sd15()
    if channels != 4:
        torch.manual_seed(1)
        unet = build(UNet2DConditionModel, **{**dict(stock.unet.config), "in_channels": channels})
        parts = {**stock.components, "unet": unet.eval()}
        stock = build(StableDiffusionInpaintPipeline, **parts, requires_safety_checker=False)
    stock.save_pretrained(folder)
    return folder


@pytest.fixture(params=["latents", "base model", "inpainting model"])
def inpainter(request: pytest.FixtureRequest, tmp_path: Path) -> Inpainter:
    if request.param == "latents":
        return latent_inpainter()
    path = saved(tmp_path, channels=4 if request.param == "base model" else 9)
    return load_inpainter(path, num_inference_steps=3)


def test_seeds_and_what_is_kept_decide_and_sizes_stay(inpainter: Inpainter) -> None:
    found = inpainter.inpaint(IMAGE, SHARE, "a cat", seed=1)
    assert found.shape == IMAGE.shape
    assert found.dtype == np.uint8
    assert np.array_equal(found, inpainter.inpaint(IMAGE, SHARE, "a cat", seed=1))
    assert not np.array_equal(found, inpainter.inpaint(IMAGE, SHARE, "a cat", seed=2))
    other = np.ascontiguousarray(IMAGE[::-1])
    assert not np.array_equal(found, inpainter.inpaint(other, SHARE, "a cat", seed=1))


def test_latents_are_held_to_the_last_step_by_a_model_of_whole_images() -> None:
    inpainter = latent_inpainter()
    assert inpainter.knows_subjects
    assert inpainter.held_steps == 3
    known = inpainter.inpaint(IMAGE, np.zeros(SIZE, np.float32), "a cat", seed=1)
    assert np.array_equal(known, inpainter.inpaint(IMAGE, np.zeros(SIZE, np.float32), "a dog", seed=2))


def test_the_embedded_model_paints_places_with_the_adapter_of_its_backgrounds() -> None:
    pipe = pellucid.load()
    inpainter = LatentInpainter(pipe.model, SamplingOptions(num_inference_steps=2))
    assert inpainter.mode.name == "mini-background"
    assert not inpainter.knows_subjects
    assert inpainter.settings.guidance_scale == GUIDANCE
    assert inpainter.held_steps == round(HELD * 2)
    before = pipe.generate("a cat", seed=1, num_inference_steps=2).layers[0].image
    assert inpainter.inpaint(IMAGE, SHARE, "a beach", seed=1).shape == IMAGE.shape
    assert np.array_equal(pipe.generate("a cat", seed=1, num_inference_steps=2).layers[0].image, before)


def test_numbers_that_no_sampler_has_and_folders_without_a_pipeline_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="steps"):
        DiffusersInpainter(None, num_inference_steps=5000)
    with pytest.raises(WeightsError, match="can inpaint"):
        load_inpainter(tmp_path / "nothing")
    with pytest.raises(InputError, match="device"):
        load_inpainter(saved(tmp_path / "model"), device="cuda")
