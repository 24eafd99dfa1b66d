"""Families since FLUX.1 learn: what trains predicts what the stock pipeline would, and files come back."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from test_any_family import picture_shard, prediction, recipe
from test_any_family import reloaded as with_adapter
from torch import Tensor

import tiny
import tiny_newer_families
import tiny_vaes
import tiny_variants
from pellucid.pipelines.arguments import Request
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.stock import StockPipeline
from pellucid.training.denoiser.predict import condition_names, encode_texts, predict, take_rows
from pellucid.training.stages.autoencoder import AutoencoderStage
from pellucid.training.stages.registry import make_stage
from pellucid.training.stages.text_to_image import TextToImageStage
from pellucid.training.trainer import Trainer

CPU = torch.device("cpu")
FLOWING = [*tiny_newer_families.BUILDERS, "hunyuan-image", "hidream", "flux2", "bria", "lumina"]
SHOWN_MORE = ["qwen-edit", "sana-pag", "cogview4-control", "sd-pix2pix", "sdxl-pix2pix", "unclip"]
XL = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 16,
}
DISTILLED = {
    "sd15-distilled": lambda: tiny.sd15(tiny.unet(16, time_cond_proj_dim=8)),
    "sdxl-distilled": lambda: tiny.sdxl(tiny.unet(32, time_cond_proj_dim=8, **XL)),
}
"""Usual pipelines whose UNet is told the guidance."""
TAUGHT = [name for name in FLOWING if name != "flux2"] + [
    "flux-fill",
    "hunyuan-dit",
    "cogview3",
    "sd-inpainting",
]
"""But for those whose tokenizers of these tests cannot be saved."""


def made(name: str) -> DiffusionPipeline:
    if name in DISTILLED:
        return DISTILLED[name]()
    makers = tiny_newer_families if name in tiny_newer_families.BUILDERS else tiny_variants
    return makers.made(name)


@pytest.mark.parametrize(
    "name", [*FLOWING, *SHOWN_MORE, *DISTILLED, "kolors", "hunyuan-dit", "hunyuan-dit-pag", "cogview3", "lcm"]
)
def test_a_prediction_is_what_the_stock_pipeline_hands_its_scheduler(name: str) -> None:
    stock = StockPipeline(made(name)).text_to_image()
    size = {"height": 64, "width": 64}
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    scheduler = stock.pipeline.scheduler.__class__
    original: Callable[..., object] = scheduler.step

    def step(
        self: EulerDiscreteScheduler, output: Tensor, timestep: Tensor, sample: Tensor, **more: object
    ) -> object:
        # training noises latents as denoisers see them, whatever their scheduler holds
        shown: Tensor = sample
        if hasattr(self, "scale_model_input"):
            shown = copy.deepcopy(self).scale_model_input(sample, timestep)
        seen.append((output, timestep, shown))
        return original(self, output, timestep, sample, **more)

    family = stock.family
    # where guidance is an input of the denoiser, it is trained with what it is used with
    embedded = family.distilled_guidance or stock.denoiser.config.get("time_cond_proj_dim")
    guidance = family.sampling.guidance_scale if embedded else family.off_guidance
    settings = Sampling(num_inference_steps=2, guidance_scale=guidance)
    texts = ["x y z q w", "a cat"]
    inputs = {**size, "pag_scale": 0.0} if name.endswith("pag") else size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduler, "step", step)
        stock.sample([Request(prompt=texts[1], negative_prompt="", seed=3)], settings, inputs)
    output, timestep, sample = seen[1]
    conditions = take_rows(encode_texts(stock, texts), torch.tensor([0, 1]))
    latents = stock.unpack(sample, 64, 64).float()
    both = torch.cat([torch.randn_like(latents), latents])
    found = predict(stock, both, torch.stack([timestep * 0 + 100, timestep]).float(), conditions, {})
    torch.testing.assert_close(found[1:], stock.unpack(output, 64, 64).float(), rtol=2e-2, atol=2e-3)
    assert (found[0] - found[1]).abs().mean() > 1e-3
    assert len(conditions) == len(condition_names(stock))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_states_are_kept_in_half_precision_that_holds_them(dtype: torch.dtype) -> None:
    pipeline = made("lcm").to(dtype)
    # larger than float16 holds, as some encoders that compute in bfloat16 answer
    if dtype == torch.bfloat16:
        modules = dict(pipeline.text_encoder.named_modules())
        (norm,) = (module for name, module in modules.items() if name.endswith("final_layer_norm"))
        norm.weight.data.mul_(1e6)
    conditions = encode_texts(StockPipeline(pipeline), ["x y z q w", "a cat"])
    states = next(value for value in conditions.values() if value.is_floating_point())
    assert states.dtype == (torch.bfloat16 if dtype == torch.bfloat16 else torch.float16)
    assert states.isfinite().all()
    assert states.std() > 0


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pipelines that were saved as diffusers does, with codecs, when they were first asked for."""
    picture_shard(tmp_path_factory.getbasetemp() / "discs.tar")
    return {}


def folder_of(name: str, folders: dict[str, Path], factory: pytest.TempPathFactory) -> Path:
    if name not in folders:
        folders[name] = factory.mktemp(name)
        pipeline = made(name)
        pipeline.save_pretrained(folders[name])
        tiny.save_codec(tiny_vaes.codec_over(pipeline.components["vae"]), folders[name] / "rgba")
    return folders[name]


@pytest.mark.parametrize("name", TAUGHT)
def test_a_family_learns_adjusted_latents(
    name: str, folders: dict[str, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folder_of(name, folders, tmp_path_factory)
    made_recipe = recipe("transparent", folder, {"method": "lora", "rank": 2}, steps=2)
    stage = make_stage(made_recipe, CPU)
    assert isinstance(stage, TextToImageStage)
    net = stage.frozen.net
    start = {key: value.clone() for key, value in net.state_dict().items()}
    first = prediction(stage, net)
    assert Trainer(made_recipe, stage, tmp_path).train()
    moved = {key for key, value in net.state_dict().items() if not torch.equal(value, start[key])}
    assert moved
    assert all("lora_" in key for key in moved)
    learned = prediction(stage, net)
    assert torch.isfinite(learned).all()
    assert not torch.equal(first, learned)
    found = with_adapter(folder, tmp_path / "export" / "adapter" / "transparent.safetensors")
    torch.testing.assert_close(prediction(stage, found), learned, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("name", ["flux2-klein", "qwen-image", "sana", "hunyuan-image", "wan"])
def test_a_codec_is_trained_over_any_kind_of_vae(
    name: str, folders: dict[str, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folder_of(name, folders, tmp_path_factory)
    small = {"layers_per_block": 1, "attention_levels": 0, "widths": [8] * 6, "norm_num_groups": 8}
    table = {"offset_encoder": {}, "alpha_decoder": small, "discriminator": {"width": 8}}
    made_recipe = recipe("autoencoder", folder, table, steps=2)
    stage = make_stage(made_recipe, CPU)
    assert isinstance(stage, AutoencoderStage)
    rgba = torch.rand(1, 4, 64, 64)
    codec = tiny_vaes.codec_over(stage.vae)
    with torch.no_grad():
        latents = codec.encode(rgba, use_offset=False)
        torch.testing.assert_close(stage.vae_latents(rgba), latents, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            stage.decode_frozen(latents).clamp(0, 1), codec.decode_opaque(latents), rtol=1e-4, atol=1e-4
        )
    assert Trainer(made_recipe, stage, tmp_path).train()
    assert (tmp_path / "export" / "rgba" / "offset_encoder").is_dir()
