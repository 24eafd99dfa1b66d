"""How closely the embedded model keeps to silhouettes that no training picture has.

    python benchmarks/control_sheet.py

Five subjects in four shapes, with and without control. Writes docs/control.webp and
benchmarks/results/control.json: intersection over union of alpha with the shape.
"""

import json
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import pellucid

HERE = Path(__file__).parent
RESULTS, SHEET = HERE / "results" / "control.json", HERE.parent / "docs" / "control.webp"
PROMPTS = ("a red apple", "a cookie", "a blue gem", "a green leaf", "fire")
SIDE, FACTOR, GREY = 128, 2, "#dddddd"
"""Shapes are drawn on this side, px, and enlarged to that of the model."""


def shapes() -> dict[str, np.ndarray]:
    """Heart, bar, disc and star, uint8 (h, w)."""
    found = {name: np.zeros((SIDE, SIDE), np.uint8) for name in ("heart", "bar", "disc", "star")}
    y, x = np.mgrid[1.3 : -1.3 : SIDE * 1j, -1.3 : 1.3 : SIDE * 1j]
    found["heart"][(x**2 + y**2 - 0.7) ** 3 - x**2 * y**3 < 0] = 255
    found["bar"][10:120, 45:85] = 255
    cv2.circle(found["disc"], (64, 70), 50, 255, -1)
    angles, radii = np.arange(10) * np.pi / 5, np.where(np.arange(10) % 2, 26, 60)
    points = np.stack([64 + radii * np.sin(angles), 64 - radii * np.cos(angles)], axis=1)
    cv2.fillPoly(found["star"], [points.astype(np.int32)], 255)
    return {name: np.kron(shape, np.ones((FACTOR, FACTOR), np.uint8)) for name, shape in found.items()}


def overlap(alpha: np.ndarray, shape: np.ndarray) -> float:
    """Intersection over union where both are more than half there."""
    both, either = (alpha > 127) & (shape > 127), (alpha > 127) | (shape > 127)
    return float(both.sum() / either.sum())


def main() -> None:
    """The sheet and its numbers."""
    pipe, rows = pellucid.load(), []
    scores: dict[str, list[float]] = {"with": [], "without": []}
    for prompt in PROMPTS:
        plain = pipe.generate(prompt, seed=1)
        row = [plain]
        for shape in shapes().values():
            rgba = np.dstack([np.full((*shape.shape, 3), 90, np.uint8), shape])
            made = pipe.generate(prompt, seed=1, control=rgba, control_kind="silhouette")
            scores["with"].append(overlap(made.layers[0].image[..., 3], shape))
            scores["without"].append(overlap(plain.layers[0].image[..., 3], shape))
            row.append(made)
        rows.append(np.concatenate([np.asarray(scene.composite(GREY))[..., :3] for scene in row], axis=1))
    Image.fromarray(np.concatenate(rows)).save(SHEET, quality=88)
    report = {
        "command": "python benchmarks/control_sheet.py", "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "pictures": len(scores["with"]),
        "mean_overlap": {name: round(float(np.mean(found)), 3) for name, found in scores.items()},
    }  # fmt: skip
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["mean_overlap"]))


if __name__ == "__main__":
    main()
