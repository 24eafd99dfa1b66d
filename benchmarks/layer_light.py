"""Do the embedded model's layers take each other's light?

    python benchmarks/layer_light.py [--model mini]

Foregrounds: pale subjects are made on photographs of different light; how their mean colour follows the
photograph's, as the slope of one logarithm over the other (0: not at all; triples are made with 0.6, within
bounds). Backgrounds: the same for scenes that are made behind a subject in different light. 95 % intervals by
Student's t over subjects. Writes benchmarks/results/layer-light.json.
"""

import json
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from scipy import stats

import pellucid
from pellucid.data.layering import lit
from pellucid.data.shards import read_shard, resize_rgba
from pellucid.data.sources import shards_of

RESULTS = Path(__file__).parent / "results" / "layer-light.json"
SUBJECTS = (
    "a ghost",
    "a sheep",
    "a snowman",
    "an egg",
    "a cloud",
    "a rabbit",
    "a mouse",
    "a dove",
    "a tooth",
    "a swan",
)
SCENES = ("a beach", "mountains", "fields", "a city", "a sea", "a desert", "hills", "a valley")
PHOTOGRAPHS = 10
CASTS = ((255, 255, 255), (255, 190, 120), (120, 170, 255), (110, 110, 110), (170, 240, 150))
"""Light on the subject of whose background is asked."""
SOLID = 230
"""Alpha above which a pixel is of the thing and not of its shadow."""
Picture = np.ndarray


def mean_colour(rgba: Picture) -> Picture:
    """Mean (3,) of what is solid, in (0, 1]."""
    solid = rgba[..., 3] > SOLID
    return np.maximum(rgba[solid][:, :3].mean(axis=0), 1) / 255 if solid.any() else np.full(3, np.nan)


def slope(seen: Picture, made: Picture) -> float:
    """How logarithms of `made` follow those of `seen`, both (n, 3), each channel about its own mean."""
    x, y = (np.log(values) - np.log(values).mean(axis=0) for values in (seen, made))
    return float((x * y).sum() / (x * x).sum())


def about(slopes: list[float]) -> dict[str, Any]:
    """Mean and interval."""
    half = stats.t.ppf(0.975, len(slopes) - 1) * stats.sem(slopes)
    return {
        "slope": round(float(np.mean(slopes)), 3),
        "95": round(float(half), 3),
        "each": np.round(slopes, 3).tolist(),
    }


def photographs() -> list[Picture]:
    """Evenly spread over the brightness of the set."""
    found = [
        resize_rgba(rgba, 128, 128) for shard in shards_of("land-photos") for _, rgba in read_shard(shard)
    ]
    found.sort(key=lambda rgba: float(rgba[..., :3].mean()))
    return [found[i * (len(found) - 1) // (PHOTOGRAPHS - 1)] for i in range(PHOTOGRAPHS)]


def foregrounds(pipe: Any) -> dict[str, Any]:  # noqa: ANN401 - a TransparentPipeline
    """Subjects on photographs, one seed."""
    grounds = photographs()
    seen = np.stack([mean_colour(ground) for ground in grounds])
    slopes: list[float] = []
    for subject in SUBJECTS:
        made = [pipe.foreground_on(ground, subject, seed=7).layers[1].image for ground in grounds]
        slopes.append(slope(seen, np.stack([mean_colour(rgba) for rgba in made])))
        print(subject, round(slopes[-1], 2), flush=True)
    return about(slopes)


def backgrounds(pipe: Any) -> dict[str, Any]:  # noqa: ANN401 - a TransparentPipeline
    """Scenes behind one subject in several lights, one seed."""
    subject = pipe.generate("a sheep", seed=7).layers[0].image
    pictures = []
    for cast in CASTS:
        light = np.full_like(subject, 255)
        light[..., :3] = cast
        pictures.append(lit(subject, light, 1.0))
    seen = np.stack([mean_colour(picture) for picture in pictures])
    slopes: list[float] = []
    for scene in SCENES:
        made = [pipe.background_for(picture, scene, seed=7).layers[0].image for picture in pictures]
        slopes.append(slope(seen, np.stack([mean_colour(rgba) for rgba in made])))
        print(scene, round(slopes[-1], 2), flush=True)
    return about(slopes)


@click.command()
@click.option("--model", default="mini", show_default=True)
def main(model: str) -> None:
    """Measures both directions."""
    pipe = pellucid.load(model)
    tasks = {name: "+".join(mode.name for mode in modes) for name, modes in pipe.tasks.items()}
    report = {
        "command": "python benchmarks/layer_light.py", "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "torch": torch.__version__, "machine": platform.machine(), "tasks": tasks,
        "commit": subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip(),
        "foreground_on": foregrounds(pipe), "background_for": backgrounds(pipe),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print({name: report[name] for name in ("foreground_on", "background_for")})


if __name__ == "__main__":
    main()
