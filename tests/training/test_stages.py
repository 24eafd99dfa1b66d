"""All stages in turn on a handful of pictures: a whole model comes out, and a second call goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import pellucid
from pellucid.data.records import Record
from pellucid.data.shards import pack, read_shard, write_shard
from pellucid.errors import ConfigError
from pellucid.training.config import STAGES
from pellucid.training.stages import PARTS, train_all

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
refine_width = 8
background = 0.5
[autoencoder.model.discriminator]
width = 8
[base.model]
sample_size = 4
in_channels = 4
out_channels = 4
block_out_channels = [32, 48]
layers_per_block = 1
down_block_types = ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"]
up_block_types = ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
attention_head_dim = 4
cross_attention_dim = 384
norm_num_groups = 16
styled_share = 0.3
[transparent.model]
trainable = "attn[12]"
opaque_share = 0.0
"""


def shard(path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (2 * len(LABELS), 64, 64, 4), dtype=np.uint8)
    records = [
        Record(
            name=f"{style}-{label}",
            label=label,
            keywords=("yellow", "sour"),
            group="food",
            source="s",
            style=style,
            licence="MIT",
            attribution="a",
            soft=0.0,
        )
        for style in ("icon", "drawing")
        for label in LABELS
    ]
    write_shard(zip(records, values, strict=True), path)
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages")
    small = folder / "small.tar"
    assert pack([shard(folder / "large.tar")], 32, small) == 2 * len(LABELS)
    mini = Path(pellucid.__file__).parent / "mini"
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(data=str(small), init=str(mini)))
    return path


def test_all_stages_make_a_model_and_a_second_call_goes_on(recipe: Path, tmp_path: Path) -> None:
    device = torch.device("cpu")
    assert train_all(recipe, {}, tmp_path, device, budget_s=0) is None
    assert not (tmp_path / "model" / "vae").exists()
    model = train_all(recipe, {}, tmp_path, device, budget_s=600)
    assert model == tmp_path / "model"
    assert all((model / part).is_dir() for part in PARTS.values())
    lines = {stage: (tmp_path / stage / "log.jsonl").read_text().splitlines() for stage in STAGES}
    assert {stage: json.loads(found[-1])["step"] for stage, found in lines.items()} == dict.fromkeys(
        STAGES, 3
    )
    assert {"top1", "top5"} < json.loads(lines["transparent"][-1]).keys()
    scene = pellucid.load(model).generate("lemon", seed=1, num_inference_steps=2)
    assert not isinstance(scene, list)
    assert scene.layers[0].image.shape == (32, 32, 4)


def test_only_what_the_recipe_names_is_trained(recipe: Path, tmp_path: Path) -> None:
    train_all(recipe, {"steps": "1"}, tmp_path, torch.device("cpu"), budget_s=600)
    from safetensors.torch import load_file

    offsets = load_file(tmp_path / "model" / "adapter" / "transparent.safetensors")
    assert offsets
    assert all(".attn1." in name or ".attn2." in name for name in offsets)


def test_a_packed_shard_holds_the_same_records(recipe: Path) -> None:
    large, small = (
        [record for record, _ in read_shard(recipe.parent / name)] for name in ("large.tar", "small.tar")
    )
    assert large == small


def test_a_missing_part_is_named(recipe: Path, tmp_path: Path) -> None:
    from pellucid.training.config import read_recipe
    from pellucid.training.stages import make_stage

    found = read_recipe(recipe, "autoencoder", {"init": str(tmp_path)})
    with pytest.raises(ConfigError, match="vae"):
        make_stage(found, torch.device("cpu"))
