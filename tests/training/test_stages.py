"""All stages in turn on a handful of images: a whole model comes out, and a second call goes on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import pellucid
import tiny
from pellucid.data.records import Record
from pellucid.data.shards import pack, read_shard, write_shard
from pellucid.errors import ConfigError, InputError
from pellucid.pipelines.keywords import SamplingKeywords
from pellucid.pipelines.modes import Task
from pellucid.training.data.in_memory import load_images, load_samples
from pellucid.training.recipe import STAGES, read_recipe
from pellucid.training.stages.components import load_vae
from pellucid.training.stages.joint_layers import JointLayersStage
from pellucid.training.stages.options import AutoencoderOptions
from pellucid.training.stages.registry import PARTS, make_stage, train_all, usable_device
from pellucid.training.stages.t2i_adapter import T2IAdapterStage
from pellucid.training.trainer import Trainer
from pellucid.weights.store import load_codec, read

LABELS = ("lemon", "apple", "c", "j", "cat", "jar")
RECIPE = """
data = [{data!r}]
init = {init!r}
size_px = 32
steps = 3
batch_size = 2
warmup_steps = 1
sample_every = 3
score_count = 2
log_every = 1
[vae.model]
block_out_channels = [3, 12, 16, 24]
layers_per_block = 1
latent_channels = 4
[autoencoder.model.offset_encoder]
widths = [16, 32]
latent_channels = 4
fold = 4
[autoencoder.model.alpha_decoder]
widths = [16, 32]
latent_channels = 4
latent_level = 1
attention_levels = 0
layers_per_block = 1
norm_num_groups = 8
fold = 4
background = 0.5
[autoencoder.model.discriminator]
width = 8
[base.model]
style_mix = 0.3
[base.model.unet]
sample_size = 4
in_channels = 4
out_channels = 4
block_out_channels = [32, 48]
layers_per_block = 1
down_block_types = ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"]
up_block_types = ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
attention_head_dim = 4
cross_attention_dim = 16
norm_num_groups = 16
[transparent.model]
method = "full"
trainable = "attn[12]"
opaque_share = 0.0
[layers]
data = [{data!r}, {lands!r}]
[layers.model]
rank = 2
scenes = 4
[control.model]
num_res_blocks = 1
"""


def shard(path: Path, labels: tuple[str, ...] = LABELS, group: str = "food") -> Path:
    values = np.random.default_rng(0).integers(0, 256, (2 * len(labels), 64, 64, 4), dtype=np.uint8)
    records = [
        Record(
            name=f"{style}-{label}",
            label=label,
            keywords=("yellow", "sour"),
            group=group,
            source="s",
            style=style,
            licence="MIT",
            attribution="a",
            soft=0.0,
        )
        for style in ("icon", "drawing")
        for label in labels
    ]
    values[..., 3] |= np.uint8(255 if group == "background" else 0)
    write_shard(zip(records, values, strict=True), path)
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages")
    small = folder / "small.tar"
    assert pack([shard(folder / "large.tar")], 32, small) == 2 * len(LABELS)
    shard(folder / "lands.tar", ("beach", "hills"), "background")
    path = folder / "recipe.toml"
    path.write_text(
        RECIPE.format(
            data=str(small), init=str(tiny.save_mini(folder / "init")), lands=str(folder / "lands.tar")
        )
    )
    return path


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that went through every stage, a step each."""
    folder = tmp_path_factory.mktemp("whole")
    model = train_all(recipe, {"steps": "1"}, folder, torch.device("cpu"), budget_s=600)
    assert model is not None
    return model


def test_all_stages_make_a_model_and_a_second_call_goes_on(recipe: Path, tmp_path: Path) -> None:
    device = torch.device("cpu")
    assert train_all(recipe, {}, tmp_path, device, budget_s=0) is None
    assert not (tmp_path / "model" / "vae").exists()
    model = train_all(recipe, {}, tmp_path, device, budget_s=600)
    assert model is not None
    assert model == tmp_path / "model"
    assert all((model / part).exists() for part in PARTS.values())
    lines = {stage: (tmp_path / stage / "log.jsonl").read_text().splitlines() for stage in STAGES}
    assert {stage: json.loads(found[-1])["step"] for stage, found in lines.items()} == dict.fromkeys(
        STAGES, 3
    )
    assert {"top1", "top5"} < json.loads(lines["transparent"][-1]).keys()
    scene = pellucid.load(model).generate("lemon", seed=1, num_inference_steps=2)
    assert not isinstance(scene, list)
    assert scene.layers[0].image.shape == (32, 32, 4)


