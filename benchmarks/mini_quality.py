"""Scores of an embedded model: codec on held-out pictures, and prompt fidelity on its vocabulary.

Usage: `python benchmarks/mini_quality.py [--model FOLDER] [--recipe RECIPE]`
Writes benchmarks/results/mini_quality.json and a sample sheet into the model's folder.
"""

import argparse
import json
from pathlib import Path

import torch
from torch.nn import functional

from pellucid.data.records import captions
from pellucid.evaluation.metrics import alpha_mae, blended_metrics, nearest_rank, psnr
from pellucid.pipelines.load import load
from pellucid.training.autoencoder import padded
from pellucid.training.config import read_recipe
from pellucid.training.parts import load_autoencoder
from pellucid.training.pictures import load_pictures
from pellucid.training.sheets import write_sheet
from pellucid.training.vocabulary import plain_pictures

SHEET = 16


def codec(folder: Path, recipe: Path) -> dict[str, object]:
    """Held-out pictures through the codec: blends on nine colours, alpha, and the identity check."""
    pictures = padded(load_pictures(read_recipe(recipe, {"groups": str(list(GROUPS))}), held_out=True))
    rgba = pictures.rgba.float() / 255
    autoencoder = load_autoencoder(folder)
    with torch.no_grad():
        adjusted, plain = (
            torch.cat([autoencoder.encode(part, use_offset=use) for part in rgba.split(32)])
            for use in (True, False)
        )
        found = {
            n: torch.cat([autoencoder.decode(p, passes=n) for p in adjusted.split(32)]) for n in (1, 2, 4, 8)
        }
        views = [autoencoder.vae.decode(autoencoder.to_raw(x)).sample / 2 + 0.5 for x in (adjusted, plain)]  # type: ignore[operator]
    return {
        "pictures": len(rgba),
        "blends_psnr_db": {name: round(value, 2) for name, value in blended_metrics(found[8], rgba).items()},
        "alpha_mae": round(alpha_mae(found[8], rgba), 5),
        "identity_psnr_db": round(float(psnr(views[0].clamp(0, 1), views[1].clamp(0, 1)).mean()), 2),
        "mean_psnr_db_by_passes": {n: round(blended_metrics(x, rgba)["mean"], 2) for n, x in found.items()},
        "mean_difference_to_8_passes": {
            n: round(float((x - found[8]).abs().mean()), 6) for n, x in found.items()
        },
    }


GROUPS = ("animals", "food", "objects", "activities", "travel", "smileys", "people")


def generation(folder: Path, recipe_path: Path, count: int) -> dict[str, object]:
    """Generated pictures of training captions: does the nearest training picture have the asked label?"""
    recipe = read_recipe(recipe_path)
    pictures = load_pictures(recipe, held_out=None)
    chosen = plain_pictures(pictures.records, recipe.groups, recipe.subjects, recipe.first_subjects)
    records = [pictures.records[index] for index in chosen]
    every = [(text, record.label) for record in records for text in captions(record, plain=True)]
    asked = [every[index * len(every) // count] for index in range(count)]
    scenes = load(folder).generate([text for text, _ in asked], seed=0, batch_size=20)
    found = (
        torch.stack([torch.from_numpy(scene.layers[0].image).permute(2, 0, 1) for scene in scenes]).float()
        / 255
    )
    known = pictures.rgba[chosen].float() / 255
    small = [premultiplied_small(picture) for picture in (found, known)]
    ranks = nearest_rank(*small, [record.label for record in records], [label for _, label in asked])
    write_sheet([found[::7][:8], found[3::7][:8]], folder / "samples.png", scale=2)
    return {
        "captions": len(asked),
        "subjects": len(records),
        "top1": sum(rank == 1 for rank in ranks) / len(ranks),
        "top5": sum(rank <= 5 for rank in ranks) / len(ranks),
        "chance_top5": round(min(1.0, 5 / len(records)), 3),
        "share_of_transparent_pixels": round(float((found[:, 3] < 0.02).float().mean()), 3),
        "share_of_partly_transparent_pixels": round(
            float(((found[:, 3] > 0.1) & (found[:, 3] < 0.9)).float().mean()), 3
        ),
    }


def premultiplied_small(rgba: torch.Tensor) -> torch.Tensor:
    """32 px straight RGBA, averaged in premultiplied colour."""
    small = functional.interpolate(
        torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1), size=32, mode="area"
    )
    return torch.cat([small[:, :3] / small[:, 3:].clamp_min(1e-6), small[:, 3:]], dim=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("src/pellucid/mini"))
    parser.add_argument("--recipe", type=Path, default=Path("recipes/mini-cpu-transparent.toml"))
    parser.add_argument("--captions", type=int, default=200)
    options = parser.parse_args()
    scores = {
        "codec": codec(options.model, options.recipe),
        "generation": generation(options.model, options.recipe, options.captions),
    }
    text = json.dumps(scores, indent=1)
    Path("benchmarks/results/mini_quality.json").write_text(text + "\n")
    print(text)
