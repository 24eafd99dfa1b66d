"""What `clean` mends and breaks on real cut-outs, and what snapping does to generated images.

    python benchmarks/cleaning.py --tux STAMPS --prompts EVERYDAY --translucent TRANSLUCENT --output JSON

Cut-outs of Fluent, Noto and Tux Paint (its stamps, unpacked, if given) are blended with ten colours, with
their own masks and with masks degraded in four ways; half keep the background under alpha 0. Errors are
alpha-weighted levels, worst channel, over soft pixels. pymatting estimates the colour of all soft pixels,
and is told the background.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import pellucid
from pellucid.data.datasets import shards_of
from pellucid.data.shards import decoded, read_packed
from pellucid.files.images import read_rgba
from pellucid.rgba.cleanup import clean
from pellucid.rgba.estimators import estimate_foreground
from pellucid.rgba.padding import pad_rgb
from pellucid.rgba.snapping import snap_alpha

BACKS = (
    (255, 255, 255), (0, 0, 0), (128, 128, 128), (250, 250, 250), (40, 160, 60),
    (0, 255, 0), (30, 60, 200), (200, 40, 40), (240, 210, 150), (90, 70, 60),
)  # fmt: skip
WORSE = 0.5
SETS = ("fluent-3d", "noto")


def masks(alpha: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yields a mask, uint8 (h, w), as it is and degraded as tools degrade it."""
    height, width = alpha.shape
    small = cv2.resize(alpha, (width * 5 // 16, height * 5 // 16), interpolation=cv2.INTER_AREA)
    window = np.ones((3, 3), np.uint8)
    yield "true", alpha
    yield "blurred", cv2.GaussianBlur(alpha, (0, 0), 1.2)
    yield "enlarged from 5/16", cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    yield "grown by 1 px", cv2.GaussianBlur(cv2.dilate(alpha, window), (0, 0), 0.7)
    yield "shrunk by 1 px", cv2.GaussianBlur(cv2.erode(alpha, window), (0, 0), 0.7)


def usable(rgba: np.ndarray) -> bool:
    """Tells whether an image is a cut-out at all."""
    alpha = rgba[..., 3]
    return min(alpha.shape) >= 128 and (alpha == 0).mean() > 0.1 and (alpha == 255).mean() > 0.05


def cut_outs(tux: Path | None, each: int) -> list[np.ndarray]:
    """Draws `each` usable images of every set, the same every time."""
    found: list[np.ndarray] = []
    for name in SETS:
        rows = [content for shard in shards_of(name) for _, content in read_packed(shard)]
        random.Random(0).shuffle(rows)
        found += [rgba for rgba in map(decoded, rows[: 3 * each]) if usable(rgba)][:each]
    if tux is not None:
        paths = sorted(tux.rglob("*.png"))
        random.Random(0).shuffle(paths)
        stamps = (read_rgba(path) for path in paths)
        soft = (rgba for rgba in stamps if usable(rgba) and len(np.unique(rgba[..., 3])) > 8)
        found += [rgba for _, rgba in zip(range(each), soft, strict=False)]
    return found


def error(rgba: np.ndarray, truth: np.ndarray, soft: np.ndarray) -> float:
    """Returns the mean error of colour over soft pixels, weighted by alpha, levels."""
    alpha = rgba[..., 3][soft] / 255
    return float((alpha * np.abs(rgba[..., :3] - truth).max(axis=-1)[soft]).sum() / max(alpha.sum(), 1e-9))


def halo_figures(images: list[np.ndarray]) -> dict[str, dict[str, float]]:
    """Cleans every image with every mask, and returns the figures by mask and by what lies hidden."""
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for number, rgba in enumerate(images):
        truth = np.clip(255 * pad_rgb(rgba), 0, 255)
        share, back = rgba[..., 3:] / 255, BACKS[number % len(BACKS)]
        shown = np.rint(share * truth + (1 - share) * back)
        rows["not blended"].append(_row(rgba, rgba[..., :3].astype(float), rgba, (0, 0, 0)))
        for name, mask in masks(rgba[..., 3]):
            cut = np.dstack([shown, mask]).astype(np.uint8)
            rows[f"{name}, background hidden"].append(_row(cut, truth, rgba, back))
            cut[mask == 0] = 0
            rows[f"{name}, nothing hidden"].append(_row(cut, truth, rgba, back))
    return {name: _figures(np.array(found)) for name, found in rows.items()}


def _row(
    cut: np.ndarray, truth: np.ndarray, rgba: np.ndarray, back: tuple[int, int, int]
) -> tuple[float, ...]:
    soft = (cut[..., 3] > 0) & (cut[..., 3] < 255)
    cleaned, laid = clean(cut), cut.copy()
    laid[cut[..., 3] == 0, :3] = back
    estimated = np.rint(255 * np.asarray(estimate_foreground(laid[..., :3] / 255, laid[..., 3] / 255)))
    alphas = (np.abs(each[..., 3] - rgba[..., 3].astype(float)).mean() for each in (cut, cleaned))
    colours = (error(each, truth, soft) for each in (cut, cleaned, np.dstack([estimated, cut[..., 3]])))
    return (*colours, *alphas)


def _figures(rows: np.ndarray) -> dict[str, float]:
    before, after, matted, alpha_before, alpha_after = rows.T
    figures = {
        "colour_before": before.mean(),
        "colour_after": after.mean(),
        "colour_pymatting": matted.mean(),
        "share_worse": (after > before + WORSE).mean(),
        "share_worse_pymatting": (matted > before + WORSE).mean(),
        "alpha_before": alpha_before.mean(),
        "alpha_after": alpha_after.mean(),
        "share_alpha_worse": (alpha_after > alpha_before + WORSE).mean(),
    }
    return {name: round(float(value), 3) for name, value in figures.items()}


def haze_figures(prompts: list[str]) -> dict[str, float]:
    """Generates an image for each prompt, and says how many can be trimmed before and after snapping."""
    pipe = pellucid.load()
    raw = [pipe.generate(text, seed=i, clean=False).layers[0].image for i, text in enumerate(prompts)]
    snapped = [snap_alpha(rgba) for rgba in raw]
    pairs = list(zip(raw, snapped, strict=True))
    between = [np.abs(old[..., 3].astype(int) - new[..., 3])[_soft(old)] for old, new in pairs]
    figures = {
        "images": len(raw),
        "trimmed_before": float(np.mean([_can_be_trimmed(rgba) for rgba in raw])),
        "trimmed_after": float(np.mean([_can_be_trimmed(rgba) for rgba in snapped])),
        "nearly_clear": float(np.mean([((r[..., 3] > 0) & (r[..., 3] < 9)).mean() for r in raw])),
        "nearly_clear_after": float(np.mean([((r[..., 3] > 0) & (r[..., 3] < 9)).mean() for r in snapped])),
        "nearly_opaque": float(np.mean([((r[..., 3] > 246) & (r[..., 3] < 255)).mean() for r in raw])),
        "nearly_opaque_after": float(
            np.mean([((r[..., 3] > 246) & (r[..., 3] < 255)).mean() for r in snapped])
        ),
        "mean_change_in_haze": float(np.concatenate(between).mean()),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def _soft(rgba: np.ndarray) -> np.ndarray:
    """Marks true haze: 5 px and more of alpha that is neither nearly clear nor nearly opaque, and its rim."""
    middle = ((rgba[..., 3] > 8) & (rgba[..., 3] < 247)).astype(np.uint8)
    window = np.ones((5, 5), np.uint8)
    return cv2.dilate(cv2.erode(middle, window), np.ones((7, 7), np.uint8)) > 0


def _can_be_trimmed(rgba: np.ndarray) -> bool:
    alpha = rgba[..., 3]
    return not all(side.any() for side in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))


def main() -> None:
    """Measures both and writes the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tux", type=Path, help="folder with the unpacked stamps")
    parser.add_argument("--each", type=int, default=100, help="cut-outs of each set")
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--translucent", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    images = cut_outs(options.tux, options.each)
    figures: dict[str, object] = {"cut_outs": len(images), "halos": halo_figures(images)}
    for name in ("prompts", "translucent"):
        figures[f"haze_{name}"] = haze_figures(getattr(options, name).read_text().split("\n")[:-1])
    options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
