"""Two claims of the paper on the embedded model: LoRAs against all weights, shared attention against none.

    python benchmarks/diffusion_claims.py [--runs runs/claims] [--variant NAME …]

Every variant with three seeds, one thread; a run that is done is not done again, and tables hold what is
done. Losses are of held-out pictures at fixed noise. Writes benchmarks/results/diffusion_claims.json and
docs/reproduction-diffusion.png.
"""

import json
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MethodType
from typing import Any

import click
import matplotlib as mpl
import numpy as np
import torch
from scipy import stats

from pellucid.data.datasets import shards_of
from pellucid.data.shards import Sample, read_shard
from pellucid.training.data.in_memory import InMemoryDataset, load_images
from pellucid.training.recipe import Recipe
from pellucid.training.stages.joint_layers import JointLayersStage
from pellucid.training.stages.options import TransparentOptions
from pellucid.training.stages.text_to_image import TextToImageStage
from pellucid.training.trainer import Trainer

mpl.use("Agg")
HERE = Path(__file__).parent
RESULTS, FIGURE = (
    HERE / "results" / "diffusion_claims.json",
    HERE.parent / "docs" / "reproduction-diffusion.png",
)
SEEDS = (0, 1, 2)
BATCHES = 8
CPU = torch.device("cpu")
COMMON: dict[str, Any] = {
    "init": str(HERE.parent / "src" / "pellucid" / "mini"), "size_px": 128, "batch_size": 12,
    "warmup_steps": 10, "ema_decay": 0.0, "sample_every": 0, "log_every": 5,
}  # fmt: skip
SHARED = {"roles": ("foreground", "composite"), "rank": 16, "scenes": 512}
VARIANTS: dict[str, dict[str, Any]] = {
    "LoRA, rank 32": {"steps": 80, "learning_rate": 1e-3, "model": {"method": "lora", "rank": 32}},
    "all but q, k, v": {"steps": 80, "learning_rate": 4e-4, "model": {"method": "conv"}},
    "all weights": {"steps": 80, "learning_rate": 4e-4, "model": {"method": "full"}},
    "shared attention": {"steps": 40, "learning_rate": 1e-3, "batch_size": 6, "model": SHARED},
    "no shared attention": {"steps": 40, "learning_rate": 1e-3, "batch_size": 6, "model": SHARED},
    "shared parameters, frames apart": {
        "steps": 40, "learning_rate": 1e-3, "batch_size": 6, "model": SHARED,
    },
}  # fmt: skip
"""Without sharing, the output of the attention between frames stays at 0: each frame has its LoRAs alone.
Apart, that attention has its parameters, but each frame attends to itself."""
Losses = dict[str, float]


class Methods:
    """Adjusted latents, learned by the base model; and what it still knows of opaque pictures."""

    def __init__(self, recipe: Recipe, pictures: InMemoryDataset) -> None:
        self.stage = TextToImageStage(recipe, pictures.only(held_out=False), CPU)
        kept = pictures.only(held_out=True)
        self.adjusted = TextToImageStage(recipe, kept, CPU)
        opaque = replace(recipe, model=replace(recipe.options(TransparentOptions), opaque=True))
        self.opaque = TextToImageStage(opaque, kept, CPU)

    def losses(self) -> Losses:
        """Of held-out pictures."""
        return {"transparent": _fixed(self.adjusted, self.stage), "opaque": _fixed(self.opaque, self.stage)}


class Sharing:
    """Foreground and composite of a scene, made together."""

    def __init__(self, recipe: Recipe, samples: Sequence[Any], variant: str) -> None:
        self.stage = JointLayersStage(
            recipe, [each for each in samples if not each[0].held_out or _ground(each)], CPU
        )
        self.kept = JointLayersStage(
            recipe, [each for each in samples if each[0].held_out or _ground(each)], CPU
        )
        if variant == "no shared attention":
            for name, parameter in self.stage.sharing.named_parameters():
                parameter.requires_grad_("temporal" not in name)
        elif variant != "shared attention":
            for unit in self.stage.sharing.layers:
                unit._across_frames = MethodType(_within_frames, unit)

    def losses(self) -> Losses:
        """Of held-out scenes."""
        found = self.kept.validation_metrics(self.stage.sharing)
        return {name.removeprefix("fixed_"): 2 * value for name, value in found.items()}


