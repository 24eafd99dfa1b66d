"""Shows how every score answers to growing damage: blur, erosion, fringe, halo, quantisation.

    python benchmarks/metric_damage.py [--count 24]

Images are those of fluent-3d at 128 px, evenly spread; each damage grows in five steps. Writes
benchmarks/results/metric_damage.json (means by step, and whether each score only ever gets worse) and
docs/metric-damage.png, where each score is drawn from its best (0) to its worst value of all steps (1).
"""

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import click
import cv2
import numpy as np
from matplotlib.figure import Figure

from pellucid.data.datasets import shards_of
from pellucid.data.shards import read_shard
from pellucid.evaluation.pair_scores import PairSettings, score_pair
from pellucid.evaluation.score_table import METRICS
from pellucid.progress import track
from pellucid.rgba.resizing import resize_sample
from pellucid.rgba.types import RGBA8

RESULT = Path(__file__).parent / "results" / "metric_damage.json"
PLOT = Path(__file__).parent.parent / "docs" / "metric-damage.png"
SIDE_PX, STEPS = 128, 5
WINDOW = np.ones((3, 3), np.uint8)
SHOWN = ("psnr", "ssim", "mad", "grad", "conn", "soft_distance", "fringe", "dirty")


def blur(rgba: RGBA8, step: int) -> RGBA8:
    """Blurs alpha by half a pixel more a step."""
    rgba[..., 3] = cv2.GaussianBlur(rgba[..., 3], (0, 0), 0.5 * step)
    return rgba


def erosion(rgba: RGBA8, step: int) -> RGBA8:
    """Takes away a pixel around the subject a step."""
    rgba[..., 3] = cv2.erode(rgba[..., 3], WINDOW, iterations=step)
    return rgba


def fringe(rgba: RGBA8, step: int) -> RGBA8:
    """Mixes white into the colour of edges, as a matte on white does, a sixth more a step."""
    edge = rgba[..., 3] < 255
    mixed = rgba[edge, :3] + (255 - rgba[edge, :3].astype(float)) * step / 6
    rgba[edge, :3] = np.rint(mixed).astype(np.uint8)
    return rgba


def halo(rgba: RGBA8, step: int) -> RGBA8:
    """Adds a faint ring of four pixels around the subject, five levels denser a step."""
    ring = cv2.dilate(rgba[..., 3], np.ones((9, 9), np.uint8)) > 128
    rgba[..., 3] = np.maximum(rgba[..., 3], (ring * 5 * step).astype(np.uint8))
    return rgba


def quantisation(rgba: RGBA8, step: int) -> RGBA8:
    """Leaves 32, 16, 8, 4, 2 levels of alpha."""
    levels = 2 ** (STEPS + 1 - step) - 1
    rgba[..., 3] = np.rint(np.rint(rgba[..., 3] / 255 * levels) / levels * 255)
    return rgba


DAMAGES: Mapping[str, Callable[[RGBA8, int], RGBA8]] = {
    each.__name__: each for each in (blur, erosion, fringe, halo, quantisation)
}


def worse(values: list[float], better: str) -> bool:
    """Tells whether values never get better."""
    signed = values if better == "lower" else [-value for value in values]
    return all(one <= other + 1e-9 for one, other in pairwise(signed))


def plot(means: Mapping[str, Mapping[str, list[float]]]) -> None:
    """Draws a panel a damage."""
    figure = Figure(figsize=(13, 3), layout="constrained")
    panels = figure.subplots(1, len(means), sharey=True)
    for axes, (damage, rows) in zip(panels, means.items(), strict=True):
        for name in SHOWN:
            values = np.asarray(rows[name]) * (-1 if METRICS[name].better == "higher" else 1)
            spread = values.max() - values.min()
            axes.plot(range(len(values)), (values - values.min()) / (spread or 1), label=METRICS[name].title)
        axes.set(title=damage, xlabel="step")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set(ylabel="from best to worst")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(PLOT, dpi=110)


@click.command()
@click.option("--count", default=24, show_default=True)
def main(count: int) -> None:
    """Damages, scores, writes."""
    samples = [rgba for shard in shards_of("fluent-3d") for _, rgba in read_shard(shard)]
    images = [
        np.ascontiguousarray(resize_sample(samples[place * len(samples) // count], SIDE_PX, SIDE_PX))
        for place in range(count)
    ]
    settings = PairSettings(photographs={})
    means: dict[str, dict[str, list[float]]] = {}
    for damage, spoil in track(DAMAGES.items(), total=len(DAMAGES), label="damaging", unit="kind"):
        rows: dict[str, list[float]] = {}
        for step in range(STEPS + 1):
            found = [
                score_pair(spoil(rgba.copy(), step) if step else rgba, rgba, settings) for rgba in images
            ]
            for name in found[0]:
                rows.setdefault(name, []).append(float(np.mean([each[name] for each in found])))
        means[damage] = rows
    result = {
        damage: {
            name: {
                "means": [round(value, 6) for value in values],
                "never_better": METRICS[name].better == "neither" or worse(values, METRICS[name].better),
                "moves": max(values) - min(values) > 1e-9,
            }
            for name, values in rows.items()
        }
        for damage, rows in means.items()
    }
    RESULT.write_text(json.dumps({"count": count, "steps": STEPS, "by_damage": result}, indent=1) + "\n")
    plot(means)
    for damage, rows in result.items():
        odd = [name for name, row in rows.items() if not row["never_better"]]
        print(f"{damage:<13} gets better somewhere: {', '.join(odd) or 'none'}")


if __name__ == "__main__":
    main()
