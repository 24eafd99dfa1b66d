"""Several processes train as one does: the same losses, one set of files, whole checkpoints.

Networks here have 16 channels or more: with 8 and as many groups a norm takes away all that a bias does, its
gradient is but rounding, and Adam makes steps of that.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file

import pellucid
from pellucid.data.records import Record
from pellucid.data.shards import Sample, write_shard
from pellucid.errors import ConfigError
from pellucid.training.distributed import Processes
from pellucid.training.recipe import read_recipe
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer

RECIPES = Path(__file__).parents[2] / "recipes"
RECIPE = """
data = ["{folder}/images.tar"]
size_px = 16
[vae]
steps = 8
batch_size = 4
accumulation = 2
log_every = 1
warmup_steps = 2
sample_every = 8
score_count = 2
[vae.model]
block_out_channels = [3, 12, 16, 32]
layers_per_block = 1
latent_channels = 4
"""
DDP = """
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_GPU
mixed_precision: 'no'
num_machines: 1
num_processes: 2
"""
FSDP = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_transformer_layer_cls_to_wrap: ResidualBlock
  fsdp_reshard_after_forward: true
  fsdp_cpu_ram_efficient_loading: true
mixed_precision: 'no'
num_machines: 1
num_processes: 2
"""


OTHERS = """
data = ["{folder}/scenes.tar"]
init = "{mini}"
size_px = 32
steps = 2
batch_size = 2
accumulation = 2
log_every = 1
warmup_steps = 1
sample_every = 0
[transparent.model]
trainable = "attn[12]|conv_in|conv_out"
[layers.model]
rank = 4
scenes = 4
"""


