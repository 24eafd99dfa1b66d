"""A few steps of every method on every family: the loss falls, only what was asked moves, files reload."""

from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from safetensors.torch import load_file
from torch import Tensor, nn

import pellucid
import tiny
import tiny_families
from goldens.loading import keys
from pellucid.data.records import Record
from pellucid.data.shards import write_shard
from pellucid.errors import ConfigError, InputError, WeightsError
from pellucid.pipelines.families import FAMILIES
from pellucid.pipelines.loading import load_stock_pipeline
from pellucid.pipelines.model_folders import write_base_model
from pellucid.pipelines.stock import StockPipeline
from pellucid.training.denoiser.frozen_pipeline import FrozenPipeline
from pellucid.training.denoiser.parameters import select_parameters
from pellucid.training.denoiser.predict import condition_names
from pellucid.training.recipe import Recipe
from pellucid.training.stages.conditional_layers import ConditionalLayersStage
from pellucid.training.stages.registry import make_stage
from pellucid.training.stages.text_to_image import TextToImageStage
from pellucid.training.trainer import Trainer
from pellucid.weights.adapter_files import save_adapter, trained_in
from pellucid.weights.adapters import apply_adapter
from weights.orders import config_of

MADE = {
    # small, since the other holds every kind of block and attention that the released ones have
    "sd15": tiny.sd15,
    "sdxl": lambda: tiny.sdxl(tiny.sdxl_unet()),
    **tiny_families.MADE,
}
OBJECTIVE = {
    **{"sd15": "epsilon", "sdxl": "epsilon", "sd21": "v_prediction", "sd3": "flow_matching"},
    **{"flux": "flow_matching", "pixart-alpha": "epsilon", "pixart-sigma": "epsilon"},
}
CPU = torch.device("cpu")
SEED = 7


def picture_shard(path: Path, group: str = "food") -> Path:
    """Discs of four colours, or plain grounds."""
    rows, columns = np.mgrid[:64, :64]
    disc = ((rows - 32) ** 2 + (columns - 32) ** 2 < 500) * np.uint8(255)
    samples: list[tuple[Record, np.ndarray]] = []
    for i, label in enumerate(("red", "green", "blue", "grey")):
        rgba = np.zeros((64, 64, 4), np.uint8)
        rgba[..., i % 3] = 200 - 20 * i
        rgba[..., 3] = 255 if group == "background" else disc
        record = Record(
            name=f"{group}-{label}", label=label, keywords=(), group=group, source="s", style="icon",
            licence="MIT", attribution="a", soft=0.0,
        )  # fmt: skip
        samples.append((record, rgba))
    write_shard(samples, path)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every family's pipeline, saved as diffusers does, with a codec."""
    found: dict[str, Path] = {}
    for name, make in MADE.items():
        folder = tmp_path_factory.mktemp(name)
        pipeline: DiffusionPipeline = make()
        pipeline.save_pretrained(folder)
        codec = tiny.codec(pipeline.components["vae"], FAMILIES[name].latent_channels)
        tiny.save_codec(codec, folder / "rgba")
        found[name] = folder
    picture_shard(tmp_path_factory.getbasetemp() / "discs.tar")
    picture_shard(tmp_path_factory.getbasetemp() / "grounds.tar", "background")
    return found


def recipe(stage: str, init: Path, model: Mapping[str, object], **values: object) -> Recipe:
    data = (str(init.parent / "discs.tar"), str(init.parent / "grounds.tar"))
    usual = {"steps": 20, "batch_size": 2, "size_px": 64, "learning_rate": 2e-3, "warmup_steps": 2}
    usual |= {"sample_every": 0, "ema_decay": 0.0, "data": data if stage == "layers" else data[:1]}
    return Recipe(stage=stage, init=str(init), model=model, **(usual | values))  # type: ignore[arg-type]


def loss(stage: TextToImageStage | ConditionalLayersStage) -> float:
    with torch.no_grad():
        generator = torch.Generator().manual_seed(SEED)
        return sum(float(term) for _ in range(4) for term in stage.loss("", generator).values())


