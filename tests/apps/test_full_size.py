"""What goes onto a full-size model from the shell: offloading, LoRAs, a ControlNet, an IP-Adapter, a VAE."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from diffusers.models.attention_processor import Attention
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

import pellucid
import tiny
from building import QuickSeeded, submodule
from pellucid.apps.cli import cli
from pellucid.errors import InputError, WeightsError
from pellucid.files.images import read_rgba, write_image
from pellucid.pipelines.extras import Lora, add_ip_adapter, add_loras
from pellucid.pipelines.placement import OFFLOADS, choose_device, choose_dtype
from weights.orders import peft_lora

QUICK: QuickSeeded = {"seed": 3, "num_inference_steps": 2, "passes": 1}
WORDS = ("--seed", "3", "--steps", "2", "--passes", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a small Stable Diffusion 1.5 with a codec of its own, as a folder."""
    made = tmp_path_factory.mktemp("models") / "sd15"
    stock = tiny.sd15(tiny.sd15_unet())
    stock.save_pretrained(made)
    tiny.save_codec(tiny.codec(stock.vae), made / "rgba")
    return made


@pytest.fixture(scope="module")
def lora(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("loras") / "style.safetensors"
    save_file(peft_lora(pellucid.load(folder).denoiser, "unet"), path)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def image(folder: Path, *arguments: str | Path) -> np.ndarray:
    result = run("generate", "a cat", "--model", folder, *WORDS, "-o", "x.png", *arguments)
    assert result.exit_code == 0, result.output or result.exception
    return read_rgba("x.png")


def off(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.abs(first.astype(int) - second).max())


def test_devices_and_formats_by_name() -> None:
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    assert choose_device("cpu") == torch.device("cpu")
    for name in (None, "auto"):
        assert choose_dtype(name, torch.device("cpu")) == torch.float32
        assert choose_dtype(name, torch.device("cuda")) == torch.float16
    assert choose_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
    with pytest.raises(InputError, match="Try auto"):
        choose_device("gpu")
    with pytest.raises(InputError, match="auto, float32"):
        choose_dtype("half", torch.device("cpu"))


@pytest.mark.parametrize("how", [name for name in OFFLOADS if name != "sequential"])
def test_offloading_gives_the_same_image(folder: Path, how: str) -> None:
    plain = pellucid.load(folder).generate("a cat", **QUICK).layers[0].image
    pipe = pellucid.load(folder, device="cpu", offload=how)
    assert off(pipe.generate("a cat", **QUICK).layers[0].image, plain) <= 1
    assert pipe.decode(pipe.encode(plain), passes=1).shape == plain.shape
    with pytest.raises(InputError, match="none, model"):
        pellucid.load(folder, offload="disk")
    with pytest.raises(InputError, match="a GPU for sequential"):
        pellucid.load(folder, offload="sequential", device="cpu")


def test_memory_options_change_nothing_that_is_seen(folder: Path) -> None:
    plain = image(folder)
    for words in (["--offload", "model"], ["--tiling", "--attention-slicing"], ["--dtype", "auto"]):
        assert off(image(folder, *words), plain) <= 1
    said = run("generate", "a", "--model", folder, *WORDS, "-o", "y.png", "-v")
    assert "on cpu, float32" in said.stderr


def test_loras_count_by_their_weight(folder: Path, lora: Path) -> None:
    plain, full = image(folder), image(folder, "--lora", lora)
    half, none = image(folder, "--lora", f"{lora}:0.5"), image(folder, "--lora", f"{lora}:0")
    assert off(none, plain) <= 1
    assert off(full, plain) > off(half, plain) > 1
    pipe = pellucid.load(folder)
    add_loras(pipe, (Lora(source=str(lora), weight=0.25), Lora(source=str(lora), weight=0.25)))
    assert off(pipe.generate("a cat", **QUICK).layers[0].image, half) <= 1
    assert Lora.parse("C:\\style.safetensors") == Lora(source="C:\\style.safetensors")
    assert Lora.parse("owner/name:0.5") == Lora(source="owner/name", weight=0.5)
    wrong = run("generate", "a", "--model", folder, *WORDS, "--lora", "none.safetensors").exception
    assert isinstance(wrong, WeightsError)
    assert "LoRA" in str(wrong)


def test_a_controlnet_follows_its_image(folder: Path, tmp_path: Path) -> None:
    unet = pellucid.load(folder).pipeline.unet
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8, 8, 8))
    zeros: list[torch.nn.Module] = [*net.controlnet_down_blocks, net.controlnet_cond_embedding.conv_out]
    for zero in zeros:
        torch.nn.init.normal_(zero.get_parameter("weight"))
    net.save_pretrained(tmp_path / "net")
    for name, level in (("white", 255), ("black", 0)):
        write_image(np.full((64, 64, 4), [level, level, level, 255], np.uint8), f"{name}.png")
    words = ("--controlnet", tmp_path / "net", "--control-image")
    white, black = (image(folder, *words, f"{name}.png") for name in ("white", "black"))
    assert off(white, black) > 1
    assert off(image(folder, *words, "white.png", "--control-scale", "0"), image(folder)) <= 1
    assert run("generate", "a", "--controlnet", "x").exit_code == 2
    wrong = run("generate", "a", "--model", folder, "--controlnet", "nowhere", "--control-image", "white.png")
    assert isinstance(wrong.exception, WeightsError)


