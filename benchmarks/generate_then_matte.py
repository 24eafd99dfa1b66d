"""Compares native transparency with generating an opaque image and cutting the subject out of it.

    python benchmarks/generate_then_matte.py [--prompts 200] [--seeds 3] [--network u2netp|isnet] [--folder
    FOLDER]

Both ways start from the embedded model, with the same prompts, seeds, steps and guidance: with its
transparent adapter (as decoded, and cleaned as the command line does), and without it (opaque, on grey),
followed by a background remover with closed-form matting. Prompts are labels of the training set, evenly
spread, so the true image of a label is known: each result is compared with the training image of its label
that is nearest to it. That favours neither way, but both have learned these images.

Writes benchmarks/results/generate_then_matte.json (means with intervals and paired differences; intervals are
over images) and docs/generate-then-matte.png: the eight prompts on which each way does best and worst against
the other by alpha MAD, native and matted in an order drawn by chance, which the JSON tells.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import click
import numpy as np
import torch

import pellucid
from pellucid.data.datasets import shards_of
from pellucid.data.shards import read_shard
from pellucid.evaluation.file_scores import read_photographs
from pellucid.evaluation.generation import generate_all
from pellucid.evaluation.matting import Matter, load_matter
from pellucid.evaluation.metrics import alpha_mad, nearest_rank, premultiplied_small, rgba_tensor
from pellucid.evaluation.pair_scores import PairSettings, score_image
from pellucid.evaluation.score_table import METRICS, ScoreTable, circumstances, compare
from pellucid.evaluation.transparency import soft_distance
from pellucid.files.images import read_rgba, write_image
from pellucid.progress import track
from pellucid.rgba.cleanup import clean
from pellucid.rgba.preview import contact_sheet
from pellucid.rgba.resizing import resize_sample
from pellucid.rgba.types import RGBA8

RESULT = Path(__file__).parent / "results" / "generate_then_matte.json"
SHEET = Path(__file__).parent.parent / "docs" / "generate-then-matte.png"
SETS, GROUPS = ("fluent-3d", "noto"), ("animals", "food", "objects", "travel", "activities")
SIDE_PX, BATCH, CASES = 128, 20, 8


class TrainingImages:
    """The images that the model has learned, by label."""

    def __init__(self) -> None:
        samples = [sample for name in SETS for shard in shards_of(name) for sample in read_shard(shard)]
        kept = [(record.label, rgba) for record, rgba in samples if record.group in GROUPS]
        self.labels = [label for label, _ in kept]
        self.images = [np.ascontiguousarray(resize_sample(rgba, SIDE_PX, SIDE_PX)) for _, rgba in kept]
        self.small = torch.cat([premultiplied_small(rgba_tensor(rgba)) for rgba in self.images])

    def prompts(self, count: int) -> list[str]:
        """Returns labels, evenly spread."""
        every = sorted(set(self.labels))
        return [every[place * len(every) // count] for place in range(count)]

    def scores(self, rgba: RGBA8, label: str) -> dict[str, float]:
        """Compares an image with those of its label."""
        found = premultiplied_small(rgba_tensor(rgba))
        rank = nearest_rank(found, self.small, self.labels, [label])[0]
        own = [image for image, each in zip(self.images, self.labels, strict=True) if each == label]
        return {
            "top1": float(rank == 1),
            "mad": min(alpha_mad(rgba[..., 3], image[..., 3]) for image in own),
        }


def opaque_images(prompts: Sequence[str], seed: int, steps: int, guidance: float) -> list[np.ndarray]:
    """Samples the model without its adapter; prompt i takes seed + i."""
    stock = pellucid.load().detach()
    stock.set_progress_bar_config(disable=True)
    images: list[np.ndarray] = []
    starts = range(0, len(prompts), BATCH)
    for start in track(starts, total=len(starts), label="opaque", unit="batch"):
        part = list(prompts[start : start + BATCH])
        noise = [torch.Generator().manual_seed(seed + start + place) for place in range(len(part))]
        found = stock(
            part,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=noise,
            height=SIDE_PX,
            width=SIDE_PX,
            output_type="np",
        )
        images += [np.rint(image * 255).astype(np.uint8) for image in found.images]
    return images


def make(folder: Path, prompts: Sequence[str], seeds: int, matter: Matter) -> None:
    """Writes native and matted images of all prompts and seeds; what is there is not made again."""
    pipe = pellucid.load()
    usual = pipe.model.single.sampling
    pipe.pipeline.set_progress_bar_config(disable=True)
    for number in range(seeds):
        first = 1_000_000 * (number + 1)
        native, matted = (folder / f"{kind}-{number}" for kind in ("native", "matted"))
        if not (native / "done").exists():
            native.mkdir(parents=True, exist_ok=True)
            for place, rgba in enumerate(generate_all(pipe, prompts, seed=first, batch_size=BATCH)):
                write_image(rgba, native / f"{place:03d}.png")
            (native / "done").touch()
        if not (matted / "done").exists():
            matted.mkdir(parents=True, exist_ok=True)
            steps, guidance = usual.num_inference_steps, usual.guidance_scale
            for place, rgb in enumerate(opaque_images(prompts, first, steps, guidance)):
                whole = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
                write_image(whole, matted / f"{place:03d}-opaque.png")
                write_image(matter.cut(rgb), matted / f"{place:03d}.png")
            (matted / "done").touch()


def read(folder: Path, kind: str, number: int, place: int) -> RGBA8:
    """Reads an image; "cleaned" is a native one as the command line writes it."""
    stored = "native" if kind == "cleaned" else kind
    rgba = read_rgba(folder / f"{stored}-{number}" / f"{place:03d}.png")
    return clean(rgba) if kind == "cleaned" else rgba


def score(folder: Path, kind: str, prompts: Sequence[str], seeds: int, known: TrainingImages) -> ScoreTable:
    """Scores all images of one way."""
    settings = PairSettings(photographs=read_photographs("land-photos", 4))
    table = ScoreTable()
    for number in range(seeds):
        for place, label in enumerate(prompts):
            rgba = read(folder, kind, number, place)
            table.add(f"{number}-{place:03d}", {**known.scores(rgba, label), **score_image(rgba, settings)})
    return table


def sheet(folder: Path, prompts: Sequence[str], tables: Sequence[ScoreTable]) -> list[dict[str, object]]:
    """Draws the cases in which the two ways lie furthest apart; returns which is which."""
    native, matted = (np.asarray(table.values["mad"]) for table in tables)
    order = np.argsort(matted - native)
    names = tables[0].names
    chosen = [*_of_each_prompt(order, names), *_of_each_prompt(order[::-1], names)]
    images: list[RGBA8] = []
    labels: list[str] = []
    key: list[dict[str, object]] = []
    draw = Random(0)
    for index in chosen:
        number, place = tables[0].names[index].split("-")
        kinds = ["native", "matted"]
        draw.shuffle(kinds)
        images += [read_rgba(folder / f"{kind}-{number}" / f"{place}.png") for kind in kinds]
        labels += [prompts[int(place)], ""]
        mads = {"mad_native": native[index], "mad_matted": matted[index]}
        key.append({"prompt": prompts[int(place)], "left": kinds[0], **mads})
    drawn = contact_sheet(images, columns=8, labels=labels)
    write_image(np.dstack([drawn, np.full(drawn.shape[:2], 255, np.uint8)]), SHEET)
    return key


def _of_each_prompt(order: np.ndarray, names: Sequence[str]) -> list[int]:
    """Returns the first `CASES` images of an order that are of different prompts."""
    first: dict[str, int] = {}
    for index in order:
        first.setdefault(names[index].split("-")[1], int(index))
    return list(first.values())[:CASES]


@click.command()
@click.option("--prompts", "count", default=200, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--network", default="u2netp", show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("runs/generate-then-matte"))
def main(count: int, seeds: int, network: str, folder: Path) -> None:
    """Makes, scores, compares, writes."""
    known, matter = TrainingImages(), load_matter(network)  # type: ignore[arg-type]
    prompts = known.prompts(count)
    started = time.time()
    make(folder, prompts, seeds, matter)
    native, cleaned, matted = (
        score(folder, kind, prompts, seeds, known) for kind in ("native", "cleaned", "matted")
    )
    sets = {
        kind: soft_distance(
            [read(folder, kind, number, place) for number in range(seeds) for place in range(count)],
            [image for image, label in zip(known.images, known.labels, strict=True) if label in set(prompts)],
        )
        for kind in ("native", "cleaned", "matted")
    }
    differences = compare(matted, cleaned)
    result = {
        "made": circumstances(),
        "prompts": count,
        "seeds": seeds,
        "matting": matter.name,
        "contamination": "the embedded model has learned the images of these labels; the remover has not",
        "minutes": round((time.time() - started) / 60, 1),
        "native": {name: estimate.plain() for name, estimate in native.summary().items()},
        "cleaned": {name: estimate.plain() for name, estimate in cleaned.summary().items()},
        "matted": {name: estimate.plain() for name, estimate in matted.summary().items()},
        "cleaned_minus_matted": {
            name: {
                **row.difference.plain(),
                "better": {"first": "matted", "second": "cleaned"}.get(row.better),
            }
            for name, row in differences.items()
        },
        "soft_distance_from_training_images": {kind: round(value, 4) for kind, value in sets.items()},
        "sheet": sheet(folder, prompts, (native, matted)),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    for name, row in differences.items():
        apart = row.difference
        print(
            f"{METRICS[name].title:<45} matted {row.first:8.4g}  cleaned {row.second:8.4g}  "
            f"{apart.value:+.3g} [{apart.low:+.3g}, {apart.high:+.3g}]"
        )
    print("distance of semi-transparency from training images", sets)


if __name__ == "__main__":
    main()