def half_loss(stage: TextToImageStage) -> float:
    with torch.autocast("cpu", torch.bfloat16):  # none around the training: it would keep the weights' casts
        return loss(stage)


def before_and_after(
    stage: TextToImageStage | ConditionalLayersStage, made: Recipe, folder: Path
) -> set[str]:
    """Trains, demands that the loss at fixed noise falls, and returns the names of what moved."""
    net = stage.frozen.net
    start, first = {name: value.clone() for name, value in net.state_dict().items()}, loss(stage)
    assert Trainer(made, stage, folder).train()
    assert loss(stage) < first
    return {name for name, value in net.state_dict().items() if not torch.equal(value, start[name])}


def prediction(stage: TextToImageStage, net: nn.Module) -> Tensor:
    with torch.no_grad(), stage.frozen.using(net):
        _, latents, texts = stage.data.batch(torch.Generator().manual_seed(SEED))
        return stage.frozen.loss_per_sample(latents, texts, torch.Generator().manual_seed(SEED))


def reloaded(folder: Path, adapter: Path) -> nn.Module:
    net = StockPipeline(load_stock_pipeline(folder, torch.float32)).denoiser
    assert not apply_adapter(net, adapter).unmatched
    return net


def wanted(net: nn.Module, method: str) -> set[str]:
    """Names by what they say, spelled out another way than the code does."""
    embeddings = ("time_embedding", "add_embedding", "time_text_embed", "adaln_single")
    inputs = ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj")
    names = {name for name, _ in net.named_parameters()}
    if method in ("lora", "locon"):
        return {name for name in names if "lora_" in name}
    if method == "conv":
        kept = {name for name in names if any(part in name.split(".") for part in inputs)}
        return {name for name in names - kept if name.split(".")[0] not in embeddings}
    return names


@pytest.mark.parametrize(
    ("name", "method"),
    [
        *product([name for name in MADE if name != "sdxl"], ["lora", "conv", "full"]),
        ("sd15", "locon"),
        # 140 attentions take long on a CPU, and these differ from the above in names alone
        *(pytest.param("sdxl", method, marks=pytest.mark.slow) for method in ("lora", "conv", "full")),
        *(pytest.param(name, "locon", marks=pytest.mark.slow) for name in ("sd3", "pixart-sigma")),
    ],
)
def test_a_family_learns_adjusted_latents(
    folders: dict[str, Path], tmp_path: Path, name: str, method: str
) -> None:
    made = recipe(
        "transparent",
        folders[name],
        {"method": method, "rank": 4},
        steps=12,
    )
    stage = make_stage(made, CPU)
    assert isinstance(stage, TextToImageStage)
    assert stage.frozen.noising.objective == OBJECTIVE[name]
    moved = before_and_after(stage, made, tmp_path)
    net = stage.frozen.net
    asked = wanted(net, method)
    assert moved <= asked
    still = {n for n, p in net.named_parameters() if n in asked - moved and p.numel() > 64}
    assert not {each for each in still if "embed" not in each}, "text and place embeddings may lie unused"
    found = reloaded(folders[name], tmp_path / "export" / "adapter" / "transparent.safetensors")
    torch.testing.assert_close(prediction(stage, found), prediction(stage, net), rtol=2e-2, atol=2e-3)
    lora = tmp_path / "export" / "diffusers-lora"
    assert lora.exists() == (
        method in ("lora", "locon") and hasattr(type(stage.frozen.pipeline), "load_lora_weights")
    )
    if lora.exists():
        stock = load_stock_pipeline(folders[name], torch.float32)
        stock.load_lora_weights(lora)
        again = prediction(stage, StockPipeline(stock).denoiser)
        torch.testing.assert_close(again, prediction(stage, net), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "file"), [("lora", "layer_xl_transparent_attn"), ("conv", "layer_xl_transparent_conv")]
)
def test_sdxl_is_written_as_the_released_files(
    folders: dict[str, Path], tmp_path: Path, method: str, file: str
) -> None:
    made = recipe(
        "transparent", folders["sdxl"], {"method": method, "rank": 2, "format": "released"}, steps=2
    )
    stage = make_stage(made, CPU)
    assert isinstance(stage, TextToImageStage)
    Trainer(made, stage, tmp_path).train()
    path = tmp_path / "export" / "adapter" / "transparent.safetensors"
    assert set(load_file(path)) == set(keys(file))
    torch.testing.assert_close(
        prediction(stage, reloaded(folders["sdxl"], path)), prediction(stage, stage.frozen.net),
        rtol=2e-2, atol=2e-3,
    )  # fmt: skip


