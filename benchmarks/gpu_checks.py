"""Checks on one GPU what a CPU cannot: speed and memory of training, 8-bit AdamW, NCCL, half precision.

python benchmarks/gpu_checks.py training --model FOLDER --data SHARD -o training.json
python benchmarks/gpu_checks.py nccl --model FOLDER --data SHARD -o nccl.json
python benchmarks/gpu_checks.py sampling --model FOLDER -o sampling.json

FOLDER is a model in diffusers' layout such as src/pellucid/mini. Variants are measured one after the other;
`--variant` chooses some. Speeds want a machine with nothing else to do.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from pellucid.pipelines.loading import load
from pellucid.training.recipe import Recipe, read_recipe
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer

RECIPE = Path(__file__).parents[1] / "recipes" / "mini-words.toml"
WARM_STEPS, STEPS = 5, 30
PROMPTS = ("a red apple", "a glass of water", "a campfire with smoke", "a cat and a ball")
VARIANTS: dict[str, dict[str, object]] = {
    "eager": {"compile": False, "channels_last": False},
    "channels last": {"compile": False, "channels_last": True},
    "8-bit AdamW": {"compile": False, "channels_last": True, "optimizer": "adamw-8bit"},
    "compiled": {"compile": True, "channels_last": False},
    "compiled, channels last": {"compile": True, "channels_last": True},
}


def attempt(name: str, measure: Callable[[], dict[str, object]]) -> dict[str, object]:
    """Returns what `measure` returns, or what went wrong, so that one fault does not lose the others."""
    started = time.monotonic()
    result: dict[str, object]
    try:
        result = measure()
    except Exception as error:  # noqa: BLE001 - the next measurement is to run
        result = {"failed": f"{type(error).__name__}: {error}"[:500]}
    print(name, result, f"{time.monotonic() - started:.1f} s", flush=True)
    return result


def training_speed(recipe: Recipe) -> dict[str, object]:
    """Measures steps a second, peak memory and the last loss of one variant."""
    torch.cuda.reset_peak_memory_stats()
    device = torch.device("cuda")
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, make_stage(recipe, device), Path(folder))
        started = time.monotonic()
        for _ in range(WARM_STEPS):
            trainer.one_step()
        torch.cuda.synchronize()
        warm = time.monotonic()
        terms: dict[str, torch.Tensor] = {}
        for _ in range(STEPS):
            terms = trainer.one_step()
        torch.cuda.synchronize()
        seconds = time.monotonic() - warm
    return {
        "steps_per_s": round(STEPS / seconds, 2),
        "rows_per_s": round(STEPS * recipe.batch_size / seconds),
        "first_steps_s": round(warm - started, 1),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "loss": {name: round(float(value), 4) for name, value in terms.items()},
    }


def nccl(model: str, data: str) -> dict[str, object]:
    """Trains five steps under torchrun, which makes an NCCL group of one process, and reads its log."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "--master-port", "29611",
            "-m", "pellucid", "train", "base", "--config", str(RECIPE), "-o", folder,
        ]  # fmt: skip
        values = {**overrides(model, data), "steps": "5", "log_every": "1", "compile": "false"}
        for name, value in values.items():
            command += ["--set", f"{name}={value}"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
            env={**os.environ, "NCCL_DEBUG": "INFO"},
        )
        if done.returncode:
            return {"failed": done.stderr[-800:]}
        losses = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
        said = [line for line in (done.stdout + done.stderr).splitlines() if "NCCL INFO" in line]
    return {"losses": losses, "nccl_lines": len(said), "version": [x for x in said if "version" in x][:1]}


def overrides(model: str, data: str) -> dict[str, str]:
    """Returns what the checks change in the recipe."""
    return {"init": model, "data": data, "sample_every": "0", "steps": "100000", "minutes": "0"}


def training(model: str, data: str, variants: Sequence[str]) -> dict[str, object]:
    """Measures variants of stage `base`."""
    recipe = read_recipe(RECIPE, "base", overrides(model, data))
    results: dict[str, object] = {}
    for name in variants:
        changed = replace(recipe, **VARIANTS[name])  # type: ignore[arg-type]
        results[name] = attempt(name, lambda changed=changed: training_speed(changed))
    return results


def sampling(model: str) -> dict[str, object]:
    """Measures seconds and memory of sampling in two precisions, and how far their images are apart."""
    results: dict[str, object] = {}
    images: dict[str, torch.Tensor] = {}
    for name in ("float32", "float16", "bfloat16"):

        def measure(name: str = name) -> dict[str, object]:
            torch.cuda.reset_peak_memory_stats()
            pipeline = load(model, device="cuda", dtype=name)
            pipeline.generate(PROMPTS[0], seed=0)
            rows: dict[str, object] = {}
            for count in (1, 16):
                torch.cuda.synchronize()
                started = time.monotonic()
                prompts = [PROMPTS[index % len(PROMPTS)] for index in range(count)]
                scenes = pipeline.generate(prompts, seed=list(range(count)), batch_size=count)
                torch.cuda.synchronize()
                rows[f"s_per_image_of_{count}"] = round((time.monotonic() - started) / count, 4)
            images[name] = torch.stack([torch.from_numpy(s.layers[0].image.copy()) for s in scenes]).float()
            rows["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 3)
            if name != "float32":
                away = (images[name] - images["float32"]).abs()
                rows["mean_levels_from_float32"] = round(float(away.mean()), 4)
                rows["most_levels_from_float32"] = float(away.max())
            return rows

        results[name] = attempt(name, measure)
    return results


def main() -> None:
    """Runs the checks and writes what they found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("training", "nccl", "sampling"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default="fluent-3d")
    parser.add_argument("--variant", action="append", choices=tuple(VARIANTS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    result: dict[str, object] = {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    if arguments.what == "training":
        result |= training(arguments.model, arguments.data, arguments.variant or tuple(VARIANTS))
    elif arguments.what == "nccl":
        result |= attempt("nccl", lambda: nccl(arguments.model, arguments.data))
    else:
        result |= sampling(arguments.model)
    arguments.output.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
