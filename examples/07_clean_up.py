"""Cleans the edges of a cut-out: dirty alpha, specks and the colour of an old background.

Run: python examples/07_clean_up.py
Prints:
    pixels with dirty alpha: 69 % before, 0 % after
    fringe of old background colour, in levels: 13.2 before, 0.0 after
"""

import numpy as np

import pellucid
from pellucid.rgba.cleanup import clean
from pellucid.rgba.defects import score

SIDE = 128
rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
alpha = np.clip(40 - np.hypot(rows, columns), 0, 3) / 3  # a disc with an edge of three pixels
red, green_screen = np.array([200, 30, 20]), np.array([0, 255, 0])

cut_out = np.zeros((SIDE, SIDE, 4), np.uint8)
cut_out[..., :3] = np.round(red * alpha[..., None] + green_screen * (1 - alpha[..., None]))
cut_out[..., 3] = np.round(255 * alpha)
cut_out[..., 3][alpha == 0] = 3  # "transparent", but not quite

cleaned = clean(cut_out)
pellucid.Scene.of(cleaned).save("clean.png")
before, after = score(cut_out), score(cleaned)
print(f"pixels with dirty alpha: {before.dirty:.0%} before, {after.dirty:.0%} after".replace("%", " %"))
print(f"fringe of old background colour, in levels: {before.fringe:.1f} before, {after.fringe:.1f} after")