def test_loras_are_written_as_differences_of_whole_matrices(folders: dict[str, Path], tmp_path: Path) -> None:
    made = recipe("transparent", folders["sdxl"], {"rank": 2, "format": "merged"}, steps=2)
    stage = make_stage(made, CPU)
    Trainer(made, stage, tmp_path).train()
    found = load_file(tmp_path / "export" / "adapter" / "transparent.safetensors")
    assert set(found) == set(keys("ld_diffusers_sdxl_attn"))
    assert {value.ndim for value in found.values()} == {2}


def test_convolutions_of_low_rank_are_differences_in_released_files(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    table = {"method": "locon", "rank": 2, "format": "released", "trainable": "resnets|attn1"}
    made = recipe("transparent", folders["sdxl"], table, steps=3)
    stage = make_stage(made, CPU)
    assert isinstance(stage, TextToImageStage)
    Trainer(made, stage, tmp_path).train()
    path = tmp_path / "export" / "adapter" / "transparent.safetensors"
    kinds = {(name.split("::")[1], value.ndim) for name, value in load_file(path).items()}
    assert kinds == {("diff", 4), ("lora", 2)}
    torch.testing.assert_close(
        prediction(stage, reloaded(folders["sdxl"], path)), prediction(stage, stage.frozen.net),
        rtol=2e-2, atol=2e-3,
    )  # fmt: skip


def test_a_file_says_which_released_codec_it_was_trained_with(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    path, net = tmp_path / "own.safetensors", tiny.sdxl_unet()
    start = select_parameters(net, "lora", rank=2)
    save_adapter(net, start, path, codec="sdxl-attn")
    with pytest.raises(WeightsError, match=r"sdxl-encoder|vae_transparent_encoder"):
        pellucid.attach(load_stock_pipeline(folders["sdxl"], torch.float32), path)
    save_adapter(net, start, path)
    with pytest.raises(InputError, match="Expected an autoencoder"):
        pellucid.attach(load_stock_pipeline(folders["sdxl"], torch.float32), path)


@pytest.mark.parametrize(
    ("frames", "concat", "file"),
    [
        ("composite", ["foreground"], "layer_xl_fg2ble"),
        ("background", ["foreground", "composite"], "layer_xl_fgble2bg"),
    ],
)
def test_a_layer_is_made_from_others_as_channels(
    folders: dict[str, Path], tmp_path: Path, frames: str, concat: list[str], file: str
) -> None:
    table = {"roles": [frames], "condition_roles": concat, "scenes": 8, "format": "released"}
    made = recipe("layers", folders["sdxl"], table, steps=4)
    stage = make_stage(made, CPU)
    assert isinstance(stage, ConditionalLayersStage)
    moved = before_and_after(stage, made, tmp_path)
    names = {name for name, _ in stage.frozen.net.named_parameters()}
    assert "conv_in.weight" in moved
    assert not {each for each in moved if ".attentions." in each or "embedding" in each}
    assert {each for each in names if ".resnets." in each and each.endswith("conv1.weight")} <= moved
    path = next((tmp_path / "export" / "adapter").iterdir())
    found = load_file(path)
    assert set(found) == set(keys(file))
    first = "diffusion_model.input_blocks.0.0.weight::diff::0"
    assert found[first].shape[1] == 4 * (1 + len(concat))
    net = reloaded(folders["sdxl"], path)
    torch.testing.assert_close(
        net.get_parameter("conv_in.weight"), stage.frozen.net.get_parameter("conv_in.weight"),
        rtol=1e-2, atol=1e-3,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["sd15", pytest.param("sdxl", marks=pytest.mark.slow), "flux"])
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # of a norm, under autocast
def test_frozen_weights_in_half_precision_train_the_same_adapter(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    losses: list[float] = []
    for half in (False, True):
        table = {"method": "lora", "rank": 4}
        made = recipe("transparent", folders[name], table, precision="bfloat16", half_frozen=half, steps=20)
        stage = make_stage(made, CPU)
        assert isinstance(stage, TextToImageStage)
        kept = {p.dtype for p in stage.frozen.net.parameters() if not p.requires_grad}
        assert kept == {torch.bfloat16 if half else torch.float32}
        assert {value.dtype for value in trained_in(stage.frozen.net).values()} == {torch.float32}
        assert next(stage.frozen.pipeline.vae.parameters()).dtype == torch.float32
        first = half_loss(stage)
        assert Trainer(made, stage, tmp_path / str(half)).train()
        losses.append(half_loss(stage))
        assert losses[-1] < first
    assert losses[1] == pytest.approx(losses[0], rel=0.03)
    assert not apply_adapter(
        StockPipeline(load_stock_pipeline(folders[name], torch.float32)).denoiser,
        tmp_path / "True" / "export" / "adapter" / "transparent.safetensors",
    ).unmatched


def test_layers_learn_over_frozen_weights_in_half_precision(folders: dict[str, Path], tmp_path: Path) -> None:
    table = {"roles": ["foreground", "background"], "base_adapter": "", "scenes": 8, "rank": 2}
    made = recipe("layers", folders["sd15"], table, precision="bfloat16", half_frozen=True, steps=6)
    stage = make_stage(made, CPU)
    scores: list[dict[str, float]] = []
    for train in (False, True):
        assert not train or Trainer(made, stage, tmp_path).train()
        scores.append(stage.validation_metrics(stage.modules["sharing"]))
    before, after = scores
    assert sum(after.values()) < sum(before.values())


def test_frozen_weights_in_half_precision_need_such_passes(folders: dict[str, Path]) -> None:
    made = recipe("transparent", folders["sd15"], {}, half_frozen=True)
    with pytest.raises(ConfigError, match="precision of bfloat16 with half_frozen, got auto on cpu"):
        make_stage(made, CPU)


def test_a_layer_by_channel_of_low_rank_comes_back(folders: dict[str, Path], tmp_path: Path) -> None:
    table = {
        "roles": ["foreground"],
        "condition_roles": ["background"],
        "base_adapter": "",
        "scenes": 8,
        "bits": 8,
    }
    made = recipe("layers", folders["sd15"], table | {"method": "locon", "rank": 2}, steps=5)
    stage = make_stage(made, CPU)
    assert isinstance(stage, ConditionalLayersStage)
    Trainer(made, stage, tmp_path).train()
    net = reloaded(folders["sd15"], next((tmp_path / "export" / "adapter").iterdir()))
    assert net.get_parameter("conv_in.weight").shape[1] == 8
    given = (
        torch.rand(1, 8, 8, 8),
        torch.tensor([400]),
        torch.rand(1, 7, config_of(net)["cross_attention_dim"]),
    )
    with torch.no_grad():
        learned, found = (each(*given).sample for each in (stage.frozen.net, net))
    torch.testing.assert_close(found, learned, rtol=5e-2, atol=5e-3)


@pytest.mark.parametrize("timesteps", ["uniform", "logit-normal", "mode"])
@pytest.mark.parametrize("name", ["sd15", "sd21", "sd3"])
def test_noise_levels_and_weights(folders: dict[str, Path], name: str, timesteps: str) -> None:
    table = {"timesteps": timesteps, "logit_mean": 1.0, "min_snr_gamma": 5.0, "rank": 2}
    stage = make_stage(recipe("transparent", folders[name], table), CPU)
    assert isinstance(stage, TextToImageStage)
    noising = stage.frozen.noising
    latents = torch.randn(4096, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    made = noising(latents, torch.Generator().manual_seed(1))
    times = made.timesteps.float()
    assert 0 <= times.min() < times.max() <= 1000
    assert abs(float(times.mean()) - 500) < 20 or timesteps != "uniform" or name == "sd3"
    assert timesteps != "logit-normal" or times.mean() > 600
    if name == "sd3":
        share = (times / 1000).view(-1, 1, 1, 1)
        torch.testing.assert_close(made.noisy, latents + share * made.target)
        assert (made.weight == 1).all()
        shifted = 3 * 0.5 / (1 + 2 * 0.5)  # the scheduler's shift of 3 moves the middle
        assert timesteps != "uniform" or abs(float((times / 1000).median()) - shifted) < 0.02
        return
    kept = noising.alphas_cumprod[made.timesteps]
    snr = kept / (1 - kept)
    clean = torch.minimum(snr, torch.tensor(5.0))  # both weights, in terms of the clean latent's error
    other = snr + 1 if name == "sd21" else snr
    torch.testing.assert_close(made.weight, clean / other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["sd15", "sd3", "pixart-sigma"])
def test_cached_latents_and_checkpointed_gradients_change_nothing(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    weights: list[dict[str, Tensor]] = []
    conditions: list[str] = []
    for number, (cache, checkpointing) in enumerate([(False, False), (True, False), (True, True)]):
        table = {"method": "lora", "rank": 2, "cache": cache}
        made = recipe("transparent", folders[name], table, steps=2, gradient_checkpointing=checkpointing)
        stage = make_stage(made, CPU)
        assert isinstance(stage, TextToImageStage)
        Trainer(made, stage, tmp_path / str(number)).train()
        weights.append({key: value.clone() for key, value in trained_in(stage.frozen.net).items()})
        conditions = [f"texts-{each}" for each in condition_names(stage.frozen.stock)]
    kept = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "pellucid" / "latents").iterdir())
    assert kept == sorted(["latents", *conditions])
    for other in weights[1:]:
        for key, value in weights[0].items():
            torch.testing.assert_close(other[key], value, rtol=1e-3, atol=1e-5)


def test_mistakes_in_a_recipe_are_explained(folders: dict[str, Path]) -> None:
    for stage, name, table, words in [
        ("transparent", "sd15", {"method": "all"}, "Expected method to be one of full"),
        ("transparent", "sd15", {"method": "full", "trainable": "nothing"}, "found none"),
        ("transparent", "sd15", {"timesteps": "late"}, "Expected timesteps to be one of uniform"),
        ("transparent", "sd15", {"codec": "sd20"}, "Expected codec to name a released mode"),
        ("layers", "sdxl", {"roles": ["composite"], "condition_roles": ["composite"]}, "Expected one role"),
        (
            "layers",
            "sd3",
            {"condition_roles": ["background"], "method": "all"},
            "Expected method of",
        ),
    ]:
        few = {"scenes": 2} if stage == "layers" else {}
        with pytest.raises(ConfigError, match=words):
            make_stage(recipe(stage, folders[name], table | few), CPU)
    made = recipe("transparent", folders["sd3"], {"rank": 2, "format": "released"}, steps=1)
    with pytest.raises(ConfigError, match="released files have no name"):
        Trainer(made, make_stage(made, CPU), folders["sd3"] / "run").train()


def test_what_is_kept_is_that_of_the_model_below(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    light = tmp_path / "light"
    write_base_model(light, str(folders["sd15"]))
    frozen = FrozenPipeline(recipe("transparent", light, {"cache": True}), CPU)
    made: list[str] = []

    def make(base: str) -> Tensor:
        made.append(base)
        return torch.full((2,), float(len(made)))

    # of hub ids nothing else lies in the folder
    for base in ("one/model", "another/model", "one/model", "another/model"):
        write_base_model(light, base)
        assert frozen.make_or_reuse("latents", ["x"], partial(make, base))[0] == 1 + (base[0] == "a")
    assert made == ["one/model", "another/model"]
