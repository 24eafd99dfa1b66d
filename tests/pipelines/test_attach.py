"""Stock pipelines made transparent: same weights after, same bytes for a seed, any size."""

from pathlib import Path
from typing import Unpack

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from safetensors.torch import save_file

import pellucid
import tiny
from building import QuickSeeded, Size, build, present
from pellucid.errors import InputError, WeightsError
from pellucid.pipelines.background_check import THRESHOLD, background_distance
from pellucid.pipelines.keywords import GenerateKeywords
from pellucid.pipelines.modes import MODES
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.schedulers import SCHEDULERS
from pellucid.rgba.resizing import fit_rgba
from pellucid.rgba.snapping import fit_snapped
from pellucid.scene.scene import Scene
from pellucid.weights.catalog import get

STEPS = 3


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def pipe(request: pytest.FixtureRequest) -> TransparentPipeline:
    pipeline = getattr(tiny, request.param)()
    return pellucid.attach(pipeline, None, autoencoder=tiny.codec(pipeline.vae))


@pytest.fixture(scope="module")
def sd15() -> TransparentPipeline:
    pipeline = tiny.sd15()
    return pellucid.attach(pipeline, None, autoencoder=tiny.codec(pipeline.vae))


def image(
    pipe: TransparentPipeline, prompt: str = "a cat", **options: Unpack[GenerateKeywords]
) -> np.ndarray:
    settings: GenerateKeywords = {"num_inference_steps": STEPS, "seed": 3, "passes": 1}
    settings.update(options)
    scene = pipe.generate(prompt, **settings)
    return scene.layers[0].image


def levels_apart(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def delta_file(
    pipe: StableDiffusionPipeline | StableDiffusionXLPipeline, folder: Path, scale: float = 0.3
) -> Path:
    name = "conv_in.weight"
    torch.manual_seed(5)
    shape = pipe.unet.get_parameter(name).shape
    save_file({name: torch.randn(shape) * scale}, folder / "delta.safetensors")
    return folder / "delta.safetensors"


def test_a_seed_gives_the_same_bytes(pipe: TransparentPipeline) -> None:
    assert image(pipe).tobytes() == image(pipe).tobytes()
    assert levels_apart(image(pipe), image(pipe, seed=4)) > 1


def test_company_in_the_batch_changes_no_byte_by_default(pipe: TransparentPipeline) -> None:
    alone = image(pipe, seed=4)
    scenes = pipe.generate(["x y z", "a cat"], count=2, seed=3, num_inference_steps=STEPS, passes=1)
    assert scenes[3].layers[0].image.tobytes() == alone.tobytes()


def test_company_in_a_larger_batch_changes_at_most_one_level(pipe: TransparentPipeline) -> None:
    alone = image(pipe, seed=4)
    scenes = pipe.generate(
        ["x y z", "a cat"], count=2, seed=3, num_inference_steps=STEPS, passes=1, batch_size=4
    )
    assert levels_apart(scenes[3].layers[0].image, alone) <= 1


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (50, 37), (65, 3), (127, 33)])
def test_any_size_comes_out_as_asked(sd15: TransparentPipeline, size: tuple[int, int]) -> None:
    assert image(sd15, height=size[0], width=size[1]).shape == (*size, 4)


def test_an_odd_size_is_the_middle_of_the_padded_one(sd15: TransparentPipeline) -> None:
    whole, part = image(sd15, height=64, width=64), image(sd15, height=50, width=52)
    assert (whole[7:57, 6:58] == part).all()


def test_one_prompt_is_a_scene_and_more_are_a_list(sd15: TransparentPipeline) -> None:
    assert isinstance(sd15.generate("a", num_inference_steps=1), pellucid.Scene)
    two = sd15.generate("a", count=2, seed=8, num_inference_steps=1)
    assert isinstance(two, list)
    assert [present(scene.provenance).seed for scene in two] == [8, 9]
    listed = sd15.generate(["a", "b"], seed=[5, 1], count=2, num_inference_steps=1)
    assert [(present(s.provenance).prompt, present(s.provenance).seed) for s in listed] == [
        ("a", 5),
        ("a", 6),
        ("b", 1),
        ("b", 2),
    ]
    assert isinstance(sd15.generate(["a"], num_inference_steps=1), list)


