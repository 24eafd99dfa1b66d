"""Do the embedded model's layers take each other's light?

    python benchmarks/layer_light.py [--model mini]

Foregrounds: pale subjects are made on photographs of different light; how their mean colour follows the
photograph's, as the slope of one logarithm over the other (0: not at all; "as_trained" is what `lit` makes of
the subjects, as in the triples). Backgrounds: the same for scenes that are made behind a subject in different
light. 95 % intervals by Student's t over subjects. Writes benchmarks/results/layer-light.json.
"""

import json
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from scipy import stats

import pellucid
from pellucid.data.datasets import shards_of
from pellucid.data.layer_composition import lit
from pellucid.data.shards import read_shard
from pellucid.rgba.resizing import resize_sample

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
LIGHT = 0.6
"""`light` of recipes/mini-foreground-on.toml."""
SOLID = 230
"""Alpha above which a pixel is of the thing and not of its shadow."""
Picture = np.ndarray
Make = Callable[[Picture, str], Picture]


def mean_colour(rgba: Picture) -> Picture:
    """Mean (3,) of what is solid, in (0, 1]."""
    solid = rgba[..., 3] > SOLID
    return np.maximum(rgba[solid][:, :3].mean(axis=0), 1) / 255 if solid.any() else np.full(3, np.nan)


def slope(seen: Picture, made: Picture) -> float:
    """How logarithms of `made` follow those of `seen`, both (n, 3), each channel about its own mean."""
    x, y = (np.log(values) - np.log(values).mean(axis=0) for values in (seen, made))
    return float((x * y).sum() / (x * x).sum())


def photographs() -> list[Picture]:
    """Evenly spread over the brightness of the set."""
    found = [
        resize_sample(rgba, 256, 256) for shard in shards_of("land-photos") for _, rgba in read_shard(shard)
    ]
    found.sort(key=lambda rgba: float(rgba[..., :3].mean()))
    return [found[i * (len(found) - 1) // (PHOTOGRAPHS - 1)] for i in range(PHOTOGRAPHS)]


def measured(seen: Sequence[Picture], names: Sequence[str], make: Make) -> dict[str, Any]:
    """A slope for each name, over what is made of it for the pictures in `seen`."""
    colours = np.stack([mean_colour(picture) for picture in seen])
    slopes: list[float] = []
    for name in names:
        made = np.stack([mean_colour(make(picture, name)) for picture in seen])
        slopes.append(slope(colours, made))
        print(name, round(slopes[-1], 2), flush=True)
    half = stats.t.ppf(0.975, len(slopes) - 1) * stats.sem(slopes)
    return {
        "slope": round(float(np.mean(slopes)), 3),
        "95": round(float(half), 3),
        "each": np.round(slopes, 3).tolist(),
    }


def foregrounds(pipe: pellucid.TransparentPipeline) -> dict[str, Any]:
    """Subjects on photographs, one seed."""
    return measured(
        photographs(), SUBJECTS, lambda ground, text: pipe.foreground_on(ground, text, seed=7).layers[1].image
    )


def as_trained(pipe: pellucid.TransparentPipeline) -> dict[str, Any]:
    """The same subjects, lit as those of the triples are."""
    alone = {text: pipe.generate(text, seed=7).layers[0].image for text in SUBJECTS}
    return measured(photographs(), SUBJECTS, lambda ground, text: lit(alone[text], ground, LIGHT))


def backgrounds(pipe: pellucid.TransparentPipeline) -> dict[str, Any]:
    """Scenes behind one subject in several lights, one seed."""
    subject = pipe.generate("a sheep", seed=7).layers[0].image
    lights = [np.full_like(subject, 255) for _ in CASTS]
    for light, cast in zip(lights, CASTS, strict=True):
        light[..., :3] = cast
    return measured(
        [lit(subject, light, 1.0) for light in lights],
        SCENES,
        lambda picture, text: pipe.background_for(picture, text, seed=7).layers[0].image,
    )


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
        "as_trained": as_trained(pipe), "foreground_on": foregrounds(pipe),
        "background_for": backgrounds(pipe),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print({name: report[name] for name in ("as_trained", "foreground_on", "background_for")})


if __name__ == "__main__":
    main()