@pytest.mark.parametrize(
    ("frames", "hint", "task"),
    [
        (["foreground", "background"], "", "joint"),
        (["foreground", "composite"], "background", "foreground_on"),
        (["background", "composite"], "foreground", "background_for"),
    ],
)
def test_layers_are_trained_on_a_frozen_unet_and_found_by_the_model(
    recipe: Path, whole: Path, tmp_path: Path, frames: list[str], hint: str, task: Task
) -> None:
    device, model = torch.device("cpu"), shutil.copytree(whole, tmp_path / "model")
    (model / "adapter" / "joint.safetensors").unlink()
    table = {
        "ema_decay": "0.0",
        "init": str(model),
        "steps": "4",
        "learning_rate": "0.002",
        "model.hint_role": hint,
    }
    table |= {"model.roles": json.dumps(frames), "model.name": "own", "sample_every": "0", "batch_size": "4"}
    found = read_recipe(recipe, "layers", table)
    stage = make_stage(found, device)
    assert isinstance(stage, JointLayersStage)
    unet, units = copies(stage.net), copies(stage.sharing)
    before = stage.validation_metrics(stage.sharing)
    assert Trainer(found, stage, tmp_path / "own").train()
    assert not changed(stage.net, unet)
    moved = changed(stage.sharing, units)
    assert {name for name in units if "_lora" in name or "temporal_o" in name} <= moved
    assert bool(hint) == any(name.startswith("kwargs_encoder") for name in moved)
    assert sum(stage.validation_metrics(stage.sharing).values()) < sum(before.values())
    shutil.copy(tmp_path / "own" / "export" / "adapter" / "own.safetensors", model / "adapter")
    check_layers(model, frames, hint, task)


@pytest.mark.parametrize(
    ("frames", "concat", "over", "tasks"),
    [
        ("foreground", ["background"], "transparent", {"foreground_on": 1}),
        ("background", ["foreground"], "", {"background_for": 1, "joint": 2}),
        ("background", ["foreground", "composite"], "", {"split_background": 1}),
    ],
)
def test_layers_made_from_others_as_channels_are_found_by_the_model(
    recipe: Path,
    whole: Path,
    tmp_path: Path,
    frames: str,
    concat: list[str],
    over: str,
    tasks: dict[str, int],
) -> None:
    device, model = torch.device("cpu"), shutil.copytree(whole, tmp_path / "model")
    (model / "adapter" / "joint.safetensors").unlink()
    table = {"ema_decay": "0.0", "init": str(model), "steps": "8", "sample_every": "8"}
    table |= {
        "model.roles": json.dumps([frames]),
        "model.condition_roles": json.dumps(concat),
        "model.base_adapter": over,
    }
    table |= {"model.name": "own", "model.method": "lora", "learning_rate": "0.01"}
    found = read_recipe(recipe, "layers", table)
    stage = make_stage(found, device)
    net = stage.modules["unet"]
    before = copies(net)
    assert Trainer(found, stage, tmp_path / "own").train()
    assert changed(net, before) == {name for name in before if "lora_" in name} | {"conv_in.weight"}
    shutil.copy(tmp_path / "own" / "export" / "adapter" / "own.safetensors", model / "adapter")
    pipe = pellucid.load(model)
    layered = {task: len(modes) for task, modes in pipe.tasks.items() if modes[-1].conditions}
    assert layered == tasks
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    if len(concat) == 1:
        settings: SamplingKeywords = {"seed": 1, "num_inference_steps": 2}
        task = getattr(pipe, next(iter(tasks)))
        shown, other = task(image, "lemon", **settings), task(255 - image, "lemon", **settings)
        name = "lemon" if frames == "foreground" else frames
        made = [next(each for each in scene.layers if each.name == name).image for scene in (shown, other)]
        assert (made[0] != made[1]).any(), "what is shown reaches the model"