@pytest.mark.parametrize(
    "prompt", ["", "qwrtz 123", "🐈‍⬛", "стеклянная бутылка", "x " * 5000, "a" * 10_000, "\ud800"]
)
def test_any_text_is_an_image_and_prints_nothing(
    sd15: TransparentPipeline, prompt: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert image(sd15, prompt, num_inference_steps=1).shape == (64, 64, 4)
    assert capfd.readouterr().out == ""  # diffusers may log what of a long text it cuts


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_samples_and_is_given_back(sd15: TransparentPipeline, name: str) -> None:
    own = sd15.pipeline.scheduler
    found = image(sd15, scheduler=name, num_inference_steps=4)
    assert found.std() > 0
    assert image(sd15, scheduler=name, num_inference_steps=4).tobytes() == found.tobytes()
    assert sd15.pipeline.scheduler is own


def test_a_saved_file_tells_how_it_was_made(sd15: TransparentPipeline, tmp_path: Path) -> None:
    scene = sd15.generate(
        "a cat 🐈", seed=7, negative_prompt="dog", num_inference_steps=2, guidance_scale=3.0
    )
    found = present(pellucid.Scene.open(scene.save(tmp_path / "x.png")).layers[0].provenance)
    assert (found.prompt, found.negative_prompt, found.seed) == ("a cat 🐈", "dog", 7)
    assert (found.steps, found.guidance, found.version) == (2, 3.0, pellucid.__version__)
    assert found.model
    assert found.mode == "custom"
    assert found.extra["scheduler"] == "DDIMScheduler"


def test_tiles_cut_only_what_is_larger(sd15: TransparentPipeline) -> None:
    small, large = image(sd15), image(sd15, height=192, width=256)
    sd15.enable_tiling(128)
    assert image(sd15).tobytes() == small.tobytes()
    tiled = image(sd15, height=192, width=256)
    assert tiled.shape == large.shape
    assert 0 < np.abs(tiled.astype(int) - large).mean() < 32  # untrained norms see a tile each
    sd15.disable_tiling()
    assert image(sd15, height=192, width=256).tobytes() == large.tobytes()
    with pytest.raises(InputError, match="steps of 64"):
        sd15.enable_tiling(100)


def test_detach_gives_the_weights_back_bit_for_bit(tmp_path: Path) -> None:
    pipeline = tiny.sdxl()
    before = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
    vae = pipeline.components["vae"]
    pipe = pellucid.attach(pipeline, delta_file(pipeline, tmp_path), autoencoder=tiny.codec(vae))
    assert not torch.equal(pipeline.unet.get_parameter("conv_in.weight"), before["conv_in.weight"])
    assert pipe.detach() is pipeline
    after = pipeline.unet.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_an_adapter_of_strength_0_is_the_base(tmp_path: Path) -> None:
    pipeline = tiny.sd15()
    codec = tiny.codec(pipeline.vae)
    base = image(pellucid.attach(pipeline, None, autoencoder=codec))
    path = delta_file(pipeline, tmp_path)
    off = pellucid.attach(pipeline, path, strength=0.0, autoencoder=codec)
    assert image(off).tobytes() == base.tobytes()
    off.detach()
    full = pellucid.attach(pipeline, path, autoencoder=codec)
    assert image(full).tobytes() != base.tobytes()
    full.detach()


def test_varying_at_strength_0_keeps_every_byte(pipe: TransparentPipeline) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (50, 37, 4), np.uint8)
    kept = pipe.vary(rgba, "a cat", strength=0.0, seed=1, num_inference_steps=4)
    assert (kept.layers[0].image == rgba).all()
    assert present(kept.provenance).prompt == "a cat"


def test_varying_goes_further_with_strength(pipe: TransparentPipeline) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    kept = pipe.decode(pipe.encode(rgba)).astype(float)
    change = [
        np.abs(
            pipe.vary(rgba, "a cat", strength=s, seed=1, num_inference_steps=20).layers[0].image - kept
        ).mean()
        for s in (0.05, 0.5)
    ]
    assert 0 < change[0] < change[1]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((9, 5), np.uint8),
        np.zeros((9, 5, 3), np.uint8),
        np.ones((9, 5, 4), np.float32),
        np.full((9, 5, 4), 65535, np.uint16),
    ],
)
def test_any_image_can_be_varied(sd15: TransparentPipeline, image: np.ndarray) -> None:
    scene = sd15.vary(image, "a cat", seed=1, num_inference_steps=2)
    assert scene.layers[0].image.shape == (9, 5, 4)


