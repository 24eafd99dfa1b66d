"""How often prompts that ask for a background lose transparency, and how often `fix_background` restores it.

    python benchmarks/backdrop.py

The embedded model, twelve subjects, each plainly, with two coloured backgrounds and with those mended. Writes
benchmarks/results/backdrop.json.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch

import pellucid
from pellucid.pipelines.background_check import THRESHOLD

RESULTS = Path(__file__).parent / "results" / "backdrop.json"
SUBJECTS = (
    "a red apple", "a cat", "a glass of milk", "a key", "a ghost", "fire", "a house", "a dog face",
    "a mushroom", "soap bubbles", "a rocket", "a crown",
)  # fmt: skip
ENDINGS = {"plain": ("",), "background": (", on a white background", ", solid pink background")}
CLEAR, OPAQUE = 32, 224  # alpha levels


def corners_clear(rgba: np.ndarray) -> bool:
    """Whether the four corners, a sixteenth of each side beyond the frame that is held, are clear."""
    inset = rgba.shape[0] // 8
    return all(
        int(rgba[row, column, 3]) < CLEAR for row in (inset, -inset - 1) for column in (inset, -inset - 1)
    )


def row(pipe: pellucid.TransparentPipeline, endings: tuple[str, ...], *, mend: bool) -> dict[str, object]:
    """Every subject with every ending."""
    distances, clear, opaque = [], [], []
    for seed, subject in enumerate(SUBJECTS):
        for ending in endings:
            scene = pipe.generate(f"{subject}{ending}", seed=seed, fix_background=True)
            distances.append(float(scene.provenance.extra["backdrop"]))
            if not mend:
                scene = pipe.generate(f"{subject}{ending}", seed=seed)
            alpha = scene.layers[0].image
            clear.append(corners_clear(alpha))
            opaque.append(float((alpha[..., 3] > OPAQUE).mean()))
    return {
        "pictures": len(distances), "distance_median": round(float(np.median(distances)), 4),
        "distance_min": min(distances), "distance_max": max(distances),
        "faults_found": sum(each >= THRESHOLD for each in distances), "corners_clear": sum(clear),
        "opaque_share": round(float(np.mean(opaque)), 3),
    }  # fmt: skip


def main() -> None:
    """Three rows."""
    pipe = pellucid.load()
    report = {
        "command": "python benchmarks/backdrop.py", "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "torch": torch.__version__, "fault_from": THRESHOLD,
        "plain": row(pipe, ENDINGS["plain"], mend=False),
        "plain, mending allowed": row(pipe, ENDINGS["plain"], mend=True),
        "background": row(pipe, ENDINGS["background"], mend=False),
        "background, mended": row(pipe, ENDINGS["background"], mend=True),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
