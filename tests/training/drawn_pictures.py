"""A folder of pictures as a researcher has it: of a few kinds, some broken, some opaque."""

from pathlib import Path

import numpy as np
from PIL import Image

KINDS = ("disc", "ring", "glow")
BROKEN = ("cut.png", "text.webp")
OPAQUE = ("photo.jpg", "scan.png")


def draw_pictures(folder: Path, count: int = 60, side_px: int = 80) -> Path:
    """Draws discs, rings and glows, straight RGBA; of captions some are in texts and some in names."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side_px, :side_px]
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        centre, radius = rng.uniform(0.4, 0.6, 2) * side_px, rng.uniform(0.2, 0.35) * side_px
        away = np.hypot(rows - centre[0], columns - centre[1]) / radius
        alpha = {"disc": away < 1, "ring": (away > 0.6) & (away < 1), "glow": np.exp(-(away**2))}[kind]
        rgba = np.empty((side_px, side_px, 4), np.uint8)
        rgba[..., :3] = rng.integers(60, 256, 3)
        rgba[..., 3] = (alpha * 255).round()
        name = f"a-{kind}" if number < len(KINDS) else f"{number}"
        Image.fromarray(rgba, "RGBA").save(folder / f"{name}.png")
        if number >= len(KINDS):
            (folder / f"{name}.txt").write_text(f"a {kind}\n")
    whole = (folder / "a-disc.png").read_bytes()
    (folder / BROKEN[0]).write_bytes(whole[: len(whole) // 2])
    (folder / BROKEN[1]).write_text("no image")
    for name in OPAQUE:
        Image.fromarray(rng.integers(0, 256, (side_px, side_px, 3), np.uint8)).save(folder / name)
    return folder
