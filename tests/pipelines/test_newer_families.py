"""Families since FLUX.1, and further classes: the codec meets the model at its latents."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack, cast

import numpy as np
import pytest
import torch
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import pellucid
import tiny_newer_families
import tiny_vaes
import tiny_variants
from building import QuickSeeded, Size
from pellucid.errors import InputError
from pellucid.models.latent_space import latent_space
from pellucid.pipelines.arguments import Request
from pellucid.pipelines.families import FAMILIES
from pellucid.pipelines.keywords import GenerateKeywords
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.stock import family_of

SIZE: Size = {"height": 64, "width": 96}
QUICK: QuickSeeded = {"num_inference_steps": 4, "seed": 3, "passes": 1}
PICTURE = np.random.default_rng(0).integers(0, 256, (64, 96, 4), np.uint8)
PIPES: dict[str, TransparentPipeline] = {}
Shown = dict[str, object]
Made = Callable[..., np.ndarray]


@pytest.fixture(params=[*tiny_newer_families.BUILDERS, *tiny_variants.VARIANTS])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def pipe(name: str) -> TransparentPipeline:
    """One pipeline a kind; tests leave them as they were."""
    if name not in PIPES:
        makers = tiny_newer_families if name in tiny_newer_families.BUILDERS else tiny_variants
        stock = makers.made(name)
        PIPES[name] = pellucid.attach(stock, None, autoencoder=tiny_vaes.codec_over(stock.components["vae"]))
    return PIPES[name]


@pytest.fixture
def shown(name: str) -> Shown:
    """What steers the stock pipeline, where it must be steered."""
    variant = tiny_variants.VARIANTS.get(name)
    if not variant:
        return {}
    steering = {"control_image": Image.fromarray(PICTURE[..., :3])} if variant.steered else {}
    return {**variant.inputs, **steering}


@pytest.fixture
def image(pipe: TransparentPipeline, shown: Shown) -> Made:
    """Makes an image in few steps."""

    def make(prompt: str = "a cat", **options: Unpack[GenerateKeywords]) -> np.ndarray:
        asked: GenerateKeywords = {"num_inference_steps": 3, "seed": 3, "passes": 1, **SIZE}
        asked.update(options)
        asked["pipeline_inputs"] = {**shown, **(options.get("pipeline_inputs") or {})}
        return pipe.generate(prompt, **asked).layers[0].image

    return make


def one() -> list[Request]:
    return [Request(prompt="a cat", negative_prompt="", seed=3)]


def zeros(output: object) -> object:
    """Returns what a denoiser would that predicts nothing."""
    if isinstance(output, Tensor):
        return torch.zeros_like(output)
    if isinstance(output, Transformer2DModelOutput):
        return Transformer2DModelOutput(sample=zeros(output.sample))  # pyright: ignore
    assert isinstance(output, list | tuple)
    parts = map(zeros, cast("Sequence[object]", output))
    return list(parts) if isinstance(output, list) else tuple(parts)


def test_each_row_is_what_the_stock_pipeline_says(name: str, pipe: TransparentPipeline) -> None:
    stock, row = pipe.pipeline, family_of(pipe.pipeline)[0]
    assert row is FAMILIES[tiny_variants.VARIANTS[name].family if name in tiny_variants.VARIANTS else name]
    assert (row.denoiser, pipe.denoiser) in stock.components.items()
    vae = stock.components["vae"]
    space = latent_space(vae)
    assert (row.vae, row.vae_scale_factor) == (type(vae).__name__, space.pixels_per_latent)
    scaled_as_released = row.name not in ("sd15", "sdxl")  # those of `tiny` share one VAE
    for told, factor in ((row.scaling_factor, space.scale), (row.shift_factor, space.shift)):
        assert told == (None if isinstance(factor, tuple) else factor) or not scaled_as_released
    assert pipe.model.stock.latent_channels == space.channels
    assert pipe.native_size == ((192, 192) if row.sized_as_called else (64, 64))  # all its positions
    known = inspect.signature(type(stock).__call__).parameters
    assert {*row.default_call_kwargs, "generator", "prompt"} <= set(known)
    if name == row.name:
        assert known["num_inference_steps"].default == row.sampling.num_inference_steps
        if row.guidance not in ("guider", "none"):
            assert known[row.guidance].default == row.sampling.guidance_scale


def test_our_latents_decode_to_the_stock_pipelines_image(
    name: str, pipe: TransparentPipeline, shown: Shown
) -> None:
    row, stock = family_of(pipe.pipeline)[0], pipe.model.stock.text_to_image()
    size: Size = {"height": 64, "width": 64} if row.vae_scale_factor == 32 else SIZE
    settings = Sampling(num_inference_steps=3, guidance_scale=row.sampling.guidance_scale)
    named = stock.text_to_image_inputs(shown)
    latents = stock.sample(one(), settings, {**size, **named})
    space = pipe.autoencoder.space
    sides = (size["height"], size["width"])
    assert latents.shape == (1, space.channels, *(side // space.pixels_per_latent for side in sides))
    assert callable(stock.pipeline)
    known = inspect.signature(stock.pipeline.__call__).parameters
    # as large as it was trained at, and no other; or drawn at random in the stock pipeline
    if row.sized_by != "call" or stock.variants.mean_of_control:
        return
    blank = {"image": torch.full((1, 3, 64, 96), 0.5), "mask_image": torch.ones(1, 1, 64, 96)}
    result = stock.pipeline(
        prompt="a cat",
        num_inference_steps=3,
        generator=[torch.Generator().manual_seed(3)],
        output_type="pt",
        **({"negative_prompt": ""} if "negative_prompt" in known else {}),
        **({row.guidance: row.sampling.guidance_scale} if row.guidance in known else {}),
        **{each: blank[each] for each in stock.variants.blank_images if each not in named},
        **{side: value for side, value in size.items() if side in known},
        **named,
        **row.default_call_kwargs,
        **stock.variants.call_kwargs,
    )
    whole = getattr(result, row.output)
    whole = whole[:, 0] if row.output == "frames" else whole
    torch.testing.assert_close(pipe.autoencoder.decode_opaque(latents), whole, rtol=0, atol=5e-4)
    assert whole.std() > 0.02


def test_packing_and_unpacking_give_the_latents_back(pipe: TransparentPipeline) -> None:
    stock, space = pipe.model.stock.text_to_image(), pipe.autoencoder.space
    latents = torch.randn(2, space.channels, 4, 6)
    sides = (4 * space.pixels_per_latent, 6 * space.pixels_per_latent)
    assert torch.equal(stock.unpack(stock.pack(latents), *sides), latents)


def test_a_seed_gives_the_same_bytes_in_any_company(
    pipe: TransparentPipeline, image: Made, shown: Shown
) -> None:
    alone = image(seed=4)
    assert image(seed=4).tobytes() == alone.tobytes()
    assert (image(seed=5) != alone).any()
    assert (image("x y z", seed=4) != alone).any()
    asked: GenerateKeywords = {"seed": [3, 4], "num_inference_steps": 3, "passes": 1, **SIZE}
    asked["pipeline_inputs"] = shown
    for batch_size, apart in ((None, 0), (2, 2)):
        asked["batch_size"] = batch_size
        scenes = pipe.generate(["x y z q", "a cat"], **asked)
        found = scenes[1].layers[0].image
        assert np.abs(found.astype(int) - alone).max() <= apart


def test_guidance_negative_prompts_and_callbacks_reach_the_stock_pipeline(
    name: str, pipe: TransparentPipeline, image: Made
) -> None:
    row, seen = family_of(pipe.pipeline)[0], list[int]()

    def note(_: DiffusionPipeline, step: int, __: object, values: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append(step)
        return values

    plain = image(pipeline_inputs={"callback_on_step_end": note})
    assert seen == [0, 1, 2]
    assert plain.tobytes() == image().tobytes()
    assert (image(guidance_scale=1.7) != plain).any() == (row.guidance != "none")
    variant = tiny_variants.VARIANTS.get(name)
    if name in ("flux2-klein", "dreamlite-mobile") or (variant and not variant.reads_negative):
        with pytest.raises(InputError, match="Expected no negative prompt with"):
            image(negative_prompt="fog")
    else:
        assert (image(negative_prompt="fog") != plain).any()
    if row.flow:
        with pytest.raises(InputError, match="trained by flow matching, found 'euler'"):
            image(scheduler="euler")
    elif pipe.model.stock.variants.own_scheduler:
        with pytest.raises(InputError, match="runs with its own kind alone"):
            image(scheduler="euler")
    else:
        assert image(scheduler="euler").shape == plain.shape


@pytest.mark.parametrize("size", [(1, 1), (50, 37)])
def test_any_size_comes_out_as_asked(image: Made, pipe: TransparentPipeline, size: tuple[int, int]) -> None:
    assert image(height=size[0], width=size[1]).shape == (*size, 4)
    smallest = pipe.autoencoder.pixels_per_latent * pipe.model.stock.latents_multiple
    assert pipe.model.size_multiple % smallest == 0


def test_an_image_is_noised_to_the_step_that_the_schedule_begins_at(
    pipe: TransparentPipeline, shown: Shown
) -> None:
    stock, known = pipe.model.stock.image_to_image(), pipe.encode(PICTURE)
    if stock.variants.image_to_image is not None:
        return  # the stock pipeline's own business, and `test_families` compares with it
    schedules: list[object] = []

    def note(running: DiffusionPipeline, *_: object) -> dict[str, Tensor]:
        schedules.append(running.scheduler)
        return {}

    # guidance that keeps the length of what is predicted makes 0 / 0 of it
    settings = Sampling(num_inference_steps=10, guidance_scale=1.0)
    sizes = {
        "height": known.shape[2] * stock.vae_scale_factor,
        "width": known.shape[3] * stock.vae_scale_factor,
    }
    handle = pipe.denoiser.register_forward_hook(lambda _, __, output: zeros(output))
    try:
        named = stock.text_to_image_inputs(shown)
        stock.sample(one(), settings, {**sizes, **named, "callback_on_step_end": note})
        more = {"image": known, "strength": 0.4, "callback_on_step_end": note, **shown}
        start = stock.sample(one(), settings, more)
    finally:
        handle.remove()
    whole, part = schedules[0], schedules[-1]
    assert len(schedules) == 10 + 4
    assert torch.equal(part.timesteps, whole.timesteps[-len(part.timesteps) :])  # pyright: ignore
    if not stock.family.flow:
        return
    drawn = torch.randn(known.shape, generator=torch.Generator().manual_seed(3))
    first = part.sigmas[0]  # pyright: ignore
    # without a flow, what comes out is what it started from
    torch.testing.assert_close(start, (1 - first) * known + first * drawn, rtol=1e-4, atol=1e-4)


def test_varying_keeps_the_image_at_strength_0_and_goes_further_with_strength(
    pipe: TransparentPipeline, shown: Shown
) -> None:
    kept = pipe.vary(PICTURE, "a cat", strength=0.0, pipeline_inputs=shown, **QUICK)
    assert (kept.layers[0].image == PICTURE).all()
    other = pipe.vary(PICTURE, "a cat", strength=1.0, pipeline_inputs=shown, **QUICK)
    assert other.layers[0].image.shape == PICTURE.shape
    stock, known = pipe.model.stock.image_to_image(), pipe.encode(PICTURE)
    settings = Sampling(num_inference_steps=20, guidance_scale=2.0)
    changes = [
        float((stock.sample(one(), settings, {"image": known, "strength": s, **shown}) - known).abs().mean())
        for s in (0.1, 0.8)
    ]
    assert 0 < changes[0] < changes[1]


def test_inpainting_changes_nothing_outside_and_something_inside(
    pipe: TransparentPipeline, shown: Shown
) -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 32:64] = 255
    found = pipe.inpaint(PICTURE, mask, "a cat", pipeline_inputs=shown, **QUICK).layers[0].image
    assert (found[mask == 0] == PICTURE[mask == 0]).all()
    assert (found[mask == 255] != PICTURE[mask == 255]).any()


def test_an_adapter_goes_in_and_comes_off(
    pipe: TransparentPipeline, image: Made, shown: Shown, tmp_path: Path
) -> None:
    base = image()
    before = {key: value.clone() for key, value in pipe.denoiser.state_dict().items()}
    first = next(key for key, value in pipe.denoiser.named_parameters() if value.numel() > 64)
    torch.manual_seed(5)
    save_file({first: torch.randn(before[first].shape)}, tmp_path / "own.safetensors")
    worn = pellucid.attach(pipe.pipeline, tmp_path / "own.safetensors", autoencoder=pipe.autoencoder)
    changed = worn.generate("a cat", seed=3, num_inference_steps=3, passes=1, **SIZE, pipeline_inputs=shown)
    assert (changed.layers[0].image != base).any()
    assert worn.detach() is pipe.pipeline
    after = pipe.denoiser.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert image().tobytes() == base.tobytes()
