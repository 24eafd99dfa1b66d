"""A run on a tiny real stage: bit-equal resume, killed or not; a failed save; learning."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pellucid.data.records import Record
from pellucid.errors import ConfigError, FileError
from pellucid.training import checkpoints
from pellucid.training.data.in_memory import InMemoryDataset
from pellucid.training.recipe import STAGES, Recipe, read_recipe
from pellucid.training.stages.options import VaeOptions
from pellucid.training.stages.vae import VAEStage
from pellucid.training.trainer import Trainer, learning_rate

TINY = {"block_out_channels": (3, 12, 8, 16), "layers_per_block": 1, "latent_channels": 4}


def recipe(steps: int = 6, **values: object) -> Recipe:
    usual = {"sample_every": 0, "log_every": 2, "warmup_steps": 2, "batch_size": 4, "size_px": 16}
    return Recipe(stage="vae", data=(), steps=steps, **(usual | {"model": TINY} | values))  # type: ignore[arg-type]


def images() -> InMemoryDataset:
    generator = torch.Generator().manual_seed(7)
    records = [
        Record(
            name=label, label=label, keywords=(), group="food", source="s", style="icon", licence="MIT",
            attribution="a", soft=0.0,
        )
        for label in "xyzwxyzwcjcj"
    ]  # fmt: skip
    assert [record.label for record in records if record.held_out] == list("cjcj")
    rgba = torch.randint(0, 256, (12, 4, 16, 16), generator=generator, dtype=torch.uint8)
    return InMemoryDataset(tuple(records), rgba)


def run(folder: Path, steps: int = 6, **values: object) -> Trainer:
    made = recipe(steps, **values)
    return Trainer(made, VAEStage(made, images(), torch.device("cpu")), folder)


def weights(each: Trainer) -> Mapping[str, Tensor]:
    return each.exported().state_dict()


def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole = run(tmp_path / "whole")
    whole.train()
    first = run(tmp_path / "parts")
    for _ in range(3):
        first.one_step()
    first.save()
    second = run(tmp_path / "parts")
    assert second.step == 3
    second.train()
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(second)[name]), name


def test_accumulation_is_part_of_a_step(tmp_path: Path) -> None:
    each = run(tmp_path, accumulation=2)
    each.one_step()
    assert each.step == 1


def test_the_loss_falls_and_every_parameter_moves(tmp_path: Path) -> None:
    each = run(tmp_path, steps=60)
    before = {name: value.clone() for name, value in each.stage.modules["vae"].named_parameters()}
    first = sum(float(term) for term in each.one_step().values())
    last = first
    for _ in range(59):
        last = sum(float(term) for term in each.one_step().values())
    assert last < 0.9 * first
    moved = {n for n, p in each.stage.modules["vae"].named_parameters() if not torch.equal(p, before[n])}
    assert moved == set(before)


def test_a_nan_leaves_the_parameters_alone(tmp_path: Path) -> None:
    each = run(tmp_path)
    module = each.stage.modules["vae"]
    with torch.no_grad():
        module.patch_out.bias.fill_(float("nan"))  # type: ignore[union-attr,operator]
    before = {name: value.clone() for name, value in module.named_parameters()}
    with pytest.raises(RuntimeError, match="non-finite"):
        each.one_step()
    for name, value in module.named_parameters():
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num())


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save({"step": 1}, tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left"):
        checkpoints.save({"step": 2}, tmp_path)
    assert checkpoints.load(tmp_path) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == [checkpoints.NAME]


def test_the_rate_warms_up_then_falls() -> None:
    rates = [learning_rate(recipe(100), step) for step in range(100)]
    assert rates[0] < rates[1] > rates[50] > rates[99] > 0


def test_a_run_may_end_by_the_clock(tmp_path: Path) -> None:
    timed = run(tmp_path, steps=10_000, minutes=0.02)
    assert timed.train()
    assert 0 < timed.step < 10_000
    assert learning_rate(timed.recipe, timed.step, timed.elapsed_s) < 0.1 * timed.recipe.learning_rate
    assert run(tmp_path, steps=10_000, minutes=0.02).done


def test_a_run_scores_itself(tmp_path: Path) -> None:
    run(tmp_path, steps=2, sample_every=2, score_count=4).train()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1].keys() == {"step", "held_out_psnr_db"}
    assert (tmp_path / "sample-0000002.png").is_file()
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_recipe_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("data = []\ncolour = 1\n[vae]\nsteps = 3\n")
    with pytest.raises(ConfigError, match="colour"):
        read_recipe(path, "vae")
    path.write_text("data = []\nbatch_size = 3\n[vae]\nbatch_size = 4\n")
    with pytest.raises(ConfigError, match="lacks steps"):
        read_recipe(path, "vae")
    with pytest.raises(ConfigError, match=r"\[base\]"):
        read_recipe(path, "base")
    found = read_recipe(path, "vae", {"steps": "4", "model.latent_channels": "8"})
    assert (found.model, found.batch_size) == (VaeOptions(latent_channels=8), 4)
    with pytest.raises(ConfigError, match=r"Expected steps of .* to be a valid integer, got 'many'"):
        read_recipe(path, "vae", {"steps": "many"})
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="no readable recipe"):
        read_recipe(path, "vae")


@pytest.mark.parametrize("path", sorted(Path("recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_is_read(path: Path) -> None:
    stages = [stage for stage in STAGES if stage in tomllib.loads(path.read_text())]
    assert [read_recipe(path, stage).stage for stage in stages] == stages != []


CHILD = """
import sys, torch
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_loop import run
torch.set_num_threads(1)
run(Path(sys.argv[1]), steps=30, save_every_s=0.0).train()
"""


def test_kill_9_then_resume_is_bit_equal(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole = run(tmp_path / "whole", steps=30)
    whole.train()
    command = [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parent)), str(tmp_path / "killed")]
    for wait_s in (0.0, 0.15, 0.3):
        child = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while not (tmp_path / "killed" / checkpoints.NAME).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(wait_s)
        child.send_signal(signal.SIGKILL)
        child.wait()
    resumed = run(tmp_path / "killed", steps=30)
    resumed.train()
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


def test_modules_are_in_train_mode(tmp_path: Path) -> None:
    assert all(
        isinstance(module, nn.Module) and module.training for module in run(tmp_path).stage.modules.values()
    )
