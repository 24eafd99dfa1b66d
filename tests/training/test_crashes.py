"""A run that is killed, or whose disk fills up, loses nothing that its last checkpoint held."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.data.records import Record
from pellucid.data.shards import write_shard

RECIPE = """
data = ["{folder}/images.tar"]
size_px = 16
[vae]
steps = 40
batch_size = 4
save_every_s = 0.0
log_every = 1
sample_every = 0
warmup_steps = 2
[vae.model]
block_out_channels = [3, 12, 24, 32]
layers_per_block = 1
latent_channels = 4
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_kills_at_random_moments_change_no_bit(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "kill_resume.py"), "--output", str(output)]
    done = subprocess.run([*command, "--kills", "20", "--steps", "600"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(output.read_text())
    assert found["kills_of_a_running_process"] >= 15
    assert found["kills_within_a_checkpoint"] >= 1
    assert found["numbers_in_the_loss_curve"] > 600


def train(
    folder: Path, output: Path, *more: str, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, after `before` in it; a budget of 0.00001 is one step."""
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(folder=folder))
    words = ["-m", "pellucid", "train", "vae", "--device", "cpu", "--threads", "1"]
    command = [sys.executable, *words, "--config", str(recipe), "-o", str(output), *more]
    return subprocess.run(
        command, preexec_fn=before, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def complains(done: subprocess.CompletedProcess[str], output: Path) -> None:
    """Asserts one clear error, and a whole checkpoint of an earlier step."""
    said = [line for line in done.stderr.splitlines() if not line.startswith("[transformers]")]
    assert done.returncode == 1, done.stderr
    assert len(said) == 1, done.stderr
    assert said[0].startswith("pellucid: ")
    assert str(output) in said[0]
    assert torch.load(output / "checkpoint.pt", weights_only=True)["step"] == 1
    assert not list(output.glob(".*.part"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with a shard."""
    rng = np.random.default_rng(0)
    about = {"keywords": (), "group": "food", "source": "", "style": "", "licence": "", "attribution": ""}
    write_shard(
        (
            (
                Record(name=str(i), label=f"thing {i}", soft=0.0, **about),  # type: ignore[arg-type]
                rng.integers(0, 256, (16, 16, 4), dtype=np.uint8),
            )
            for i in range(40)
        ),
        tmp_path / "images.tar",
    )
    return tmp_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, room: int) -> Path:
    """Fills a disk but for `room` bytes; the file to delete."""
    filler = disk / "filler"
    state = os.statvfs(disk)
    filler.write_bytes(bytes(state.f_bavail * state.f_bsize - room))
    return filler


@pytest.mark.slow
def test_a_full_disk_ends_a_run_that_then_goes_on(images: Path, small_disk: Path) -> None:
    output = small_disk / "run"
    assert train(images, output, "--budget", "0.00001").returncode == 0
    size = (output / "checkpoint.pt").stat().st_size
    for room in (0, 16 * 1024, size // 2):
        filler = fill(small_disk, room)
        complains(train(images, output), output)
        filler.unlink()
    assert train(images, output).returncode == 0
    assert train(images, images / "whole").returncode == 0
    states = [torch.load(each / "checkpoint.pt", weights_only=True) for each in (output, images / "whole")]
    for name, value in states[0]["average"].items():
        assert torch.equal(value, states[1]["average"][name]), name
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert {line["step"] for line in lines} == set(range(1, 41))


@pytest.mark.slow
def test_a_limit_on_files_ends_a_run(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    assert train(images, output, "--budget", "0.00001").returncode == 0
    size = (output / "checkpoint.pt").stat().st_size

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    complains(train(images, output, before=limit), output)
