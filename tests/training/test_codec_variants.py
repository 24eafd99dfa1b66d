"""Each way to carry alpha, over VAEs of any shape: it learns, moves its own weights, and comes back whole."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import nn

import pellucid
import tiny
from building import build
from pellucid.data.records import Record
from pellucid.errors import ConfigError, InputError
from pellucid.evaluation.metrics import alpha_mae
from pellucid.evaluation.reconstruction import score_codec, score_reconstruction
from pellucid.files.tables import is_table
from pellucid.models.mini_vae import MiniVAE
from pellucid.models.rgba_vae import VAE, InflatedDecoder, InflatedEncoder, decoded, inflated
from pellucid.training.data.in_memory import InMemoryDataset
from pellucid.training.recipe import Recipe
from pellucid.training.stages.autoencoder import AutoencoderStage
from pellucid.training.stages.distillation import DistillationStage, clipped_l1
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer
from pellucid.weights.store import load_codec, read

SIZE_PX = 32
CPU = torch.device("cpu")
SHAPES = [(4, 4), (16, 8), (64, 16)]  # latent channels, pixels a latent
CARRIERS = ("offset", "channels", "inflated")


def kl_vae(channels: int, pixels: int) -> AutoencoderKL:
    torch.manual_seed(0)
    levels = pixels.bit_length()
    return (
        build(
            AutoencoderKL,
            block_out_channels=(8,) * levels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            latent_channels=channels,
            layers_per_block=1,
            norm_num_groups=4,
            scaling_factor=0.7,
            shift_factor=0.1,
        )
        .eval()
        .requires_grad_(False)
    )


def discs() -> InMemoryDataset:
    """A disc of one colour each, every third half transparent; two of eight are held out."""
    labels = "xyzwxycj"
    records = [
        Record(
            name=label, label=label, keywords=(), group="food", source="s", style="icon", licence="MIT",
            attribution="a", soft=0.0,
        )
        for label in labels
    ]  # fmt: skip
    torch.manual_seed(1)
    x = torch.linspace(-1, 1, SIZE_PX)
    radius = torch.rand(len(labels), 1, 1) * 0.5 + 0.3
    alpha = (x[:, None] ** 2 + x**2 < radius**2).float()
    alpha[::3] *= 0.5
    rgba = torch.cat([torch.rand(len(labels), 3, 1, 1).expand(-1, -1, SIZE_PX, SIZE_PX), alpha[:, None]], 1)
    return InMemoryDataset(tuple(records), (rgba * 255).round().byte())


def recipe(pixels: int, carrier: str, **values: object) -> Recipe:
    widths = (8,) * pixels.bit_length()
    more = values.pop("model", {})
    assert is_table(more)
    model: dict[str, object] = {
        "alpha_encoding": carrier,
        "extra_channels": 2,
        "offset_encoder": {"widths": widths},
        "alpha_decoder": {
            "widths": widths, "latent_level": len(widths) - 1, "attention_levels": 0, "layers_per_block": 1,
        },
        "discriminator": {"width": 8},
        **more,
    }  # fmt: skip
    usual = {"steps": 25, "batch_size": 4, "size_px": SIZE_PX, "warmup_steps": 1, "learning_rate": 3e-3}
    return build(
        Recipe, stage="autoencoder", data=(), sample_every=0, score_count=2, model=model, **(usual | values)
    )


def saved(vae: nn.Module, folder: Path) -> str:
    vae.save_pretrained(folder / "vae")  # type: ignore[operator]
    return str(folder)


def pixel_error(terms: dict[str, torch.Tensor]) -> float:
    return float(terms["parts/reconstruction"] + terms["parts/blend"])


def begun(folder: Path, channels: int, pixels: int, carrier: str) -> tuple[AutoencoderStage, Trainer]:
    init = saved(kl_vae(channels, pixels), folder)
    made = recipe(pixels, carrier, init=init, ema_decay=0.0)
    stage = make_stage(made, CPU, discs())
    assert isinstance(stage, AutoencoderStage)
    return stage, Trainer(made, stage, folder / "run")


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(("channels", "pixels"), SHAPES)
def test_a_carrier_learns_and_moves_its_own_weights_alone(
    tmp_path: Path, channels: int, pixels: int, carrier: str
) -> None:
    stage, run = begun(tmp_path, channels, pixels, carrier)
    before = deepcopy({"parts": stage.parts.state_dict(), "vae": stage.vae.state_dict()})
    errors = [pixel_error(run.one_step()) for _ in range(20)]
    assert sum(errors[-3:]) < 0.7 * sum(errors[:3])
    after = {"parts": stage.parts.state_dict(), "vae": stage.vae.state_dict()}
    moved = {
        part: {name for name, value in after[part].items() if not torch.equal(value, before[part][name])}
        for part in after
    }
    assert moved == {"parts": set(before["parts"]), "vae": set()}
    some = {"offset_encoder.blocks.0.weight", "alpha_decoder.latent_conv_in.weight"}
    if carrier == "inflated":
        some = {f"alpha_decoder.vae.{name}.weight" for name in ("encoder.conv_in", "decoder.conv_out")}
    assert some < moved["parts"]


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(("channels", "pixels"), SHAPES)
@torch.no_grad()
def test_what_is_exported_gives_the_same_images_and_scores(
    tmp_path: Path, channels: int, pixels: int, carrier: str
) -> None:
    stage, run = begun(tmp_path, channels, pixels, carrier)
    with torch.enable_grad():
        for _ in range(2):
            run.one_step()
    halved = stage.codec(deepcopy(stage.parts).half().float())
    stage.export(stage.parts, tmp_path)
    loaded = load_codec(tmp_path / "rgba", stage.vae)
    rgba = torch.rand(2, 4, SIZE_PX, SIZE_PX)
    latents = loaded.encode(rgba)
    extra = 2 if carrier == "channels" else 0
    assert latents.shape == (2, channels + extra, SIZE_PX // pixels, SIZE_PX // pixels)
    torch.testing.assert_close(latents, halved.encode(rgba), rtol=1e-5, atol=1e-5)
    found, wanted = (codec.decode(latents, passes=2) for codec in (loaded, halved))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    if carrier == "channels":
        assert torch.equal(latents[:, :channels], loaded.encode(rgba, use_offset=False))
    held_out = [*stage.held_out.rgba.permute(0, 2, 3, 1).contiguous().numpy()]
    scores, scored = score_codec(loaded, held_out, multiple=pixels), stage.validation_metrics(stage.parts)
    assert scores["psnr_db"]["mean"] == pytest.approx(scored["held_out_psnr_db"], abs=0.1)
    assert scores["alpha"]["mae"] == pytest.approx(scored["alpha_mae"], abs=1e-3)
    assert (scores["identity_psnr_db"] > 100) == (carrier == "channels")


@pytest.mark.parametrize("vae", [kl_vae(4, 8), MiniVAE((3, 12, 16, 24), layers_per_block=1).eval()])
def test_a_grown_vae_starts_as_the_one_it_grew_from(vae: VAE) -> None:
    grown = inflated(vae)
    rgba = torch.rand(2, 4, SIZE_PX, SIZE_PX)
    grey = (2 * rgba[:, :3] - 1) * rgba[:, 3:]
    with torch.no_grad():
        latent = vae.encode(grey, return_dict=False)[0].mean
        torch.testing.assert_close(InflatedEncoder(grown)(rgba), latent, rtol=1e-5, atol=1e-5)
        found = InflatedDecoder(grown)(None, latent)
        shown = decoded(vae, latent) / 2 + 0.5
    torch.testing.assert_close(found[:, :3], shown, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[:, 3], torch.ones_like(found[:, 3]))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a trained codec."""
    folder = tmp_path_factory.mktemp("start")
    made = recipe(8, "offset", init=saved(kl_vae(4, 8), folder))
    run = Trainer(made, make_stage(made, CPU, discs()), folder / "run")
    run.train()
    (folder / "run" / "export" / "rgba").rename(folder / "rgba")
    return folder


