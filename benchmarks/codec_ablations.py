"""What each part of the codec is for: variants of one recipe, three seeds each, for docs/reproduction.md.

    python benchmarks/codec_ablations.py -o runs/codec-ablations

Trains the recipe's VAE once and every variant over it in turn, for the same number of steps; scores what was
exported on the held-out pictures; prints the page's tables and draws its figure. Called again it goes on
where it stopped, --minutes ends it early, --draw only prints and draws. Seeds are trained one after another,
so that an early end leaves whole ones. Writes benchmarks/results/codec-ablations.json after every run.
"""

import argparse
import dataclasses
import json
import math
import platform
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import linalg, stats

from pellucid.evaluation.generation import transparency
from pellucid.evaluation.metrics import alpha_mae
from pellucid.evaluation.reconstruction import score_codec
from pellucid.files.atomic import write_atomically
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.training.data.in_memory import InMemoryDataset, load_images
from pellucid.training.recipe import read_recipe
from pellucid.training.stages.components import load_vae
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer
from pellucid.weights.store import load_codec

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "codec-ablations.toml"
RESULTS = ROOT / "benchmarks" / "results" / "codec-ablations.json"
FIGURE = ROOT / "docs" / "reproduction-codec.png"
VARIANTS = {
    "paper": {},
    "no identity loss": {"weights.identity": "0"},
    "no discriminator": {"weights.discriminator": "0"},
    "extra channels": {"model.alpha_encoding": "channels"},
    "inflated VAE": {"model.alpha_encoding": "inflated"},
}
"""What each one sets in the recipe."""
PASSES = {
    "all orientations": {"model.orientation_augmentation": "true"},
    "distilled": {"model.distill": "true", "steps": "100", "learning_rate": "3e-4", "sample_every": "0"},
}
"""Codecs for the question whether one pass can be as good as the median of eight."""
STARTS = {"distilled": "all orientations"}
"""Whose networks a variant goes on from."""
COLUMNS = {
    "psnr_db": ("blends on nine colours, dB", 2),
    "alpha_mae": ("alpha MAE", 4),
    "alpha_grad": ("alpha Grad", 4),
    "partial": ("partial pixels", 3),
    "identity_psnr_db": ("frozen picture kept, dB", 1),
    "frechet": ("Fréchet distance of latents", 3),
}
"""Figures of a run: heading and decimals."""
FREE = 100.0
"""dB from which a picture is the same."""


def frechet(one: torch.Tensor, other: torch.Tensor) -> float:
    """Between Gaussians fitted to the cells of two batches of latents, (n, c, h, w)."""
    a, b = (x.double().permute(0, 2, 3, 1).flatten(0, 2).numpy() for x in (one, other))
    first, second = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(first @ second).real
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second - 2 * root))


@torch.no_grad()
def measured(codec: RGBAAutoencoder, held_out: InMemoryDataset) -> dict[str, Any]:
    """Scores of an exported codec, and how far its latents are from those of the frozen VAE."""
    pictures = list(held_out.rgba.permute(0, 2, 3, 1).contiguous().numpy())
    scores = score_codec(codec, pictures, multiple=16, all_passes=True)
    rgba = held_out.rgba.float() / 255
    plain, adjusted = codec.encode(rgba, use_offset=False), codec.encode(rgba)
    return {
        "psnr_db": scores["psnr_db"]["mean"],
        **{f"alpha_{name}": value for name, value in scores["alpha"].items()},
        "psnr_by_passes_db": scores["psnr_by_passes_db"],
        "alpha_mae_by_passes": {
            str(passes): round(alpha_mae(codec.decode(adjusted, passes=passes), rgba), 5) for passes in (1, 8)
        },
        "partial": transparency(codec.decode(adjusted, passes=1)[:, 3])["partial"],
        "identity_psnr_db": min(scores["identity_psnr_db"], FREE),
        "frechet": round(frechet(plain, adjusted[:, : plain.shape[1]]), 5),
        "latent_channels": adjusted.shape[1],
    }


