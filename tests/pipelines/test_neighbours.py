"""What else users put on a pipeline stays in force in every mode: ControlNets, IP-Adapters, LoRAs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.models.adapter import T2IAdapter
from diffusers.models.attention_processor import Attention, IPAdapterAttnProcessor2_0
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import (
    StableDiffusionInpaintPipeline,
)
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)
from diffusers.pipelines.t2i_adapter.pipeline_stable_diffusion_adapter import StableDiffusionAdapterPipeline
from peft import LoraConfig
from PIL import Image

import pellucid
import tiny
from building import QuickSeededDDIM, build, present, submodule
from pellucid.errors import InputError
from pellucid.models.attention_sharing import AttentionSharing, attention_modules
from pellucid.pipelines.modes import MODES, Mode, Task
from pellucid.pipelines.pipeline import TransparentPipeline

FAST: QuickSeededDDIM = {"num_inference_steps": 2, "passes": 1, "scheduler": "ddim", "seed": 3}
EMBEDDING = 12  # width of the image encoder's output


def piped(stock: DiffusionPipeline, folder: Path) -> TransparentPipeline:
    path = tiny.sharing_file(folder / "joint.safetensors", stock.unet, 3)
    layers: dict[Task, tuple[Mode, ...]] = {"joint": (replace(MODES["sd15-joint"], adapter=path),)}
    return pellucid.attach(stock, None, autoencoder=tiny.codec(stock.vae), layers=layers)


def images(pipe: TransparentPipeline, **inputs: object) -> list[bytes]:
    """A single layer, then the three frames of a joint scene."""
    # raw: of two images that differ by a level, alpha may be snapped in one alone
    single = pipe.generate("a cat", pipeline_inputs=inputs, clean=False, **FAST)
    scene = pipe.joint("a cat", "a sea", "both", pipeline_inputs=inputs, clean=False, **FAST)
    return [layer.image.tobytes() for layer in (*single.layers, *scene.layers, *scene.references)]


def all_differ(first: list[bytes], second: list[bytes]) -> bool:
    return all(a != b for a, b in zip(first, second, strict=True))


def test_a_controlnet_steers_every_frame(tmp_path: Path) -> None:
    stock = tiny.sd15(tiny.sd15_unet())
    net = ControlNetModel.from_unet(stock.unet, conditioning_embedding_out_channels=(4, 8, 8, 8))
    zeros: list[torch.nn.Module] = [*net.controlnet_down_blocks, net.controlnet_cond_embedding.conv_out]
    for zero in zeros:
        torch.nn.init.normal_(zero.get_parameter("weight"))
    parts = {**stock.components, "controlnet": net.eval()}
    pipe = piped(build(StableDiffusionControlNetPipeline, **parts, requires_safety_checker=False), tmp_path)
    pipe.pipeline.set_progress_bar_config(disable=True)
    shown = [Image.new("RGB", (64, 64), colour) for colour in ("black", "white")]
    assert all_differ(*(images(pipe, image=image) for image in shown))


def test_a_t2i_adapter_steers_every_frame_and_images_can_be_varied(tmp_path: Path) -> None:
    stock = tiny.sd15(tiny.sd15_unet())
    adapter = T2IAdapter(in_channels=3, channels=[8, 16, 16, 16], num_res_blocks=1, downscale_factor=8)
    with torch.no_grad():
        for value in adapter.parameters():
            value.normal_(0, 0.2)
    parts = {**stock.components, "adapter": adapter.eval()}
    parts.pop("image_encoder", None)
    pipe = piped(build(StableDiffusionAdapterPipeline, **parts, requires_safety_checker=False), tmp_path)
    pipe.pipeline.set_progress_bar_config(disable=True)
    shown = [Image.new("RGB", (64, 64), colour) for colour in ("black", "white")]
    assert all_differ(*(images(pipe, image=image) for image in shown))
    varied = pipe.vary(np.zeros((64, 64, 4), np.uint8), "a cat", **FAST)
    assert varied.layers[0].image.shape == (64, 64, 4)


def with_ip_adapter(unet: UNet2DConditionModel) -> None:
    """Loads a random IP-Adapter as diffusers does, whatever is on the UNet."""
    torch.manual_seed(7)
    state = {"image_proj": {"proj.weight": torch.randn(64, EMBEDDING), "proj.bias": torch.randn(64)}}
    state["image_proj"] |= {"norm.weight": torch.ones(16), "norm.bias": torch.zeros(16)}
    widths = [module.to_q.weight.shape[0] for _, module in attention_modules_in_order(unet)]
    state["ip_adapter"] = {
        f"{2 * i + 1}.to_{part}_ip.weight": torch.randn(width, 16)
        for i, width in enumerate(widths)
        for part in "kv"
    }
    unet._load_ip_adapter_weights([state], low_cpu_mem_usage=False)  # pyright: ignore[reportPrivateUsage] - as diffusers' loader calls it


def attention_modules_in_order(unet: UNet2DConditionModel) -> list[tuple[str, Attention]]:
    """Text attentions in the order in which IP-Adapter files number them, which is diffusers' own."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    return [(name, submodule(unet, name, Attention)) for name in names if name.endswith("attn2")]