def test_a_decoder_that_saw_all_orientations_has_the_better_median(start: Path, tmp_path: Path) -> None:
    made = recipe(8, "offset", init=str(start), model={"orientation_augmentation": True})
    stage = make_stage(made, CPU, discs())
    assert isinstance(stage, AutoencoderStage)
    run = Trainer(made, stage, tmp_path)
    run.train()
    rgba = stage.held_out.rgba.float() / 255
    errors = [
        alpha_mae(codec.decode(codec.encode(rgba), passes=8), rgba)
        for codec in (stage.codec(run.exported()), load_codec(start / "rgba", stage.vae))
    ]
    assert errors[0] < 0.9 * errors[1]


def test_one_pass_learns_the_median_of_eight_and_latents_stay(start: Path, tmp_path: Path) -> None:
    made = recipe(8, "offset", init=str(start), model={"distill": True}, steps=15, batch_size=2)
    stage = make_stage(made, CPU, discs())
    assert isinstance(stage, DistillationStage)
    before = deepcopy(stage.parts.state_dict())
    run = Trainer(made, stage, tmp_path)
    run.train()
    moved = {name for name, value in stage.parts.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("alpha_decoder.")}
    taught = stage.teacher.alpha_decoder
    assert taught is not None
    assert all(
        torch.equal(value, before[f"alpha_decoder.{name}"]) for name, value in taught.state_dict().items()
    )
    scores = stage.validation_metrics(run.exported())
    assert scores["one_pass/to_median_alpha_mae"] < 0.8 * scores["before/to_median_alpha_mae"]
    assert scores["one_pass/to_median_psnr_db"] > scores["before/to_median_psnr_db"]
    name = "offset_encoder/diffusion_pytorch_model.safetensors"
    kept, exported = read(start / "rgba" / name), read(tmp_path / "export" / "rgba" / name)
    assert all(torch.equal(value, exported[each]) for each, value in kept.items())


