"""Loading from folders: the embedded layout and what `save_pretrained` wrote."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
    StableDiffusionXLImg2ImgPipeline,
)
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)

import pellucid
import tiny
import tiny_vaes
from building import present
from pellucid.errors import InputError, WeightsError
from pellucid.pipelines.families import FAMILIES
from pellucid.pipelines.keywords import SamplingKeywords
from pellucid.pipelines.modes import MODES
from pellucid.rgba.resizing import fit_rgba
from pellucid.weights.adapter_files import write_adapter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_mini(tmp_path_factory.mktemp("models") / "mini")


def test_the_embedded_layout_generates(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pipe = pellucid.load(folder)
    scene = pipe.generate("a cat", seed=7, num_inference_steps=2)
    assert scene.layers[0].image.shape == (64, 64, 4)
    assert (present(scene.provenance).mode, present(scene.provenance).model) == ("mini", str(folder))
    assert capfd.readouterr() == ("", "")


def test_two_loads_give_the_same_bytes(folder: Path) -> None:
    one, two = (pellucid.load(folder).generate("a", seed=7, num_inference_steps=2) for _ in range(2))
    assert one.layers[0].image.tobytes() == two.layers[0].image.tobytes()


def test_latents_of_any_number_of_channels_can_be_varied(folder: Path) -> None:
    pipe = pellucid.load(folder)
    rgba = np.random.default_rng(0).integers(0, 256, (20, 70, 4), np.uint8)
    scene = pipe.vary(rgba, "a cat", strength=0.5, seed=1, num_inference_steps=4)
    assert scene.layers[0].image.shape == (20, 70, 4)


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_a_saved_stock_pipeline_loads(kind: str, tmp_path: Path) -> None:
    stock = getattr(tiny, kind)()
    stock.save_pretrained(tmp_path)
    tiny.save_codec(tiny.codec(stock.vae), tmp_path / "rgba")
    scene = pellucid.load(tmp_path).generate("a", seed=1, num_inference_steps=2, height=9, width=9)
    assert scene.layers[0].image.shape == (9, 9, 4)


def save_codec(stock: DiffusionPipeline, folder: Path, convention: str) -> None:
    tiny.save_codec(tiny.codec(stock.vae, convention=convention), folder / "rgba")
    (folder / "rgba" / "convention.json").write_text(json.dumps({"convention": convention}))


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
@pytest.mark.parametrize(("convention", "passes"), [("forge", 8), ("embedded", 1)])
def test_a_model_with_a_codec_of_its_own_keeps_its_familys_settings(
    kind: str, convention: str, passes: int, tmp_path: Path
) -> None:
    stock = getattr(tiny, kind)()
    stock.save_pretrained(tmp_path)
    save_codec(stock, tmp_path, convention)
    pipe = pellucid.load(tmp_path)
    assert pipe.model.single.sampling == replace(FAMILIES[kind].sampling, passes=passes)
    assert not pipe.model.single.sampling.fixed_resolution
    wide = pipe.generate("a", seed=1, num_inference_steps=2, height=64, width=192).layers[0].image
    assert wide.shape == (64, 192, 4)
    square = pipe.generate("a", seed=1, num_inference_steps=2).layers[0].image
    assert not np.array_equal(wide, fit_rgba(square, 64, 192, "fit"))  # sampled at that size


@pytest.mark.parametrize("cls", [StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline])
def test_a_folder_saved_by_another_pipeline_class_of_the_family_loads(cls: type, tmp_path: Path) -> None:
    stock = cls(**tiny.sdxl().components, add_watermarker=False)
    stock.save_pretrained(tmp_path)
    save_codec(stock, tmp_path, "forge")
    pipe = pellucid.load(tmp_path)
    assert pipe.generate("a", seed=1, num_inference_steps=2).layers[0].image.shape == (64, 64, 4)


def test_a_cpu_with_a_number_is_a_cpu(folder: Path) -> None:
    assert pellucid.load(folder, device="cpu:0").pipeline.unet.dtype == torch.float32


def test_pickles_are_refused(tmp_path: Path) -> None:
    tiny.sd15().save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(WeightsError, match="safetensors"):
        pellucid.load(tmp_path)


def test_a_safety_checker_that_is_left_out_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stock = tiny.sd15()
    stock.save_pretrained(tmp_path)
    save_codec(stock, tmp_path, "forge")
    pellucid.load(tmp_path)
    assert not [record for record in caplog.records if record.name.startswith("pellucid")]
    index = json.loads((tmp_path / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    pellucid.load(tmp_path)
    assert "is left out: it judges finished images" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
@pytest.mark.parametrize(
    "name",
    [
        "model_index.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/tokenizer.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "vae/config.json",
        "rgba/convention.json",
        "rgba/alpha_decoder/config.json",
        "rgba/offset_encoder/diffusion_pytorch_model.safetensors",
    ],
)
def test_a_damaged_file_of_a_model_is_told(folder: Path, tmp_path: Path, name: str, content: bytes) -> None:
    damaged = shutil.copytree(folder, tmp_path / "model")
    (damaged / name).write_bytes(content)
    with pytest.raises(WeightsError):
        pellucid.load(damaged)


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
@pytest.mark.parametrize("name", ["model_index.json", "tokenizer/tokenizer.json", "unet/config.json"])
def test_a_damaged_file_of_a_stock_model_is_told(kind: str, name: str, tmp_path: Path) -> None:
    stock = getattr(tiny, kind)()
    stock.save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(WeightsError):
        pellucid.load(tmp_path)


def test_what_cannot_be_loaded_is_explained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no hub id"):
        pellucid.load("nowhere")
    with pytest.raises(WeightsError, match="hub that answers"):
        pellucid.load("nobody/nothing")
    with pytest.raises(WeightsError, match=r"model_index\.json"):
        pellucid.load(tmp_path)
    with pytest.raises(InputError, match="float16"):
        pellucid.load(folder, dtype="float8")
    with pytest.raises(InputError, match="device"):
        pellucid.load(folder, device="quantum")


def test_the_embedded_models_layers_see_each_other() -> None:
    pipe = pellucid.load()
    settings: SamplingKeywords = {"seed": 1, "num_inference_steps": 6}
    assert {task: [mode.name for mode in modes] for task, modes in pipe.tasks.items()} == {
        "foreground": ["mini"],
        "joint": ["mini-background", "mini-foreground-on"],
        "foreground_on": ["mini-foreground-on"],
        "background_for": ["mini-background-for"],
    }
    scene = pipe.joint("a cat", "a beach", **settings)
    below, front = (layer.image for layer in scene.layers)
    assert (below[..., 3] == 255).all()
    assert (front[:8, :8, 3] < 32).all()
    assert 0.15 < (front[..., 3] > 200).mean() < 0.8
    grounds = [np.full((256, 256, 4), grey, np.uint8) for grey in (20, 240)]
    for ground in grounds:
        ground[..., 3] = 255
    dark, bright = (pipe.foreground_on(each, "a sheep", **settings).layers[1].image for each in grounds)
    solid = (dark[..., 3] > 230) & (bright[..., 3] > 230)
    assert solid.mean() > 0.1
    assert dark[solid][:, :3].mean() + 20 < bright[solid][:, :3].mean()
    behind = [pipe.background_for(each, "a beach", **settings).layers[0].image for each in (front, dark)]
    assert np.abs(behind[0].astype(int) - behind[1]).mean() > 3


def test_the_embedded_model_makes_other_sizes_at_its_own() -> None:
    pipe = pellucid.load()
    settings: SamplingKeywords = {"seed": 7, "num_inference_steps": 4, "clean": False}
    own = pipe.generate("a red apple", **settings).layers[0].image
    large = pipe.generate("a red apple", height=200, width=300, **settings).layers[0].image
    assert (large == fit_rgba(own, 200, 300, "fit")).all()
    scene = pipe.joint("a red apple", "a beach", height=200, width=300, **settings)
    below, front = (layer.image for layer in scene.layers)
    assert below.shape == front.shape == (200, 300, 4)
    assert (below[..., 3] == 255).all()
    again = pipe.foreground_on(below[:, 50:250], "a red apple", **settings).layers[1].image
    assert np.abs(front[:, 50:250].astype(int) - again).mean() < 1  # for the middle square, and nowhere else
    assert not front[:, :50].any()
    assert not front[:, 250:].any()
    wide = pipe.foreground_on(below, "a red apple", **settings)
    assert (wide.layers[0].image == below).all()
    assert np.abs(wide.layers[1].image.astype(int) - front).mean() < 1


def test_an_adapter_of_ones_own_on_the_embedded_kind_keeps_its_settings(folder: Path, tmp_path: Path) -> None:
    net = pellucid.load(folder).pipeline.unet
    tiny.delta_file(tmp_path / "own.safetensors", net, net.config.in_channels)
    pipe = pellucid.load(folder, adapter=tmp_path / "own.safetensors")
    assert pipe.model.single.sampling == MODES["mini"].sampling
    assert pipe.model.attached == tmp_path / "own.safetensors"
    assert pipe.generate("a", seed=1, num_inference_steps=2).layers[0].image.shape == (64, 64, 4)


def test_an_adapter_is_worn_over_the_one_that_it_says(folder: Path, tmp_path: Path) -> None:
    net = pellucid.load(folder).pipeline.unet
    bias = net.conv_out.bias.detach()
    model = shutil.copytree(folder, tmp_path / "model")
    lower, upper = model / "adapter" / "transparent.safetensors", tmp_path / "run" / "own.safetensors"
    write_adapter({"conv_out.bias": torch.full_like(bias, 0.5)}, lower)
    about = {"frames": ["foreground"], "hint": "", "over": "transparent"}
    write_adapter({"conv_out.bias": torch.full_like(bias, 0.25)}, upper, about=about)
    plain = tiny_pipeline_bias(model, None)
    assert torch.allclose(tiny_pipeline_bias(model, upper) - plain, torch.full_like(bias, 0.25))
    # beside the file comes before the model's folder
    write_adapter({"conv_out.bias": torch.full_like(bias, 1.0)}, upper.with_name(lower.name))
    assert torch.allclose(tiny_pipeline_bias(model, upper) - plain, torch.full_like(bias, 0.75))
    lower.unlink()
    upper.with_name(lower.name).unlink()
    with pytest.raises(WeightsError, match=r"Expected transparent.safetensors, over which own.safetensors"):
        pellucid.load(model, adapter=upper)


def test_a_folders_single_layer_may_go_over_the_adapter_of_its_layers(folder: Path, tmp_path: Path) -> None:
    bias = pellucid.load(folder).pipeline.unet.conv_out.bias.detach()
    model = shutil.copytree(folder, tmp_path / "model") / "adapter"
    write_adapter({"conv_out.bias": torch.full_like(bias, 0.5)}, model / "transparent.safetensors")
    plain = tiny_pipeline_bias(model.parent, None)
    about = {"frames": ["foreground"], "hint": "", "over": "transparent"}
    write_adapter(
        {"conv_out.bias": torch.full_like(bias, 0.25)}, model / "single-layer.safetensors", about=about
    )
    assert torch.allclose(tiny_pipeline_bias(model.parent, None) - plain, torch.full_like(bias, 0.25))
    below = tiny_pipeline_bias(model.parent, model / "transparent.safetensors")
    assert torch.allclose(below, plain)


def tiny_pipeline_bias(model: Path, adapter: Path | None) -> torch.Tensor:
    return pellucid.load(model, adapter=adapter).pipeline.unet.conv_out.bias.detach().clone()


def test_another_kind_of_vae_takes_the_place_of_the_models_own(tmp_path: Path) -> None:
    pipeline = tiny.sd15()
    pipeline.save_pretrained(tmp_path / "model")
    tiny.save_codec(tiny.codec(pipeline.vae), tmp_path / "model" / "rgba")
    tiny_vaes.seeded("AutoencoderTiny").save_pretrained(tmp_path / "taesd")
    pipe = pellucid.load(tmp_path / "model", vae=tmp_path / "taesd")
    assert type(pipe.autoencoder.vae).__name__ == "AutoencoderTiny"
    assert pipe.model.additions["vae"] == "taesd"
    scene = pipe.generate("a cat", seed=1, num_inference_steps=1, passes=1, height=40, width=56)
    assert scene.layers[0].image.shape == (40, 56, 4)
