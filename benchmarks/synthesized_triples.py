"""Layer triples that the embedded model synthesises: how far *over* of both layers is from the composite.

    python benchmarks/synthesized_triples.py [--tried 304] [--folder FOLDER] [--model mini] [--inpainter PATH]

Runs `pellucid data layers --method synthesize` with its usual grammar and rules, seed 0, and goes on with
what FOLDER has. Compares *over*(foreground, background) with the composite, levels, on the first 200 triples
that stay: where the foreground is clear (within 8 px of it, and beyond), opaque, and partly transparent.
Times the last ten scenes again, the model loaded. Writes benchmarks/results/synthesized_triples.json, and 24
triples evenly spread over those that stay, without choice, to docs/layer-triples.png: foreground, composite
and background of each.
"""

import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from PIL import Image

import pellucid
from pellucid.data.engines import LocalEngine
from pellucid.data.layer_composition import read_triples
from pellucid.data.scene_prompts import shipped_scenes
from pellucid.rgba.compositing import over
from pellucid.rgba.preview import on_checkerboard
from pellucid.rgba.types import AnyArray
from pellucid.synthesis.models import (
    InpainterSource,
    ModelSource,
    load_inpainter_of,
    load_model,
    model_title,
    one_thread,
)
from pellucid.synthesis.triple_run import TriplePlan, run_triples
from pellucid.synthesis.triples import repainted_share, synthesise

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "synthesized_triples.json"
SHEET = ROOT / "docs" / "layer-triples.png"
MEASURED, SHOWN, COLUMNS, TIMED = 200, 24, 4, 10
SHOWN_PX = 84


def regions(foreground: AnyArray) -> dict[str, AnyArray]:
    """Masks (h, w) of the parts of a scene that are compared apart."""
    alpha, share = foreground[..., 3], repainted_share(foreground)
    return {
        "everywhere": np.ones(alpha.shape, bool),
        "alpha 0, beyond 8 px": (alpha == 0) & (share == 0),
        "alpha 0, within 8 px": (alpha == 0) & (share > 0),
        "alpha between": (alpha > 0) & (alpha < 255),
        "alpha 1": alpha == 255,
    }


def differences(triples: Sequence[dict[str, AnyArray]]) -> dict[str, dict[str, float]]:
    """Mean absolute difference in levels by region: over all pixels, and its spread over triples."""
    pixels: dict[str, list[AnyArray]] = {}
    means: dict[str, list[float]] = {}
    for images in triples:
        both = over(images["foreground"], images["background"])[..., :3].astype(np.int16)
        off = np.abs(both - images["composite"][..., :3].astype(np.int16)).mean(axis=2)
        for name, mask in regions(images["foreground"]).items():
            if mask.any():
                pixels.setdefault(name, []).append(off[mask])
                means.setdefault(name, []).append(float(off[mask].mean()))
    return {
        name: {
            "share_of_pixels": round(sum(map(len, found)) / sum(map(len, pixels["everywhere"])), 4),
            "mean_levels": round(float(np.concatenate(found).mean()), 3),
            "equal_pixels": round(float((np.concatenate(found) == 0).mean()), 4),
            "median_of_triples": round(float(np.median(means[name])), 3),
            "p95_of_triples": round(float(np.quantile(means[name], 0.95)), 3),
        }
        for name, found in pixels.items()
    }


def seconds_a_triple(plan: TriplePlan) -> dict[str, float]:
    """Times scenes anew, one thread: processor's and clock's seconds, the medians."""
    pipe, inpainter = load_model(plan.source), load_inpainter_of(plan.source, plan.inpainter)
    found: list[tuple[float, float]] = []
    with one_thread():
        for number in range(plan.count - TIMED, plan.count):
            prompt = shipped_scenes().write(number, plan.seed)
            start = time.process_time(), time.perf_counter()
            synthesise(prompt, plan.seed + number, pipe, inpainter, plan.rules, options=plan.options)
            found.append((time.process_time() - start[0], time.perf_counter() - start[1]))
    processor, clock = np.median(np.array(found), axis=0)
    return {"processor_s": round(float(processor), 2), "clock_s": round(float(clock), 2)}


def sheet(triples: Sequence[dict[str, AnyArray]]) -> Image.Image:
    """Lays triples out evenly spread, each as foreground, composite and background."""
    chosen = [triples[round(i * (len(triples) - 1) / (SHOWN - 1))] for i in range(SHOWN)]
    cells: list[AnyArray] = []
    for images in chosen:
        side = images["foreground"].shape[0]
        shown = on_checkerboard(images["foreground"], cell_px=side // 16)
        row = [shown, images["composite"][..., :3], images["background"][..., :3]]
        small = [cv2.resize(each, (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_AREA) for each in row]
        cells.append(np.pad(np.concatenate(small, axis=1), ((2, 2), (2, 2), (0, 0)), constant_values=255))
    rows = [np.concatenate(cells[i : i + COLUMNS], axis=1) for i in range(0, SHOWN, COLUMNS)]
    return Image.fromarray(np.concatenate(rows))


@click.command()
@click.option("--tried", default=304, show_default=True, help="Scenes before the rules.")
@click.option("--folder", default="synthesized-triples", show_default=True)
@click.option("--model", default="mini", show_default=True)
@click.option("--inpainter", default="", help="Pipeline that diffusers can inpaint with.")
def main(tried: int, folder: str, model: str, inpainter: str) -> None:
    """Makes, compares and shows them."""
    plan = TriplePlan(
        folder=folder,
        count=tried,
        source=ModelSource(model=model),
        inpainter=InpainterSource(path=inpainter),
    )
    manifest = run_triples(plan, LocalEngine())
    shards = [Path(folder) / shard["file"] for shard in manifest["shards"]]
    triples = [images for shard in shards for images, _ in read_triples(shard)]
    measured = triples[:MEASURED]
    result = {
        "command": f"python benchmarks/synthesized_triples.py --tried {tried}",
        "model": model_title(plan.source),
        "inpainter": inpainter or "latents of the model itself, see LatentInpainter",
        "tried": manifest["listed"],
        "dropped": manifest["dropped"],
        "kept": manifest["images"],
        "sha256": [shard["sha256"] for shard in manifest["shards"]],
        "measured": len(measured),
        "over_against_composite": differences(measured),
        "one_thread": seconds_a_triple(plan),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "version": pellucid.__version__,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    sheet(measured).save(SHEET, optimize=True)
    print(SHEET)


if __name__ == "__main__":
    main()