def test_pillow_images_of_any_mode_can_be_varied(sd15: TransparentPipeline) -> None:
    from PIL import Image

    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
        scene = sd15.vary(Image.new(mode, (5, 9)), "a", seed=1, num_inference_steps=2, strength=0.5)
        assert (scene.height, scene.width) == (9, 5)


def test_an_image_to_image_pipeline_generates_too() -> None:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import (
        StableDiffusionImg2ImgPipeline,
    )

    stock = tiny.sd15()
    other = StableDiffusionImg2ImgPipeline(**stock.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    codec = tiny.codec(stock.vae)
    found = image(pellucid.attach(other, None, autoencoder=codec))
    assert found.tobytes() == image(pellucid.attach(stock, None, autoencoder=codec)).tobytes()


def test_a_large_image_in_two_steps_is_the_small_one_enlarged_and_repainted(
    pipe: TransparentPipeline,
) -> None:
    size: Size = {"height": 130, "width": 111}
    small = pipe.generate("a cat", seed=3, num_inference_steps=STEPS, passes=1, height=69, width=59)
    enlarged = fit_snapped(small.layers[0].image, 130, 111, "stretch")
    wanted = pipe.vary(enlarged, "a cat", strength=0.4, seed=3, num_inference_steps=STEPS, passes=1)
    found = pipe.generate("a cat", seed=3, num_inference_steps=STEPS, passes=1, hires_strength=0.4, **size)
    assert present(found.provenance).extra["strength"] == 0.4
    assert (found.layers[0].image == wanted.layers[0].image).all()
    assert (found.layers[0].image != image(pipe, **size)).any()


def test_wrong_surroundings_are_measured_and_made_again_with_a_clear_frame(
    sd15: TransparentPipeline,
) -> None:
    settings: QuickSeeded = {"seed": 3, "num_inference_steps": 6, "passes": 1}
    plain, mended = (
        sd15.generate("a cat", **settings),
        sd15.generate("a cat", fix_background=True, **settings),
    )
    clear = sd15.encode(np.zeros((64, 64, 4), np.uint8))
    distance = present(mended.provenance).extra["backdrop"]
    assert isinstance(distance, float)
    assert distance > THRESHOLD  # an untrained model paints anything
    assert (mended.layers[0].image != plain.layers[0].image).any()
    found: list[torch.Tensor] = []

    def keep(_: object, step: int, __: object, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        found.append(values["latents"])
        return values

    inputs = {"callback_on_step_end": keep}
    sd15.generate("a cat", fix_background=True, pipeline_inputs=inputs, **settings)
    assert len(found) == 6 + 4  # the first try's, and the remedy's, whose own callback comes after
    image = mended.layers[0].image
    kept = sd15.decode(clear, passes=1)
    assert levels_apart(image[:2, :2], kept[:2, :2]) < levels_apart(image[24:40, 24:40], kept[24:40, 24:40])


def test_the_embedded_models_clear_image_is_on_its_grey_and_an_opaque_one_is_not() -> None:
    pipe = pellucid.load()
    clear, opaque = np.zeros((128, 128, 4), np.uint8), np.full((128, 128, 4), 255, np.uint8)
    assert background_distance(pipe.autoencoder, pipe.encode(clear)) < THRESHOLD / 3
    assert background_distance(pipe.autoencoder, pipe.encode(opaque)) > 0.4
    half = clear.copy()
    half[:, :60] = 255  # a subject may touch less than half of the frame
    assert background_distance(pipe.autoencoder, pipe.encode(half)) < THRESHOLD


def test_upscaling_at_strength_0_only_resamples(sd15: TransparentPipeline, tmp_path: Path) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (20, 31, 4), np.uint8)
    found = sd15.upscale(rgba, scale=1.5, strength=0.0, seed=1, num_inference_steps=2)
    assert (found.layers[0].image == fit_rgba(rgba, 30, 46, "stretch")).all()
    same = sd15.upscale(rgba, scale=1.0, strength=0.0)
    assert (same.layers[0].image == rgba).all()
    two = sd15.upscale(rgba, "a", count=2, num_inference_steps=4)
    assert isinstance(two, list)
    assert two[1].height == 40
    path = Scene.of(rgba, provenance={"prompt": "a cat"}).save(tmp_path / "cat.png")
    for image in (path, Scene.open(path)):
        assert present(sd15.upscale(image, strength=0.0).provenance).prompt == "a cat"
    assert present(sd15.upscale(path, "a dog", strength=0.0).provenance).prompt == "a dog"


def test_wrong_arguments_are_explained(sd15: TransparentPipeline) -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    for call, words in [
        (lambda: sd15.generate([]), "at least one prompt"),
        (lambda: sd15.generate("a", height=0), "size of 1 to"),
        (lambda: sd15.generate("a", width=10**9), "size of 1 to"),
        (lambda: sd15.generate("a", num_inference_steps=0), "1 to 999 steps"),
        (lambda: sd15.generate("a", count=0), "count of 1"),
        (lambda: sd15.generate("a", seed=-1), "seed of 0"),
        (lambda: sd15.generate("a", seed=[1, 2, 3]), "1 seeds"),
        (lambda: sd15.generate("a", guidance_scale=float("nan")), "guidance of 0"),
        (lambda: sd15.generate("a", batch_size=0), "batch size of 1"),
        (lambda: sd15.generate("a", scheduler="eular"), "euler-a"),
        (lambda: sd15.generate("a", passes=9), "1, 2, 4 or 8 passes"),
        (lambda: sd15.generate(["a", "b"], negative_prompt=["c", "d", "e"]), "negative prompt or 2"),
        (lambda: sd15.vary(rgba, "a", strength=1.5), "strength of 0 to 1"),
        (lambda: sd15.vary(rgba[..., :2], "a"), "shape"),
        (lambda: sd15.vary(3, "a"), "array, PIL image or path"),
        (lambda: sd15.upscale(rgba, scale=0), "scale above 0"),
        (lambda: sd15.upscale(rgba, scale=1e9), "size of 1 to"),
        (lambda: sd15.generate("a", hires_strength=1.5), "strength of 0 to 1"),
        (lambda: sd15.decode(torch.zeros(2, 4, 8, 8)), "found \\(2, 4, 8, 8\\)"),
        (lambda: pellucid.attach(sd15.pipeline, "sdxl-atn"), "sdxl-attn"),
        (lambda: pellucid.attach(sd15.pipeline, None), "autoencoder"),
        (lambda: pellucid.attach(sd15.pipeline, "sd15-attn", strength=3.0), "strength of 0 to 2"),
        (
            lambda: build(pellucid.attach, pipeline=object(), adapter=None),
            "Expected a pipeline of a family in docs",
        ),
    ]:
        with pytest.raises(InputError, match=words):
            call()


def test_an_absent_adapter_file_is_an_error_of_weights(sd15: TransparentPipeline) -> None:
    with pytest.raises(WeightsError, match="found no file"):
        pellucid.attach(sd15.pipeline, "no.safetensors", autoencoder=sd15.autoencoder)


def test_every_mode_names_checkpoints_that_exist() -> None:
    for mode in MODES.values():
        if mode.family != "mini":
            codec = present(mode.codec)
            names = (mode.adapter, codec.offset_encoder, codec.alpha_decoder)
            assert [get(str(name)).base for name in names] == [mode.family] * 3
            row = get(str(mode.adapter))
            n_concat = sum(condition.entry == "channel-concat" for condition in mode.conditions)
            assert row.in_channels == 4 + 4 * n_concat
            assert row.control == any(each.entry == "attention-hint" for each in mode.conditions)
            assert row.kind != "attention_sharing" or row.frames == len(mode.outputs)


def test_a_controlnet_stays(sd15: TransparentPipeline) -> None:
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline

    net = ControlNetModel.from_unet(sd15.pipeline.unet, conditioning_embedding_out_channels=(4, 8, 8, 8))
    stock = StableDiffusionControlNetPipeline(
        **sd15.pipeline.components, controlnet=net, requires_safety_checker=False
    )
    stock.set_progress_bar_config(disable=True)
    pipe = pellucid.attach(stock, None, autoencoder=sd15.autoencoder)
    hint = torch.rand(1, 3, 64, 64)
    assert image(pipe, pipeline_inputs={"image": hint}).shape == (64, 64, 4)
    rgba = np.zeros((64, 64, 4), np.uint8)
    varied = pipe.vary(rgba, "a", seed=1, num_inference_steps=4, pipeline_inputs={"control_image": hint})
    assert varied.height == 64


def test_sampling_that_ends_in_nan_is_explained(sd15: TransparentPipeline) -> None:
    weight = next(sd15.pipeline.unet.conv_out.parameters())
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(float("nan"))
    with pytest.raises(InputError, match="found NaN or infinity"):
        image(sd15)
    with torch.no_grad():
        weight.copy_(kept)
