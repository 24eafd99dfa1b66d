"""A training killed with -9 again and again, against one that nobody interrupts: equal to the last bit?

    python benchmarks/kill_resume.py --data fluent-3d

Starts `pellucid train vae` as a process of its own, kills it at a random moment (of a seeded generator: three
in four within its training, where it writes a checkpoint after every step, the others while it starts), and
starts it again; the last one may end. One CPU thread. Compares the loss curve (the last line of log.jsonl
for each step), the checkpoint and the exported files. Writes benchmarks/results/kill-resume.json.
"""

import argparse
import datetime
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from pellucid.data.datasets import shards_of
from pellucid.data.records import Record
from pellucid.data.shards import pack, write_shard

RESULTS = Path(__file__).parent / "results" / "kill-resume.json"
RECIPE = """
data = ["{shard}"]
size_px = {size_px}
[vae]
steps = {steps}
batch_size = 8
save_every_s = 0.0
log_every = 1
warmup_steps = 10
sample_every = 50
score_count = 8
[vae.model]
block_out_channels = [3, 12, 24, 32]
layers_per_block = 1
latent_channels = 4
"""


def prepared(folder: Path, data: str, size_px: int, steps: int) -> Path:
    """Writes a shard and a recipe; returns the recipe's path."""
    shard = folder / "pictures.tar"
    if data:
        pack(shards_of(data), size_px, shard)
    else:
        rng = np.random.default_rng(0)
        about = {"keywords": (), "group": "food", "source": "", "style": "noise", "licence": "", "soft": 0.0}
        write_shard(
            (
                (
                    Record(name=str(i), label=f"thing {i}", attribution="", **about),  # type: ignore[arg-type]
                    rng.integers(0, 256, (size_px, size_px, 4), dtype=np.uint8),
                )
                for i in range(200)
            ),
            shard,
        )
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(shard=shard, size_px=size_px, steps=steps))
    return path


def start(recipe: Path, folder: Path) -> subprocess.Popen[bytes]:
    """The command, running."""
    words = ["-m", "pellucid", "train", "vae", "--device", "cpu", "--threads", "1"]
    return subprocess.Popen(
        [sys.executable, *words, "--config", str(recipe), "-o", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def changed(path: Path) -> int:
    """When a file was written, or 0."""
    return path.stat().st_mtime_ns if path.exists() else 0


def parts(folder: Path) -> set[Path]:
    """Checkpoints that were being written."""
    return set(folder.glob(".checkpoint.pt.*.part"))


def kill_once(recipe: Path, folder: Path, moments: random.Random) -> dict[str, object]:
    """Starts the run and kills it; what it was doing."""
    checkpoint = folder / "checkpoint.pt"
    torn, before, process = parts(folder), changed(checkpoint), start(recipe, folder)
    starting, wait_s = moments.random() < 0.25, moments.random()
    if starting:
        wait_s *= 8
    else:
        while changed(checkpoint) == before and process.poll() is None:
            time.sleep(0.002)
    time.sleep(wait_s)
    running = process.poll() is None
    process.kill()
    process.wait()
    state = torch.load(checkpoint, weights_only=True) if checkpoint.exists() else {"step": 0}
    return {
        "moment": "starting" if starting else "training",
        "after_s": round(wait_s, 3),
        "still_running": running,
        "within_a_checkpoint": bool(parts(folder) - torn),
        "step_on_disk": state["step"],
    }


def curve(folder: Path) -> dict[tuple[int, str], float]:
    """Numbers of the log by step and name, each from the last line that has it."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {
        (line["step"], name): value
        for line in lines
        for name, value in line.items()
        if name not in ("step", "seconds")
    }


def differing(one: object, other: object, where: str = "") -> list[str]:
    """Names of what is not equal to the bit in two checkpoints, but for the time that they took."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [name for name in one.keys() | other.keys() if name != "elapsed_s"]
        return [each for n in names for each in differing(one.get(n), other.get(n), f"{where}/{n}")]
    equal = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other  # type: ignore[arg-type]
    return [] if equal else [where]


def measured(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Runs both and compares them."""
    recipe = prepared(folder, options.data, options.size_px, options.steps)
    whole, killed = folder / "whole", folder / "killed"
    if start(recipe, whole).wait():
        raise SystemExit("the uninterrupted run failed")
    moments = random.Random(options.seed)
    kills = [kill_once(recipe, killed, moments) for _ in range(options.kills)]
    if start(recipe, killed).wait():
        raise SystemExit("the killed run did not go on")
    states = [torch.load(each / "checkpoint.pt", weights_only=True) for each in (whole, killed)]
    files = [path.relative_to(whole) for path in (whole / "export").rglob("*") if path.is_file()]
    unequal = [str(file) for file in files if (whole / file).read_bytes() != (killed / file).read_bytes()]
    curves = [curve(whole), curve(killed)]
    return {
        "kills": len(kills),
        "kills_of_a_running_process": sum(bool(kill["still_running"]) for kill in kills),
        "kills_within_a_checkpoint": sum(bool(kill["within_a_checkpoint"]) for kill in kills),
        "numbers_in_the_loss_curve": len(curves[0]),
        "loss_curves_equal": curves[0] == curves[1],
        "tensors_that_differ": differing(*states),
        "exported_files": len(files),
        "exported_files_that_differ": unequal,
        "left_behind": [path.name for path in killed.glob("*.part")],
        "each": kills,
    }


def main() -> None:
    """Measures, prints and writes; exit code 1 where anything differs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--size-px", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="", help="a set's name; without one, noise")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), options)
    results = {
        "command": f"python benchmarks/kill_resume.py --kills {options.kills} --steps {options.steps} "
        f"--size-px {options.size_px} --seed {options.seed} --data {options.data!r}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"torch": version("torch")},
        **found,
    }
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({name: value for name, value in results.items() if name != "each"}, indent=1))
    equal = found["loss_curves_equal"] and not (
        found["tensors_that_differ"] or found["exported_files_that_differ"] or found["left_behind"]
    )
    sys.exit(not equal)


if __name__ == "__main__":
    main()