def samples(group: str, size_px: int, count: int) -> list[Sample]:
    """Noise."""
    rng = np.random.default_rng(0)
    return [
        (
            Record(
                name=f"{group}{i}", label=f"thing {i}", keywords=(), group=group, source="s", style="icon",
                licence="MIT", attribution="a", soft=0.0,
            ),
            rng.integers(0, 256, (size_px, size_px, 4), dtype=np.uint8),
        )
        for i in range(count)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty images, a recipe, and a run of one process in `one`."""
    torch.set_num_threads(1)
    write_shard(samples("food", 16, 60), tmp_path / "images.tar")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(folder=tmp_path))
    recipe = read_recipe(tmp_path / "recipe.toml", "vae")
    Trainer(recipe, make_stage(recipe, torch.device("cpu")), tmp_path / "one").train()
    return tmp_path


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(
    folder: Path,
    name: str,
    config: str,
    *launcher: str,
    stage: str = "vae",
    port: int = 0,
    more: tuple[str, ...] = (),
) -> subprocess.Popen[str]:
    """Processes on this machine train into `name`."""
    path = folder / "accelerate.yaml"
    path.write_text(config)
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--config_file", path, *launcher),
        *("--main_process_port", port or free_port(), "-m", "pellucid", "train", stage, "--device", "cpu"),
        *("--threads", 1, "--config", folder / "recipe.toml", "-o", folder / name, *more),
    ]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [str(word) for word in command], env=environment, stdout=pipe, stderr=pipe, text=True
    )


def launch(
    folder: Path, name: str, config: str, *more: str, stage: str = "vae"
) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine have trained into `name`."""
    process = start(folder, name, config, stage=stage, more=more)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def losses(folder: Path) -> dict[tuple[int, str], float]:
    """Numbers of the log by step and name, of the last line that has them."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {
        (line["step"], name): value
        for line in lines
        for name, value in line.items()
        if name not in ("step", "seconds")
    }


def same(one: Path, other: Path) -> None:
    """Asserts equal losses and weights, up to the order of sums."""
    wanted, found = losses(one), losses(other)
    assert wanted.keys() == found.keys()
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, rel=1e-5, abs=1.1e-6), key  # the log has six digits
    states = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (one, other)]
    for name, value in states[0]["average"].items():
        torch.testing.assert_close(states[1]["average"][name], value, rtol=1e-3, atol=1e-5)


def test_two_processes_train_as_one_does(folder: Path) -> None:
    done = launch(folder, "two", DDP)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(folder / "two" / "export")]
    same(folder / "one", folder / "two")
    assert (folder / "two" / "sample-0000008.png").is_file()
    assert (folder / "two" / "export" / "vae" / "config.json").is_file()


@pytest.mark.slow
def test_two_processes_resume(folder: Path) -> None:
    first = launch(folder, "two", DDP, "--budget", "0.01")
    assert first.returncode == 0, first.stderr
    halted = torch.load(folder / "two" / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < halted < 8
    assert launch(folder, "two", DDP).returncode == 0
    same(folder / "one", folder / "two")


@pytest.mark.slow
def test_a_sharded_model_trains_as_a_whole_one_and_goes_on_in_any_number_of_processes(folder: Path) -> None:
    assert launch(folder, "shared", FSDP, "--budget", "0.01").returncode == 0
    halted = torch.load(folder / "shared" / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < halted < 8
    done = launch(folder, "shared", FSDP)
    assert done.returncode == 0, done.stderr
    same(folder / "one", folder / "shared")
    longer = read_recipe(folder / "recipe.toml", "vae", {"steps": "10"})
    alone = Trainer(longer, make_stage(longer, torch.device("cpu")), folder / "shared")
    assert alone.step == 8
    assert alone.train()


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "config"), [("transparent", FSDP), ("layers", FSDP), ("layers", DDP)])
def test_stages_with_frozen_networks(tmp_path: Path, stage: str, config: str) -> None:
    torch.set_num_threads(1)
    every = samples("food", 32, 8) + samples("background", 32, 8)
    write_shard(every, tmp_path / "scenes.tar")
    mini = Path(pellucid.__file__).parent / "mini"
    (tmp_path / "recipe.toml").write_text(OTHERS.format(folder=tmp_path, mini=mini))
    recipe = read_recipe(tmp_path / "recipe.toml", stage)
    Trainer(recipe, make_stage(recipe, torch.device("cpu")), tmp_path / "one").train()
    done = launch(tmp_path, "two", config.replace("ResidualBlock", "BasicTransformerBlock"), stage=stage)
    assert done.returncode == 0, done.stderr
    same(tmp_path / "one", tmp_path / "two")
    files = [sorted((tmp_path / name / "export" / "adapter").iterdir()) for name in ("one", "two")]
    assert [file.name for file in files[0]] == [file.name for file in files[1]]


@pytest.mark.slow
def test_four_nodes_by_the_file_in_recipes(folder: Path) -> None:
    """Four launches with a number each, as on four machines; here all on this one, with a process each."""
    text = (RECIPES / "accelerate-4-nodes.yaml").read_text().replace("num_processes: 32", "num_processes: 4")
    port = free_port()
    (folder / "recipe.toml").write_text(RECIPE.format(folder=folder).replace("lation = 2", "lation = 4"))
    recipe = read_recipe(folder / "recipe.toml", "vae")
    Trainer(recipe, make_stage(recipe, torch.device("cpu")), folder / "alone").train()
    nodes = [
        start(folder, "four", text, "--machine_rank", str(rank), "--main_process_ip", "127.0.0.1", port=port)
        for rank in range(4)
    ]
    ends = [(*node.communicate(timeout=300), node.returncode) for node in nodes]
    assert [end[2] for end in ends] == [0, 0, 0, 0], ends[0][1]
    same(folder / "alone", folder / "four")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("accelerate-*.yaml")), ids=lambda path: path.stem)
def test_accelerate_knows_the_files_in_recipes(path: Path) -> None:
    found = load_config_from_file(str(path))
    assert found.num_processes % found.num_machines == 0
    assert not (found.fsdp_config and found.fsdp_config["fsdp_version"] != 2)


def test_parts_that_cannot_be_dealt_out_are_refused() -> None:
    processes = Processes(torch.device("cpu"))
    processes.rank, processes.count = 1, 2
    assert list(processes.micro_batches(6)) == [1, 3, 5]
    with pytest.raises(ConfigError, match="multiple of the 2 processes"):
        processes.micro_batches(3)