def copies(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def check_layers(model: Path, frames: list[str], hint: str, task: Task) -> None:
    """The model offers the task, and its single layers are what they were without it."""
    pipe = pellucid.load(model)
    mode = pipe.tasks[task][0]
    assert [output.role for output in mode.outputs] == frames
    assert [condition.role for condition in mode.conditions] == ([hint] if hint else [])
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    given = ("lemon", "beach") if task == "joint" else (image, "lemon")
    settings: SamplingKeywords = {"seed": 1, "num_inference_steps": 2}
    scene = getattr(pipe, task)(*given, **settings)
    named = {layer.name for layer in (*scene.layers, *scene.references)}
    # the foreground has its prompt's name, unless it was given
    made = {"lemon" if role == "foreground" and role in frames else role for role in (*frames, hint)}
    assert named == made - {""}
    alone = pipe.generate("lemon", **settings).layers[0].image
    (model / "adapter" / "own.safetensors").unlink()
    assert (alone == pellucid.load(model).generate("lemon", **settings).layers[0].image).all()


def test_loras_learn_backgrounds_on_the_plain_unet(recipe: Path, whole: Path, tmp_path: Path) -> None:
    device, model = torch.device("cpu"), shutil.copytree(whole, tmp_path / "model")
    (model / "adapter" / "joint.safetensors").unlink()
    table = {"init": str(model), "data": json.dumps([str(recipe.parent / "lands.tar")]), "steps": "12"}
    table |= {"groups": '["background"]', "model.opaque": "true", "model.rank": "2", "score_count": "0"}
    table |= {"model.method": "lora", "model.bits": "8"}
    table |= {"model.name": "background", "learning_rate": "0.01", "ema_decay": "0.0", "batch_size": "8"}
    found = read_recipe(recipe, "transparent", table)
    stage = make_stage(found, device)
    unet = copies(stage.modules["unet"])
    assert Trainer(found, stage, tmp_path / "own").train()
    moved = changed(stage.modules["unet"], unet)
    assert moved == {name for name in unet if ".lora_" in name}
    values = read(tmp_path / "own" / "export" / "adapter" / "background.safetensors")
    assert {name.rpartition("::")[0].rpartition("::")[2] for name in values} == {"lora"}
    shutil.copy(tmp_path / "own" / "export" / "adapter" / "background.safetensors", model / "adapter")
    pipe = pellucid.load(model)
    assert [mode.name for mode in pipe.tasks["joint"]] == ["mini", "mini-background"]
    settings: SamplingKeywords = {"seed": 1, "num_inference_steps": 2}
    scene = pipe.joint("lemon", "beach", **settings)
    image = scene.layers[1].image
    assert (pipe.background_for(image, "beach", **settings).layers[0].image == scene.layers[0].image).all()
    pipe.adapters.set(pipe.tasks["joint"][1].source)  # between calls the single layer's is back
    weight = pipe.pipeline.unet.get_parameter("mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight")
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight::lora::"
    learned = values[f"{name}0"].float() @ values[f"{name}1"].float()
    start = unet["mid_block.attentions.0.transformer_blocks.0.attn1.to_q.base_layer.weight"]
    assert torch.allclose(weight.float(), start + learned, atol=1e-3)


def test_layers_need_backgrounds_and_roles_that_exist(recipe: Path, whole: Path) -> None:
    device = torch.device("cpu")
    for table, words in [
        ({"model.roles": '["sky"]'}, "Expected roles of foreground"),
        ({"model.bits": "4"}, "Expected bits to be one of 16, 8"),
        ({"model.hint_role": "background"}, "a hint_role that is none of the roles"),
        ({"data": json.dumps([str(recipe.parent / "small.tar")])}, "and 0"),
    ]:
        with pytest.raises(ConfigError, match=words):
            make_stage(read_recipe(recipe, "layers", {"init": str(whole), **table}), device)


def test_layers_take_all_images_or_one_of_each_subject(recipe: Path, whole: Path) -> None:
    names: list[set[str]] = []
    for groups in ("[]", '["food"]'):
        table = {"init": str(whole), "groups": groups, "model.scenes": "60", "model.pairing_strength": "20.0"}
        stage = make_stage(read_recipe(recipe, "layers", table), torch.device("cpu"))
        assert isinstance(stage, JointLayersStage)
        names.append({triple.front.name for triple in stage.scenes.triples})
        pairs = {(each.front.label, each.back.label) for each in stage.scenes.triples}
        assert len(pairs) < len(LABELS) * 1.5  # each with the one of two backgrounds that is nearer
    kept = [label for label in LABELS if label not in ("c", "j")]  # those are held out
    styles = ("icon", "drawing")
    assert names[0] == {f"{style}-{label}" for style in styles for label in kept}
    assert names[1] == {f"icon-{label}" for label in kept}


def test_busy_backgrounds_can_be_left_out(recipe: Path, whole: Path) -> None:
    table = {"init": str(whole), "low_detail_fraction": "0.5"}
    half = {record.name for record, _ in load_samples(read_recipe(recipe, "layers", table))}
    every = {record.name for record, _ in load_samples(read_recipe(recipe, "layers", {"init": str(whole)}))}
    left_out = every - half
    assert {name.partition("-")[2] for name in left_out} == {"beach", "hills"}
    assert len(left_out) == 2
    table |= {"data": json.dumps([str(recipe.parent / "lands.tar")]), "groups": '["background"]'}
    assert len(load_images(read_recipe(recipe, "transparent", table)).records) == 2
    with pytest.raises(ConfigError, match="Expected low_detail_fraction of"):
        read_recipe(recipe, "layers", {"low_detail_fraction": "0.0"})


def test_only_what_the_recipe_names_is_trained(whole: Path) -> None:
    offsets = load_file(whole / "adapter" / "transparent.safetensors")
    assert offsets
    assert all(".attn1." in name or ".attn2." in name for name in offsets)


def test_control_moves_its_network_alone_and_reaches_images(
    recipe: Path, whole: Path, tmp_path: Path
) -> None:
    device = torch.device("cpu")
    table = {"init": str(whole), "steps": "12", "ema_decay": "0.0", "learning_rate": "0.003"}
    found = read_recipe(recipe, "control", table | {"sample_every": "12", "batch_size": "4"})
    stage = make_stage(found, device)
    assert isinstance(stage, T2IAdapterStage)
    unet, before = copies(stage.frozen.net), stage.validation_metrics(stage.adapter)["fixed_control"]
    start = copies(stage.adapter)
    assert Trainer(found, stage, tmp_path / "run").train()
    assert not changed(stage.frozen.net, unet)
    # the network has a third, coarser level for larger UNets
    assert {name for name in start if "body.2" not in name} <= changed(stage.adapter, start)
    assert stage.validation_metrics(stage.adapter)["fixed_control"] < before
    model = shutil.copytree(whole, tmp_path / "model")
    shutil.rmtree(model / "control")
    shutil.copytree(tmp_path / "run" / "export" / "control", model / "control")
    pipe = pellucid.load(model)
    shapes = [np.zeros((40, 30, 4), np.uint8) for _ in range(2)]
    shapes[0][10:30, 10:20] = 255
    settings: SamplingKeywords = {"seed": 1, "num_inference_steps": 2}
    plain, *made = (
        pipe.generate("lemon", **settings, control=shape, control_kind="silhouette").layers[0].image
        for shape in (None, *shapes)
    )
    assert (made[0] != made[1]).any()
    assert (made[0] != plain).any()
    assert (pipe.generate("lemon", **settings).layers[0].image == plain).all()
    with pytest.raises(InputError, match="Expected a structure of both"):
        pipe.generate("lemon", control=shapes[0], control_kind="depth")
    shutil.rmtree(model / "control")
    with pytest.raises(InputError, match="Expected a model with a control network"):
        pellucid.load(model).generate("lemon", control=shapes[0])


def test_a_decoder_can_go_on_alone(recipe: Path, whole: Path, tmp_path: Path) -> None:
    """From an earlier run's networks, with the offset left as diffusion models have learned it."""
    device, model = torch.device("cpu"), whole
    table = {
        "steps": "1",
        "ema_decay": "0.0",
        "init": str(model),
        "model.start": "init",
        "model.trainable": "alpha_decoder",
        "weights.gradient": "0.5",
    }
    found = read_recipe(recipe, "autoencoder", table)
    options = found.options(AutoencoderOptions)
    finer = {**options.alpha_decoder, "detail_width": 8}
    found = replace(found, model=replace(options, alpha_decoder=finer))
    stage = make_stage(found, device)
    assert stage.loss("parts", torch.Generator().manual_seed(0))["gradient"] > 0
    before = {name: value.clone() for name, value in stage.modules["parts"].state_dict().items()}
    Trainer(found, stage, tmp_path / "more").train()
    after = stage.modules["parts"].state_dict()
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith("offset_encoder")} == kept
    exported = load_codec(model / "rgba", load_vae(model, device)).alpha_decoder
    assert exported is not None
    assert torch.equal(before["alpha_decoder.conv_in.weight"], exported.get_parameter("conv_in.weight"))


def test_a_packed_shard_holds_the_same_records(recipe: Path) -> None:
    large, small = (
        [record for record, _ in read_shard(recipe.parent / name)] for name in ("large.tar", "small.tar")
    )
    assert large == small


@pytest.mark.parametrize("name", ["gpu", "cuda:77"])
def test_a_device_that_is_not_there_is_explained(name: str) -> None:
    with pytest.raises(ConfigError, match="device that torch can use"):
        usable_device(name)


def test_a_missing_part_is_named(recipe: Path, tmp_path: Path) -> None:
    found = read_recipe(recipe, "autoencoder", {"init": str(tmp_path)})
    with pytest.raises(ConfigError, match="vae"):
        make_stage(found, torch.device("cpu"))