def _within_frames(unit: Any, mixed: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - an AttentionSharingUnit
    """What attention between frames comes to when each frame sees itself alone."""
    return unit.temporal_o(unit.temporal_v(unit.temporal_i(unit.temporal_n(mixed))))


def _ground(sample: Sample) -> bool:
    """Backgrounds are few: both halves have the same."""
    return sample[0].group == "background"


@torch.no_grad()
def _fixed(scored: TextToImageStage, trained: TextToImageStage) -> float:
    generator = torch.Generator().manual_seed(0)
    with scored.frozen.using(trained.frozen.net):
        return sum(float(*scored.loss("", generator).values()) for _ in range(BATCHES)) / BATCHES


def run(variant: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Losses on held-out pictures at every quarter of the run."""
    shares, table = "shared" in variant, VARIANTS[variant]
    steps = table["steps"]
    data = ("fluent-3d", "land-photos") if shares else ("fluent-3d", "noto")
    stage = "layers" if shares else "transparent"
    recipe = Recipe(stage=stage, data=data, seed=seed, **(COMMON | table))  # type: ignore[arg-type]
    if shares:
        samples = [each for name in data for shard in shards_of(name) for each in read_shard(shard)]
        trial: Methods | Sharing = Sharing(recipe, samples, variant)
    else:
        trial = Methods(recipe, load_images(recipe))
    training, curve = Trainer(recipe, trial.stage, folder), [{"step": 0, **trial.losses()}]
    while training.step < steps:
        training.one_step()
        if training.step * 4 % steps == 0:
            curve.append({"step": training.step, **trial.losses()})
            print(variant, seed, curve[-1], flush=True)
    return curve


def _folder(runs: Path, variant: str, seed: int) -> Path:
    return runs / f"{variant.replace(',', '').replace(' ', '-')}-{seed}"


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and half of the 95 % interval (Student's t); None for one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return round(mean, 4), None
    error = float(stats.sem(values))
    return round(mean, 4), round(float(stats.t.ppf(0.975, len(values) - 1)) * error, 4)


def figure(curves: dict[str, list[list[dict[str, Any]]]]) -> None:
    """One panel a loss, a line a variant with its seeds' spread."""
    from matplotlib import pyplot as plt

    panels = {
        "transparent": "adjusted latents",
        "opaque": "opaque latents",
        "composite": "composite of two frames",
    }
    drawn, axes = plt.subplots(1, len(panels), figsize=(11, 3.2), layout="constrained")
    for axis, (loss, title) in zip(axes, panels.items(), strict=True):
        for variant, runs in curves.items():
            if loss in runs[0][0]:
                steps = [point["step"] for point in runs[0]]
                values = np.array([[point[loss] for point in each] for each in runs])
                axis.plot(steps, values.mean(0), marker="o", markersize=3, label=variant)
                axis.fill_between(steps, values.min(0), values.max(0), alpha=0.2)
        axis.set(title=title, xlabel="step")
        axis.legend(fontsize=7, frameon=False)
    axes[0].set_ylabel("held-out loss of v, fixed noise")
    drawn.savefig(FIGURE, dpi=110)


@click.command()
@click.option("--runs", type=click.Path(path_type=Path), default="runs/claims", help="Where runs are kept.")
@click.option(
    "--variant", "chosen", multiple=True, type=click.Choice(list(VARIANTS)), help="Train these alone."
)
@click.option("--draw", is_flag=True, help="Train nothing.")
def main(runs: Path, chosen: tuple[str, ...], draw: bool) -> None:
    """Runs what has not been run, and writes the figures."""
    torch.set_num_threads(1)
    for seed in () if draw else SEEDS:
        for variant in chosen or VARIANTS:
            folder = _folder(runs, variant, seed)
            if not (folder / "curve.json").is_file():
                started = time.monotonic()
                curve = {"curve": run(variant, seed, folder), "seconds": round(time.monotonic() - started)}
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "curve.json").write_text(json.dumps(curve))
    curves: dict[str, list[list[dict[str, Any]]]] = {}
    for variant in VARIANTS:
        files = [_folder(runs, variant, seed) / "curve.json" for seed in SEEDS]
        if found := [json.loads(file.read_text())["curve"] for file in files if file.is_file()]:
            curves[variant] = found
    last = {
        variant: {
            name: interval([each[-1][name] for each in found]) for name in found[0][0] if name != "step"
        }
        | {"seeds": len(found)}
        for variant, found in curves.items()
    }
    report = {
        "command": "python benchmarks/diffusion_claims.py",
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "torch": torch.__version__,
        "machine": f"{platform.machine()}, one thread",
        "commit": subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip(),
        "last_step_mean_and_95": last, "curves": curves,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    figure(curves)
    print(json.dumps(last, indent=1))


if __name__ == "__main__":
    main()