@torch.no_grad()
def chance(model: Path, pictures: InMemoryDataset) -> float:
    """Fréchet distance between the frozen VAE's latents of the held-out and of as many other pictures."""
    codec = RGBAAutoencoder(load_vae(model, torch.device("cpu")), None, None)
    known, others = (pictures.only(held_out=held_out).rgba for held_out in (True, False))
    some = (known, others[:: len(others) // len(known)])
    known, others = (codec.encode(rgba.float() / 255, use_offset=False) for rgba in some)
    return round(frechet(known, others), 5)


def machine() -> dict[str, str]:
    """Where and by what a run was made."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread",
        "torch": version("torch"),
        "commit": commit.stdout.strip() or "unknown",
    }


def write(results: dict[str, Any]) -> None:
    """Replaces the results file."""
    write_atomically(RESULTS, (json.dumps(results, indent=1) + "\n").encode())


def train(folder: Path, seeds: int, ends: float) -> None:
    """All that is not done yet, until the clock of `time.monotonic` says `ends`."""
    torch.set_num_threads(1)
    device, model = torch.device("cpu"), folder / "model"
    recipe = read_recipe(RECIPE, "vae")
    pictures = load_images(recipe)
    if not (model / "vae").is_dir():
        run = Trainer(recipe, make_stage(recipe, device, pictures), folder / "vae")
        if not run.train(budget_s=ends - time.monotonic()):
            return
        shutil.copytree(folder / "vae" / "export", model)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results |= {"command": "python benchmarks/codec_ablations.py", "runs": results.get("runs", [])}
    results["vae_psnr_db"] = json.loads((folder / "vae" / "log.jsonl").read_text().splitlines()[-1])
    results["frechet_by_chance"] = chance(model, pictures)
    known = {(run["variant"], run["seed"]) for run in results["runs"]}
    todo = [(variant, seed) for group in (VARIANTS, PASSES) for seed in range(seeds) for variant in group]
    for variant, seed in todo:
        if (variant, seed) in known or time.monotonic() > ends:
            continue
        if found := one(folder, variant, seed, pictures, ends):
            results["runs"].append(found | machine())
            write(results)


def place_of(folder: Path, variant: str, seed: int) -> Path:
    """Where a variant is trained."""
    return folder / f"{variant.replace(' ', '-')}-{seed}"


def started_from(folder: Path, variant: str, seed: int) -> Path:
    """The model that a variant starts from: the VAE, with another variant's networks where needed."""
    if variant not in STARTS:
        return folder / "model"
    start = place_of(folder, STARTS[variant], seed)
    shutil.copytree(folder / "model" / "vae", start / "model" / "vae", dirs_exist_ok=True)
    shutil.copytree(start / "export" / "rgba", start / "model" / "rgba", dirs_exist_ok=True)
    return start / "model"


def one(
    folder: Path, variant: str, seed: int, pictures: InMemoryDataset, ends: float
) -> dict[str, Any] | None:
    """Trains and scores a variant; None if the time was up first."""
    device, place = torch.device("cpu"), place_of(folder, variant, seed)
    recipe = read_recipe(RECIPE, "autoencoder", {**(VARIANTS | PASSES)[variant], "seed": str(seed)})
    recipe = dataclasses.replace(recipe, init=str(started_from(folder, variant, seed)))
    run = Trainer(recipe, make_stage(recipe, device, pictures), place)
    if not run.train(budget_s=ends - time.monotonic()):
        return None
    codec = load_codec(place / "export" / "rgba", load_vae(folder / "model", device))
    scored = measured(codec, pictures.only(held_out=True))
    rows = [json.loads(line) for line in (place / "log.jsonl").read_text().splitlines()]
    return {
        "variant": variant,
        "seed": seed,
        "steps": recipe.steps,
        "parameters": sum(each.numel() for each in set(run.exported().parameters())),
        "seconds": round(run.elapsed_s, 1),
        **scored,
        "curve": {str(row["step"]): list(row.values())[1:] for row in rows if "alpha_mae" in row},
    }


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t."""
    if len(values) < 2:
        return values[0], math.nan
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return float(np.mean(values)), float(half)


def shown(mean: float, half: float, digits: int) -> str:
    """A cell; without an interval where one seed gives none."""
    return f"{mean:.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def tables(runs: list[dict[str, Any]]) -> str:
    """Markdown: every variant's figures, then their differences from the paper's, in pairs of one seed."""
    by = {(run["variant"], run["seed"]): run for run in runs}
    seeds = [seed for seed in range(9) if all((variant, seed) in by for variant in VARIANTS)]
    head = ["variant", *(name for name, _ in COLUMNS.values())]
    lines: list[str] = []
    for base in (None, "paper"):
        lines += ["", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for variant in VARIANTS:
            cells = []
            for column, (_, digits) in COLUMNS.items():
                values = [
                    by[variant, seed][column] - (by[base, seed][column] if base else 0) for seed in seeds
                ]
                mean, half = interval(values)
                free = column == "identity_psnr_db" and by[variant, seeds[0]][column] >= FREE
                sign = "+" if base else ""
                cells.append("same" if free else sign * (mean > 0) + shown(mean, half, digits))
            if variant != base:
                lines.append(f"| {variant} | {' | '.join(cells)} |")
    return f"{len(seeds)} seeds\n" + "\n".join(lines)


def passes_table(runs: list[dict[str, Any]]) -> str:
    """Markdown: what more passes give."""
    names = ["1 pass, dB", "2", "4", "8", "alpha MAE, 1 pass", "8"]
    lines = [f"| variant | {' | '.join(names)} |", "|" + "---|" * (1 + len(names))]
    for variant in ("paper", *PASSES):
        rows = [run for run in runs if run["variant"] == variant]
        if not rows:
            continue
        cells = [interval([row["psnr_by_passes_db"][str(n)] for row in rows]) for n in (1, 2, 4, 8)]
        errors = [interval([row["alpha_mae_by_passes"][str(n)] for row in rows]) for n in (1, 8)]
        texts = [shown(*cell, 2) for cell in cells] + [shown(*error, 4) for error in errors]
        lines.append(f"| {variant} | {' | '.join(texts)} |")
    return "\n".join(lines)


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Curves of the held-out scores over the steps: mean of the seeds, and their range as a band."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    names = ("blends on nine colours, dB", "alpha, mean absolute error", "frozen decoder's picture kept, dB")
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    for variant in VARIANTS:
        curves = [run["curve"] for run in runs if run["variant"] == variant]
        steps = sorted({int(step) for curve in curves for step in curve})
        values = np.array([[curve[str(step)] for step in steps] for curve in curves])
        for place, axis in enumerate(axes):
            scores = np.minimum(values[..., place], FREE)
            if place == 2 and scores.min() >= FREE:
                axis.plot([], [], label=f"{variant}: the same picture")  # keeps its colour
                continue
            (line,) = axis.plot(steps, scores.mean(0), label=variant)
            axis.fill_between(steps, scores.min(0), scores.max(0), color=line.get_color(), alpha=0.2, lw=0)
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("steps of 16 pictures")
        axis.grid(alpha=0.3)
    axes[1].set_yscale("log")
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Trains what is left, prints and draws."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/codec-ablations"))
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draw", action="store_true", help="train nothing")
    options = parser.parse_args()
    if not options.draw:
        train(options.output, options.seeds, time.monotonic() + 60 * options.minutes)
    runs = json.loads(RESULTS.read_text())["runs"]
    if {run["variant"] for run in runs} < set(VARIANTS):
        sys.exit("No seed is whole yet; the same command goes on.")
    sys.stdout.write(f"{tables(runs)}\n\n{passes_table(runs)}\n")
    draw(runs, FIGURE)


if __name__ == "__main__":
    main()