def test_an_ip_adapter_steers_every_frame_and_its_scale_0_is_none(tmp_path: Path) -> None:
    stock = tiny.sd15(tiny.sd15_unet())
    plain = images(piped(stock, tmp_path))
    pipe = piped(stock, tmp_path)
    images(pipe)  # its units are on the UNet when the IP-Adapter comes
    with_ip_adapter(stock.unet)
    shown = [torch.full((2, 1, EMBEDDING), value) for value in (-1.0, 1.0)]

    def call(embeds: torch.Tensor) -> list[bytes]:
        return images(pipe, ip_adapter_image_embeds=[embeds])

    assert all_differ(call(shown[0]), call(shown[1]))
    for processor in stock.unet.attn_processors.values():
        for each in (processor, getattr(processor, "replaced", None)):
            if isinstance(each, IPAdapterAttnProcessor2_0):
                vars(each)["scale"] = [0.0]  # declared as one number, and read as one for each adapter
    found = [np.frombuffer(data, np.uint8).astype(int) for data in call(shown[1])]
    wanted = [np.frombuffer(data, np.uint8).astype(int) for data in plain]
    assert max(np.abs(a - b).max() for a, b in zip(found, wanted, strict=True)) <= 1


def test_another_lora_reaches_every_frame(tmp_path: Path) -> None:
    stock = tiny.sd15(tiny.sd15_unet())
    plain = images(piped(stock, tmp_path))
    stock.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False))
    pipe = piped(stock, tmp_path)
    assert all_differ(images(pipe), plain)
    stock.unet.disable_adapters()
    found = [np.frombuffer(data, np.uint8).astype(int) for data in images(pipe)]
    wanted = [np.frombuffer(data, np.uint8).astype(int) for data in plain]
    assert max(np.abs(a - b).max() for a, b in zip(found, wanted, strict=True)) <= 1


@pytest.mark.parametrize(
    ("cls", "made"),
    [(StableDiffusionInpaintPipeline, tiny.sd15), (StableDiffusionXLInpaintPipeline, tiny.sdxl)],
)
def test_an_inpainting_pipeline_makes_what_the_text_pipeline_makes(
    cls: type[DiffusionPipeline], made: Callable[[], DiffusionPipeline]
) -> None:
    stock = made()
    options = {"requires_safety_checker": False} if cls is StableDiffusionInpaintPipeline else {}
    other = build(cls, **stock.components, **options)
    other.set_progress_bar_config(disable=True)
    codec = tiny.codec(stock.vae)
    found = pellucid.attach(other, None, autoencoder=codec).generate("a cat", **FAST)
    wanted = pellucid.attach(stock, None, autoencoder=codec).generate("a cat", **FAST)
    assert (found.layers[0].image == wanted.layers[0].image).all()


def test_a_unet_made_for_inpainting_is_refused() -> None:
    stock = tiny.sd15()
    stock.unet = build(UNet2DConditionModel, **{**dict(stock.unet.config), "in_channels": 9})
    with pytest.raises(InputError, match="found 9 and 4"):
        pellucid.attach(stock, None, autoencoder=tiny.codec(stock.vae))


def test_sdxls_attentions_can_be_shared_and_every_unit_learns() -> None:
    torch.manual_seed(0)
    unet = tiny.sdxl_unet().requires_grad_(False)
    sharing = AttentionSharing.for_unet(unet, frames=3, rank=2)
    sharing.attach(unet)
    names = [name for name, _ in attention_modules(unet)]
    assert (
        len(sharing.layers) == len(names) == 140
    )  # two layers in the block below, two in each of two above, two in the middle
    condition = {"text_embeds": torch.randn(6, 16), "time_ids": torch.randn(6, 6)}

    def loss() -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        x, text = torch.randn(6, 4, 8, 8, generator=generator), torch.randn(6, 5, 32, generator=generator)
        found = unet(x, 10, text, added_cond_kwargs=condition).sample
        assert found.shape == (6, 4, 8, 8)
        return ((found - x.flip(0)) ** 2).mean()

    optimizer = torch.optim.Adam(sharing.parameters(), 1e-2)
    losses: list[float] = []
    for _ in range(8):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        losses.append(value.item())
        optimizer.step()
    assert losses[-1] < losses[0]
    still = {name for name, value in sharing.named_parameters() if not present(value.grad).abs().any()}
    assert not still
    assert all(value.grad is None for value in unet.parameters())
