"""Families since FLUX.1: the codec meets the model at its latents, from text, from an image, inside a mask."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from safetensors.torch import save_file

import pellucid
import tiny_newer_families
import tiny_vaes
from pellucid.errors import InputError
from pellucid.models.latent_space import latent_space
from pellucid.pipelines.arguments import Request
from pellucid.pipelines.families import FAMILIES
from pellucid.pipelines.keywords import SamplingKeywords
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.stock import family_of

SIZE = {"height": 64, "width": 96}
QUICK = {"num_inference_steps": 3, "seed": 3, "passes": 1}
PICTURE = np.random.default_rng(0).integers(0, 256, (64, 96, 4), np.uint8)
PIPES: dict[str, TransparentPipeline] = {}


def of(name: str) -> TransparentPipeline:
    """One pipeline a kind; tests leave them as they were."""
    if name not in PIPES:
        stock = tiny_newer_families.made(name)
        PIPES[name] = pellucid.attach(stock, None, autoencoder=tiny_vaes.codec_over(stock.components["vae"]))
    return PIPES[name]


@pytest.fixture(params=tiny_newer_families.BUILDERS)
def pipe(request: pytest.FixtureRequest) -> TransparentPipeline:
    return of(request.param)


def image(pipe: TransparentPipeline, prompt: str = "a cat", **options: object) -> np.ndarray:
    return pipe.generate(prompt, **{**QUICK, **SIZE, **options}).layers[0].image  # pyright: ignore


def requests(*texts: str) -> list[Request]:
    return [Request(prompt=text, negative_prompt="", seed=3 + i) for i, text in enumerate(texts)]


def test_each_row_is_what_the_stock_pipeline_says(pipe: TransparentPipeline) -> None:
    stock, row = pipe.pipeline, family_of(pipe.pipeline)[0]
    assert FAMILIES[row.name] is row
    assert (row.denoiser, pipe.denoiser) in stock.components.items()
    vae = stock.components["vae"]
    assert row.vae == type(vae).__name__
    space = latent_space(vae)
    assert row.vae_scale_factor == space.pixels_per_latent
    for known, factor in ((row.scaling_factor, space.scale), (row.shift_factor, space.shift)):
        assert known == (None if isinstance(factor, tuple) else factor)
    assert callable(stock)
    known = inspect.signature(stock.__call__).parameters
    assert {*row.default_call_kwargs, "generator", "callback_on_step_end"} <= set(known)
    assert known["num_inference_steps"].default == row.sampling.num_inference_steps
    if row.guidance != "guider":
        assert known[row.guidance].default == row.sampling.guidance_scale


def test_our_latents_decode_to_the_stock_pipelines_image(pipe: TransparentPipeline) -> None:
    row = family_of(pipe.pipeline)[0]
    settings = Sampling(num_inference_steps=3, guidance_scale=row.sampling.guidance_scale)
    latents = pipe.model.stock.sample(requests("a cat"), settings, SIZE)
    space = pipe.autoencoder.space
    assert latents.shape == (1, space.channels, *(side // space.pixels_per_latent for side in SIZE.values()))
    named = {"negative_prompt": ""} if row.name not in ("flux2", "flux2-klein") else {}
    assert callable(pipe.pipeline)
    result = pipe.pipeline(
        prompt="a cat",
        num_inference_steps=3,
        generator=[torch.Generator().manual_seed(3)],
        output_type="pt",
        **named,
        **SIZE,
        **row.default_call_kwargs,
    )
    whole = getattr(result, row.output)
    whole = whole[:, 0] if row.output == "frames" else whole
    torch.testing.assert_close(pipe.autoencoder.decode_opaque(latents), whole, rtol=0, atol=3e-4)
    assert whole.std() > 0.02


def test_packing_and_unpacking_give_the_latents_back(pipe: TransparentPipeline) -> None:
    stock, space = pipe.model.stock, pipe.autoencoder.space
    latents = torch.randn(2, space.channels, 4, 6)
    sides = (4 * space.pixels_per_latent, 6 * space.pixels_per_latent)
    assert torch.equal(stock.unpack(stock.pack(latents), *sides), latents)
    assert stock.latent_channels == space.channels


def test_a_seed_gives_the_same_bytes_in_any_company(pipe: TransparentPipeline) -> None:
    alone = image(pipe, seed=4)
    assert image(pipe, seed=4).tobytes() == alone.tobytes()
    assert (image(pipe, seed=5) != alone).any()
    assert (image(pipe, "x y z", seed=4) != alone).any()
    for batch_size, apart in ((None, 0), (2, 1)):
        scenes = pipe.generate(["x y z q", "a cat"], batch_size=batch_size, **{**QUICK, **SIZE, "seed": [3, 4]})  # pyright: ignore
        found = scenes[1].layers[0].image
        assert np.abs(found.astype(int) - alone).max() <= apart


def test_guidance_and_callbacks_reach_the_stock_pipeline(pipe: TransparentPipeline) -> None:
    seen: list[int] = []

    def note(_: DiffusionPipeline, step: int, __: object, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        seen.append(step)
        return values

    plain = image(pipe, pipeline_inputs={"callback_on_step_end": note})
    assert seen == [0, 1, 2]
    assert plain.tobytes() == image(pipe).tobytes()
    assert (image(pipe, guidance_scale=1.7) != plain).any()
    if family_of(pipe.pipeline)[0].name.startswith("flux2"):
        with pytest.raises(InputError, match=r"no negative prompt with Flux2\w*Pipeline, which reads none"):
            image(pipe, negative_prompt="fog")
    else:
        assert (image(pipe, negative_prompt="fog") != plain).any()
    with pytest.raises(InputError, match="trained by flow matching, found 'euler'"):
        image(pipe, scheduler="euler")


@pytest.mark.parametrize("size", [(1, 1), (50, 37), (64, 80)])
def test_any_size_comes_out_as_asked(pipe: TransparentPipeline, size: tuple[int, int]) -> None:
    assert image(pipe, height=size[0], width=size[1], num_inference_steps=2).shape == (*size, 4)
    assert pipe.model.size_multiple == pipe.autoencoder.pixels_per_latent * pipe.model.stock.latents_multiple


def zeros(output: object) -> object:
    """Returns what a denoiser would that predicts nothing."""
    if isinstance(output, torch.Tensor):
        return torch.zeros_like(output)
    assert isinstance(output, list | tuple)
    return type(output)(zeros(each) for each in output)


def test_an_image_is_noised_to_the_step_that_the_schedule_begins_at(pipe: TransparentPipeline) -> None:
    stock, known = pipe.model.stock, pipe.encode(PICTURE)
    sigmas: list[torch.Tensor] = []

    def note(running: DiffusionPipeline, *_: object) -> dict[str, torch.Tensor]:
        sigmas.append(running.scheduler.sigmas.clone())
        return {}

    settings = Sampling(num_inference_steps=10, guidance_scale=1.0)
    handle = pipe.denoiser.register_forward_hook(lambda _, __, output: zeros(output))
    try:
        noise = stock.sample(requests("a cat"), settings, {**SIZE, "callback_on_step_end": note})
        more = {"image": known, "strength": 0.4, "callback_on_step_end": note}
        start = stock.image_to_image().sample(requests("a cat"), settings, more)
    finally:
        handle.remove()
    assert len(sigmas) == 10 + 4
    torch.testing.assert_close(sigmas[-1], sigmas[0][-5:])
    drawn = torch.randn(known.shape, generator=torch.Generator().manual_seed(3))
    first = sigmas[-1][0]
    torch.testing.assert_close(start, (1 - first) * known + first * drawn, rtol=1e-4, atol=1e-4)
    assert noise.std() > 0.5


def test_varying_keeps_the_image_at_strength_0_and_goes_further_with_strength(pipe: TransparentPipeline) -> None:
    asked: SamplingKeywords = {"num_inference_steps": 2, "seed": 3, "passes": 1}
    assert (pipe.vary(PICTURE, "a cat", strength=0.0, **asked).layers[0].image == PICTURE).all()
    assert pipe.vary(PICTURE, "a cat", strength=1.0, **asked).layers[0].image.shape == PICTURE.shape
    stock, known = pipe.model.stock.image_to_image(), pipe.encode(PICTURE)
    settings = Sampling(num_inference_steps=20, guidance_scale=1.0)
    changes = [
        float((stock.sample(requests("a cat"), settings, {"image": known, "strength": s}) - known).abs().mean())
        for s in (0.1, 0.7)
    ]
    assert 0 < changes[0] < changes[1]


def test_inpainting_changes_nothing_outside_and_something_inside(pipe: TransparentPipeline) -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 32:64] = 255
    found = pipe.inpaint(PICTURE, mask, "a cat", **{**QUICK, "num_inference_steps": 4}).layers[0].image  # pyright: ignore
    assert (found[mask == 0] == PICTURE[mask == 0]).all()
    assert (found[mask == 255] != PICTURE[mask == 255]).any()


def test_an_adapter_goes_in_and_comes_off(pipe: TransparentPipeline, tmp_path: Path) -> None:
    base = image(pipe)
    before = {key: value.clone() for key, value in pipe.denoiser.state_dict().items()}
    name = next(key for key, value in before.items() if value.ndim == 2 and "to_q" in key)
    save_file({name: torch.randn(before[name].shape)}, tmp_path / "own.safetensors")
    worn = pellucid.attach(pipe.pipeline, tmp_path / "own.safetensors", autoencoder=pipe.autoencoder)
    assert (image(worn) != base).any()
    assert worn.detach() is pipe.pipeline
    after = pipe.denoiser.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert image(pipe).tobytes() == base.tobytes()
