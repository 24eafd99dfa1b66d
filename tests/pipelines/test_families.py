"""Every family's row is true of its stock pipeline, and the codec meets the model at the right latents."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Unpack
from unittest import mock

import numpy as np
import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from safetensors.torch import save_file

import pellucid
import tiny
import tiny_families
from building import QuickSeeded, Size, present
from pellucid.errors import InputError
from pellucid.pipelines.arguments import Request
from pellucid.pipelines.families import FAMILIES
from pellucid.pipelines.keywords import GenerateKeywords, RepaintKeywords, SamplingKeywords
from pellucid.pipelines.modes import MODES, Family, Mode, Sampling, Task
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.variants import family_of

SIZE: Size = {"height": 64, "width": 48}
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (64, 48, 4), np.uint8)
TRANSFORMERS = ("sd3", "flux", "pixart-alpha", "pixart-sigma")
WEIGHTS = {"sd21": "conv_in.weight", "sd3": "proj_out.weight", "flux": "x_embedder.weight"}
DECODED = 1e-4


def made(name: str) -> TransparentPipeline:
    stock = tiny_families.MADE[name]()
    codec = tiny.codec(stock.vae, FAMILIES[name].latent_channels)
    return pellucid.attach(stock, None, autoencoder=codec)


PIPES: dict[str, TransparentPipeline] = {}


@pytest.fixture(params=tiny_families.MADE)
def pipe(request: pytest.FixtureRequest) -> TransparentPipeline:
    return of(request.param)


def of(name: str) -> TransparentPipeline:
    """One pipeline a family; tests leave them as they were."""
    if name not in PIPES:
        PIPES[name] = made(name)
    return PIPES[name]


def image(
    pipe: TransparentPipeline, prompt: str = "a cat", **options: Unpack[GenerateKeywords]
) -> np.ndarray:
    asked: GenerateKeywords = {"num_inference_steps": 3, "seed": 3, "passes": 1, **SIZE}
    asked.update(options)
    return pipe.generate(prompt, **asked).layers[0].image


def varied(pipe: TransparentPipeline, **options: Unpack[RepaintKeywords]) -> np.ndarray:
    asked: RepaintKeywords = {"num_inference_steps": 4, "seed": 3, "passes": 1}
    asked.update(options)
    return pipe.vary(PICTURE, "a cat", **asked).layers[0].image


def one(seed: int = 3) -> list[Request]:
    return [Request(prompt="a cat", negative_prompt="", seed=seed)]


def test_each_row_is_what_the_stock_pipeline_says(pipe: TransparentPipeline) -> None:
    stock = pipe.pipeline
    row, config = family_of(stock)[0], stock.vae.config
    assert row is FAMILIES[pipe.model.single.family]
    assert row.vae == type(stock.vae).__name__
    assert row.latent_channels == config.latent_channels == pipe.model.stock.latent_channels
    assert row.scaling_factor == config.scaling_factor
    assert row.shift_factor == (config.shift_factor or 0.0)
    assert row.vae_scale_factor == stock.vae_scale_factor
    assert (row.denoiser, pipe.denoiser) in stock.components.items()
    assert row.flow == hasattr(stock.scheduler, "scale_noise")
    asked = {"num_inference_steps": 2, "output_type": "latent", **SIZE, **row.default_call_kwargs}
    assert callable(stock)
    held = stock("a cat", **asked).images
    if row.patch_size == 1:
        assert held.shape == (1, row.latent_channels, 8, 6)
    else:
        assert held.shape == (1, 48 // row.patch_size**2, row.latent_channels * row.patch_size**2)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_row_names_arguments_and_classes_that_exist(name: str) -> None:
    row = FAMILIES[name]
    for variants in row.variants:
        from_text, from_image = (
            getattr(import_module(f"diffusers.pipelines.{place[0]}.{place[1]}"), place[2]) if place else None
            for place in (variants.text_to_image, variants.image_to_image)
        )
        assert from_text is not None
        known = inspect.signature(from_text.__call__).parameters
        repainting = inspect.signature((from_image or from_text).__call__).parameters
        assert row.denoiser in inspect.signature(from_text.__init__).parameters
        assert set(row.default_call_kwargs) <= set(known)
        # those of FLUX that paint in masks or follow a control read no negative prompts at all
        assert row.negative_prompt_requires in {*known, None} or "negative_prompt" not in known
        starts = callable(getattr(from_text, "prepare_latents", None)) or "latents" in known
        assert {"image", "strength"} <= set(repainting) or starts
        assert set(variants.blank_images) <= set(known)
        assert "prompt" in known


def test_our_latents_decode_to_the_stock_pipelines_image(pipe: TransparentPipeline) -> None:
    stock, row = pipe.pipeline, family_of(pipe.pipeline)[0]
    settings = Sampling(num_inference_steps=3, guidance_scale=4.0)
    latents = pipe.model.stock.sample(one(), settings, SIZE)
    assert latents.shape == (1, row.latent_channels, 8, 6)
    assert callable(stock)
    whole = stock(
        ["a cat"],
        negative_prompt=[""],
        num_inference_steps=3,
        guidance_scale=4.0,
        generator=[torch.Generator().manual_seed(3)],
        output_type="pt",
        **SIZE,
        **row.default_call_kwargs,
    ).images
    torch.testing.assert_close(pipe.autoencoder.decode_opaque(latents), whole, rtol=0, atol=DECODED)
    assert whole.std() > 0.05


def test_our_scaled_latents_are_those_that_the_family_was_trained_on(pipe: TransparentPipeline) -> None:
    row, vae = family_of(pipe.pipeline)[0], pipe.pipeline.vae
    rgb = torch.rand(1, 3, 64, 48)
    with torch.no_grad():
        raw = vae.encode(rgb * 2 - 1).latent_dist.mean
    expected = (raw - row.shift_factor) * row.scaling_factor
    torch.testing.assert_close(pipe.autoencoder.encode_opaque(rgb), expected)


def test_packing_and_unpacking_give_the_latents_back(pipe: TransparentPipeline) -> None:
    latents = torch.randn(2, family_of(pipe.pipeline)[0].latent_channels, 6, 10)
    held = pipe.model.stock.pack(latents)
    assert torch.equal(pipe.model.stock.unpack(held, 48, 80), latents)
    assert held.ndim == (4 if pipe.model.stock.family.patch_size == 1 else 3)


def test_a_seed_gives_the_same_bytes_in_any_company(pipe: TransparentPipeline) -> None:
    alone = image(pipe, seed=4)
    assert image(pipe, seed=4).tobytes() == alone.tobytes()
    assert (image(pipe, seed=5) != alone).any()
    asked: QuickSeeded = {"seed": 3, "num_inference_steps": 3, "passes": 1}
    for batch_size, apart in ((None, 0), (4, 1)):
        scenes = pipe.generate(["x y z", "a cat"], count=2, batch_size=batch_size, **asked, **SIZE)
        found = scenes[3].layers[0].image
        assert np.abs(found.astype(int) - alone).max() <= apart


def test_the_prompt_and_guidance_reach_the_model(pipe: TransparentPipeline) -> None:
    plain = image(pipe)
    assert (image(pipe, "x y z") != plain).any()
    assert (image(pipe, guidance_scale=1.5) != plain).any()


@pytest.mark.parametrize("size", [(1, 1), (50, 37), (65, 3), (64, 80)])
def test_any_size_comes_out_as_asked(pipe: TransparentPipeline, size: tuple[int, int]) -> None:
    assert image(pipe, height=size[0], width=size[1], num_inference_steps=2).shape == (*size, 4)


def test_the_size_is_the_models_own_unless_asked(pipe: TransparentPipeline) -> None:
    assert pipe.native_size == (64, 64)
    assert pipe.model.size_multiple % (8 * pipe.model.stock.latents_multiple) == 0
    assert pipe.model.stock.latents_multiple == 2


def test_varying_at_strength_0_keeps_the_image_and_goes_further_with_strength(
    pipe: TransparentPipeline,
) -> None:
    kept = pipe.decode(pipe.encode(PICTURE), passes=1)
    assert (varied(pipe, strength=0.0) == PICTURE).all()
    change = [
        np.abs(
            varied(pipe, strength=s, num_inference_steps=20, guidance_scale=1.0) - kept.astype(float)
        ).mean()
        for s in (0.1, 0.6)
    ]
    assert 0 < change[0] < change[1]
    assert varied(pipe, strength=0.6).tobytes() == varied(pipe, strength=0.6).tobytes()
    assert varied(pipe, strength=1.0).shape == PICTURE.shape


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_varying_is_the_stock_image_to_image(name: str) -> None:
    pipe = of(name)
    stock, known = pipe.pipeline, pipe.encode(PICTURE)
    package, module, cls = present(family_of(stock)[1].image_to_image)
    other = getattr(import_module(f"diffusers.pipelines.{package}.{module}"), cls)(**stock.components)
    other.set_progress_bar_config(disable=True)
    expected = other(
        "a cat",
        image=known,
        strength=0.6,
        num_inference_steps=5,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(3),
        output_type="latent",
        **SIZE,
    ).images
    settings = Sampling(num_inference_steps=5, guidance_scale=4.0)
    inputs = {"image": known, "strength": 0.6}
    found = pipe.model.stock.image_to_image().sample(one(), settings, inputs)
    assert torch.equal(found, pipe.model.stock.unpack(expected, 64, 48))


@pytest.mark.parametrize("scheduler", [None, "dpm++-2m", "dpm++-2m-karras", "euler", "dpm++-2m-sde"])
def test_pixart_starts_from_the_image_noised_to_the_step(scheduler: str | None) -> None:
    pipe = of("pixart-alpha")
    known = pipe.encode(PICTURE)
    seen: list[tuple[torch.Tensor, int]] = []
    sigmas: list[torch.Tensor] = []
    stock = pipe.pipeline

    def watch(_: object, inputs: tuple[torch.Tensor, ...], options: dict[str, torch.Tensor]) -> None:
        seen.append((inputs[0][:1], int(options["timestep"][0])))

    def note(
        running: DiffusionPipeline, _: int, __: object, values: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        sigmas.append(running.scheduler.sigmas.clone())
        return values

    handle = stock.transformer.register_forward_pre_hook(watch, with_kwargs=True)
    settings = Sampling(num_inference_steps=10, guidance_scale=4.0, scheduler=scheduler)
    try:
        more = {"image": known, "strength": 0.4, "callback_on_step_end": note}
        pipe.model.stock.image_to_image().sample(one(), settings, more)
        partial, part = list(seen), sigmas[-1]
        seen.clear()
        pipe.model.stock.sample(one(), settings, {**SIZE, "callback_on_step_end": note})
    finally:
        handle.remove()
    assert [step for _, step in partial] == [step for _, step in seen[-4:]]
    torch.testing.assert_close(part, sigmas[-1][-5:])  # the last four steps' noise, and none
    noise, sigma = torch.randn(known.shape, generator=torch.Generator().manual_seed(3)), part[0]
    expected = (known + sigma * noise) / (1 + sigma**2) ** 0.5
    torch.testing.assert_close(partial[0][0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm", "euler-a", "unipc"])
def test_pixart_starts_from_an_image_with_any_scheduler(scheduler: str) -> None:
    pipe = of("pixart-sigma")
    found = varied(pipe, scheduler=scheduler, strength=0.6, num_inference_steps=6)
    assert (found != PICTURE).any()
    assert found.tobytes() == varied(pipe, scheduler=scheduler, strength=0.6, num_inference_steps=6).tobytes()


def test_inpainting_changes_nothing_outside_and_something_inside(pipe: TransparentPipeline) -> None:
    mask = np.zeros((64, 48), np.uint8)
    mask[:, 16:32] = 255
    asked: SamplingKeywords = {"seed": 3, "num_inference_steps": 4, "passes": 1}
    found = pipe.inpaint(PICTURE, mask, "a cat", **asked).layers[0].image
    assert (found[mask == 0] == PICTURE[mask == 0]).all()
    assert (found[mask == 255] != PICTURE[mask == 255]).any()
    last: list[torch.Tensor] = []
    decode = pipe.autoencoder.decode

    def watch(latent: torch.Tensor, *, passes: int) -> torch.Tensor:
        last.append(latent)
        return decode(latent, passes=passes)

    with mock.patch.object(pipe.autoencoder, "decode", watch):
        pipe.inpaint(PICTURE, mask, "a cat", **asked)
    known = pipe.encode(PICTURE)
    torch.testing.assert_close(last[0][..., [0, 1, 4, 5]], known[..., [0, 1, 4, 5]])
    assert (last[0][..., 2:4] - known[..., 2:4]).abs().min() > 0


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_flow_matching_keeps_what_is_outside_at_the_noise_of_each_step(name: str) -> None:
    pipe = of(name)
    stock, known = pipe.pipeline, pipe.encode(PICTURE)
    mask = np.zeros((64, 48), np.uint8)
    mask[:, 16:32] = 255
    seen: list[torch.Tensor] = []
    sigmas: list[torch.Tensor] = []

    def watch(_: object, inputs: object, options: dict[str, torch.Tensor]) -> None:
        seen.append(pipe.model.stock.unpack(options["hidden_states"][:1], 64, 48))

    def note(running: DiffusionPipeline, *_: object) -> dict[str, torch.Tensor]:
        sigmas[:] = running.scheduler.sigmas
        return {}

    handle = stock.transformer.register_forward_pre_hook(watch, with_kwargs=True)
    try:
        asked: QuickSeeded = {"seed": 3, "num_inference_steps": 4, "passes": 1}
        more = {"callback_on_step_end": note}
        pipe.inpaint(PICTURE, mask, "a cat", guidance_scale=1.0, pipeline_inputs=more, **asked)
    finally:
        handle.remove()
    noise = torch.randn(known.shape, generator=torch.Generator().manual_seed(0))
    for now, sigma in list(zip(seen, sigmas, strict=False))[1:]:
        expected = (1 - sigma) * known + sigma * noise
        torch.testing.assert_close(now[..., [0, 1, 4, 5]], expected[..., [0, 1, 4, 5]], rtol=1e-4, atol=1e-4)
    assert len(seen) == 4


def test_what_repaints_by_the_way_does_so_here_too(
    pipe: TransparentPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pellucid.pipelines.single_layer.THRESHOLD", 0.0)  # every backdrop is mended
    asked: SamplingKeywords = {"seed": 3, "num_inference_steps": 4, "passes": 1, "guidance_scale": 1.0}
    plain = image(pipe, **asked)
    assert (image(pipe, fix_background=True, **asked) != plain).any()
    assert (image(pipe, hires_strength=0.5, **asked) != plain).any()
    assert pipe.upscale(PICTURE, "a cat", scale=1.3, strength=0.5, **asked).layers[0].image.shape == (
        83,
        62,
        4,
    )


def test_an_adapters_differences_go_into_the_denoiser_and_come_off(
    tmp_path: Path, pipe: TransparentPipeline
) -> None:
    stock, base = pipe.pipeline, image(pipe)
    before = {key: value.clone() for key, value in pipe.denoiser.state_dict().items()}
    name = WEIGHTS.get(pipe.model.single.family, "pos_embed.proj.weight")
    torch.manual_seed(5)
    save_file({name: torch.randn(before[name].shape) * 0.3}, tmp_path / "own.safetensors")
    for strength, same in ((0.0, True), (1.0, False)):
        worn = pellucid.attach(
            stock, tmp_path / "own.safetensors", strength=strength, autoencoder=pipe.autoencoder
        )
        assert (image(worn) == base).all() == same
        assert worn.model.single.name == "own"
        assert worn.detach() is stock
    after = pipe.denoiser.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_an_image_to_image_pipeline_generates_too(name: str) -> None:
    pipe = of(name)
    package, module, cls = present(family_of(pipe.pipeline)[1].image_to_image)
    other = getattr(import_module(f"diffusers.pipelines.{package}.{module}"), cls)(**pipe.pipeline.components)
    other.set_progress_bar_config(disable=True)
    found = image(pellucid.attach(other, None, autoencoder=pipe.autoencoder))
    assert found.tobytes() == image(pipe).tobytes()


def test_flux_reads_negative_prompts_only_with_true_guidance() -> None:
    pipe = of("flux")
    with pytest.raises(InputError, match="true_cfg_scale is above 1"):
        image(pipe, negative_prompt="fog")
    true = {"true_cfg_scale": 3.0}
    found = [image(pipe, negative_prompt=text, pipeline_inputs=true) for text in ("fog", "x")]
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("name", ["sd21", "sd3", "pixart-alpha", "pixart-sigma"])
def test_negative_prompts_are_read(name: str) -> None:
    pipe = of(name)
    assert (image(pipe, negative_prompt="fog") != image(pipe)).any()


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_named_schedulers_are_not_for_flow_matching(name: str) -> None:
    with pytest.raises(InputError, match="trained by flow matching, found 'euler'"):
        image(of(name), scheduler="euler")


def test_v_prediction_stays_with_any_scheduler() -> None:
    pipe = of("sd21")
    own = pipe.pipeline.scheduler
    ddim = image(pipe, scheduler="ddim")
    assert (ddim == image(pipe)).all()
    pipe.pipeline.scheduler = type(own).from_config(own.config, prediction_type="epsilon")
    assert (image(pipe) != ddim).any()
    pipe.pipeline.scheduler = own


def test_sd15_layer_files_are_not_offered_to_others(pipe: TransparentPipeline) -> None:
    assert set(pipe.tasks) == {"foreground"}
    with pytest.raises(InputError, match="adapter for joint, found one for none"):
        pipe.joint("a", "b")
    with pytest.raises(InputError, match="which is for sd15"):
        pellucid.attach(pipe.pipeline, "sd15-attn", autoencoder=pipe.autoencoder)
    with pytest.raises(InputError, match=r"which is for sdxl|Nobody has released files"):
        pellucid.attach(pipe.pipeline)
    with pytest.raises(InputError, match=r"train a codec .*`pellucid train autoencoder`"):
        pellucid.attach(pipe.pipeline, None)


def test_an_unknown_width_of_text_is_of_the_first_family() -> None:
    assert family_of(tiny.sd15())[0].name == "sd15"
    assert family_of(tiny.sdxl())[0].name == "sdxl"


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_layer_modes_that_need_a_unet_are_refused(name: Family) -> None:
    pipe = of(name)
    hinted = next(
        mode for mode in MODES.values() if any(c.entry == "attention-hint" for c in mode.conditions)
    )
    with pytest.raises(InputError, match=f"without hints to attentions .* found {hinted.name}"):
        pellucid.attach(pipe.pipeline, None, autoencoder=pipe.autoencoder, layers={"joint": (hinted,)})
    plain = Mode(
        name="plain", title="opaque", family=name, adapter=None, outputs=MODES["mini-opaque"].outputs
    )
    tasks: dict[Task, tuple[Mode, ...]] = {"joint": (pipe.model.single, plain)}
    other = pellucid.attach(pipe.pipeline, None, autoencoder=pipe.autoencoder, layers=tasks)
    scene = other.joint("a", "b", seed=1, num_inference_steps=2, passes=1, **SIZE)
    assert [layer.name for layer in scene.layers] == ["background", "a"]


def test_a_codec_over_another_vae_is_refused() -> None:
    stock, flux = of("sd3").pipeline, of("flux")
    with pytest.raises(InputError, match=r"scaling_factor 0.3611 for 1.5305, shift_factor 0.1159 for 0.0609"):
        pellucid.attach(stock, None, autoencoder=flux.autoencoder)
    with pytest.raises(InputError, match="AlphaDecoder 4 for 16"):
        pellucid.attach(stock, None, autoencoder=tiny.codec(stock.vae, 4))


def test_wrong_asks_are_explained() -> None:
    pixart, sd3 = of("pixart-alpha"), of("sd3")
    for call, words in [
        (lambda: image(sd3, height=400), "at most 384 pixels a side"),
        (lambda: image(pixart, num_inference_steps=1), "Expected 2 steps or more"),
        (lambda: pixart.decode(torch.zeros(1, 16, 8, 8)), r"\(1, 4, h, w\)"),
    ]:
        with pytest.raises(InputError, match=words):
            call()


@pytest.mark.parametrize("name", ["sd21", "sd3", "flux", "pixart-sigma"])
def test_a_folder_with_its_codec_loads_and_without_is_explained(tmp_path: Path, name: str) -> None:
    pipe = of(name)
    pipe.pipeline.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="Nobody has released files for it"):
        pellucid.load(tmp_path)
    for part in ("offset_encoder", "alpha_decoder"):
        getattr(pipe.autoencoder, part).save_pretrained(tmp_path / "rgba" / part)
    (tmp_path / "rgba" / "convention.json").write_text('{"convention": "forge"}')
    found = pellucid.load(tmp_path)
    assert found.model.single.sampling.passes == 8  # released codecs learned all orientations
    (tmp_path / "rgba" / "convention.json").write_text('{"convention": "embedded"}')
    assert pellucid.load(tmp_path).model.single.sampling.passes == 1
    again = image(found).astype(int)
    assert np.abs(again - image(pipe)).max() <= 1  # weights lie elsewhere in memory, sums may round otherwise
