"""Scenes of the embedded model, seed 7, no second tries: composite, background and foreground of each.

    python benchmarks/layers_sheet.py

Writes docs/layers.png and prints the seconds of each scene, the model loaded.
"""

import time
from pathlib import Path

import numpy as np
from PIL import Image

import pellucid
from pellucid.rgba.preview import on_checkerboard

TARGET = Path(__file__).parent.parent / "docs" / "layers.png"
SCENES = (
    ("a cat", "a beach"), ("a penguin", "snow"), ("a rocket", "a sky"), ("a cactus", "a desert"),
    ("a glass of milk", "fields"), ("a ghost", "a forest"), ("a sailboat", "a sea"), ("a house", "hills"),
)  # fmt: skip


def main() -> None:
    """Draws and times every scene."""
    pipe = pellucid.load()
    columns: list[np.ndarray] = []
    for foreground, background in SCENES:
        start = time.perf_counter()
        scene = pipe.joint(foreground=foreground, background=background, seed=7)
        print(f"{foreground}, {background}: {time.perf_counter() - start:.1f} s")
        below, front = scene.layers
        shown = (scene.composite()[..., :3], below.image[..., :3], on_checkerboard(front.image, cell_px=8))
        columns.append(np.concatenate(shown))
    sheet = Image.fromarray(np.concatenate(columns, axis=1))
    sheet.resize((sheet.width * 3 // 2, sheet.height * 3 // 2), Image.Resampling.LANCZOS).save(TARGET)
    print(TARGET)


if __name__ == "__main__":
    main()