def test_a_grown_vae_is_the_codec_of_a_pipeline_and_more_channels_are_refused(tmp_path: Path) -> None:
    model = tiny.save_mini(tmp_path / "model")
    for carrier in ("inflated", "channels"):
        made = recipe(8, carrier, init=str(model), steps=1)
        Trainer(made, make_stage(made, CPU, discs()), tmp_path / carrier).train()
    shutil.rmtree(model / "rgba")
    shutil.copytree(tmp_path / "inflated" / "export" / "rgba", model / "rgba")
    pipe = pellucid.load(model)
    scene = pipe.generate("a cat", seed=1, num_inference_steps=2, height=40, width=33)
    assert not isinstance(scene, list)
    assert scene.layers[0].image.shape == (40, 33, 4)
    assert score_reconstruction(pipe, [scene.layers[0].image])["psnr_db"]["mean"] > 0
    shutil.rmtree(model / "rgba")
    shutil.copytree(tmp_path / "channels" / "export" / "rgba", model / "rgba")
    with pytest.raises(InputError, match="OffsetEncoder 2 for 16, AlphaDecoder 18 for 16"):
        pellucid.load(model)


def test_beyond_a_bound_that_the_median_reached_any_value_is_right() -> None:
    found = torch.tensor([-0.5, 1.5, -0.5, 0.25], requires_grad=True)
    loss = clipped_l1(found, torch.tensor([0.0, 1.0, 0.25, 0.0]))
    loss.backward()
    assert loss.item() == pytest.approx((0.75 + 0.25) / 4)
    assert found.grad is not None
    assert found.grad.tolist() == [0.0, 0.0, -0.25, 0.25]


def test_an_unknown_carrier_is_named(start: Path) -> None:
    with pytest.raises(ConfigError, match=r"offset.*channels.*inflated.*got 'smoke'"):
        make_stage(recipe(8, "smoke", init=str(start)), CPU, discs())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": {"idenity": 1.0}}, "no field 'idenity'"),
        ({"model": {"trainable": "^decoder"}}, "match a param"),
    ],
)
def test_a_recipe_that_would_train_something_else_is_refused(
    start: Path, values: dict[str, dict[str, object]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_stage(recipe(8, "offset", init=str(start), **values), CPU, discs())


def test_networks_of_another_vae_are_refused_before_training(start: Path) -> None:
    with pytest.raises(InputError, match="8 pixels a latent"):
        make_stage(recipe(4, "offset", init=str(start)), CPU, discs())