def test_another_vae_takes_the_models_place(folder: Path, tmp_path: Path) -> None:
    other = tiny.vae()
    with torch.no_grad():
        for value in other.decoder.parameters():
            value.mul_(1.1)
    other.save_pretrained(tmp_path / "whole" / "vae")
    plain = image(folder)
    for path in (tmp_path / "whole", tmp_path / "whole" / "vae"):
        assert off(image(folder, "--vae", path), plain) > 0
    assert isinstance(run("generate", "a", "--model", folder, "--vae", "nowhere").exception, WeightsError)


def test_an_ip_adapter_that_is_none_is_told(folder: Path) -> None:
    pipe = pellucid.load(folder)
    Path("none.safetensors").write_bytes(b"nothing")
    for source in ("none.safetensors", "nowhere.safetensors", "/no/such/file.safetensors"):
        with pytest.raises(WeightsError, match="IP-Adapter"):
            add_ip_adapter(pipe, source, 0.5)
    assert run("generate", "a", "--ip-adapter", "x").exit_code == 2


def ip_adapter(folder: Path, place: Path) -> Path:
    """Writes a random IP-Adapter, and its image encoder beside it as on the hub."""
    torch.manual_seed(7)
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=32,
            patch_size=16,
            projection_dim=32,
        )
    )
    encoder.save_pretrained(place / "image_encoder")
    tensors = {"image_proj.proj.weight": torch.randn(64, 32), "image_proj.proj.bias": torch.randn(64)}
    tensors |= {"image_proj.norm.weight": torch.ones(16), "image_proj.norm.bias": torch.zeros(16)}
    unet = pellucid.load(folder).denoiser
    assert isinstance(unet, UNet2DConditionModel)
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    widths = [submodule(unet, n, Attention).to_q.weight.shape[0] for n in names if n.endswith("attn2")]
    for index, width in enumerate(widths):
        for part in "kv":
            tensors[f"ip_adapter.{2 * index + 1}.to_{part}_ip.weight"] = torch.randn(width, 16)
    save_file(tensors, place / "ip.safetensors")
    return place / "ip.safetensors"


def test_an_ip_adapter_follows_its_image_by_its_scale(folder: Path, tmp_path: Path) -> None:
    adapter = ip_adapter(folder, tmp_path)
    for name, colour in (("red", (255, 0, 0, 255)), ("blue", (0, 0, 255, 255))):
        write_image(np.full((40, 30, 4), colour, np.uint8), tmp_path / f"{name}.png")
    words = ("--ip-adapter", adapter, "--ip-adapter-image")
    plain = image(folder)
    red, blue = (image(folder, *words, tmp_path / f"{name}.png") for name in ("red", "blue"))
    assert off(red, plain) > 0
    assert off(red, blue) > 0
    assert off(image(folder, *words, tmp_path / "red.png", "--ip-adapter-scale", "0"), plain) <= 1
    assert isinstance(run("again", "x.png").exception, InputError)  # no file keeps what it was shown


def test_what_was_added_to_the_model_is_asked_for_when_an_image_is_made_again(
    folder: Path, lora: Path
) -> None:
    plain = image(folder)
    assert off(image(folder, "--lora", f"{lora}:0.8"), plain) > 0
    refused = run("again", "x.png")
    assert isinstance(refused.exception, InputError)
    assert "style.safetensors:0.8" in str(refused.exception)
    assert isinstance(run("again", "x.png", "--lora", f"{lora}:0.5").exception, InputError)
    made = run("again", "x.png", "--lora", f"{lora}:0.8")
    assert "The same as FILE, to the byte" in made.output, made.exception


def test_tiles_larger_than_an_image_change_nothing() -> None:
    words = ("generate", "a cat", "--seed", "1", "--steps", "2")
    assert run(*words, "-o", "plain.png").exit_code == 0
    assert run(*words, "--tiling", "-o", "tiled.png").exit_code == 0
    assert np.array_equal(read_rgba(Path("plain.png")), read_rgba(Path("tiled.png")))


def test_info_says_what_is_used() -> None:
    text = run("info", "--no-time")
    assert text.exit_code == 0
    assert "torch" in text.output
    assert "mini" in text.output
