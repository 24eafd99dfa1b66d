"""Whether the embedded model draws things in the colour that is asked for: `python benchmarks/colours.py`.

An image obeys if the median of its opaque, coloured pixels lies within 30 degrees of its hue in OKLCH;
for black, white, grey and brown, if the median lightness of its opaque pixels lies within 0.2 of the
colour's and, for the first three, the median chroma below 0.07. Held-out pairs are those that no recipe may
train on.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import pellucid
from pellucid.data.recolouring import COLOURS, GREY_CHROMA, held_out
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.compositing import flatten
from pellucid.rgba.oklab import to_oklab

SUBJECTS = ("apple", "automobile", "cat face", "teapot", "umbrella", "elephant", "guitar", "key")
HUE_DEGREES, LIGHTNESS, CHROMA = 30, 0.2, 0.07
OPAQUE = 230


def obeys(rgba: np.ndarray, name: str) -> bool:
    """Returns whether an image, uint8 (h, w, 4), has the colour of that name."""
    lab = to_oklab(rgba[rgba[..., 3] >= OPAQUE][:, :3] / 255)
    if len(lab) == 0:
        return False
    chroma, colour = np.hypot(lab[:, 1], lab[:, 2]), COLOURS[name]
    if name in ("black", "white", "grey", "brown"):
        near = abs(float(np.median(lab[:, 0])) - colour.lightness) < LIGHTNESS
        return near and (name == "brown" or float(np.median(chroma)) < CHROMA)
    coloured = lab[chroma >= GREY_CHROMA]
    if len(coloured) < 0.3 * len(lab):
        return False
    hue = np.degrees(np.arctan2(np.median(coloured[:, 2]), np.median(coloured[:, 1])))
    return bool(abs((hue - colour.hue + 180) % 360 - 180) < HUE_DEGREES)


def with_adapter(path: Path | None) -> TransparentPipeline:
    """Loads the embedded model, with another adapter on top of its own if one is given."""
    pipe = pellucid.load()
    if path is None:
        return pipe
    mode = replace(pipe.model.single, adapter=(pipe.model.single.source, path))
    return TransparentPipeline(pipe.detach(), pipe.autoencoder, tasks={"foreground": (mode,)}, model="mini")


def main() -> None:
    """Draws every subject in every colour, scores them, and writes figures and a sheet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--adapter", type=Path, help="on top of the model's own")
    parser.add_argument("--output", type=Path, required=True, help="JSON")
    parser.add_argument("--sheet", type=Path, required=True, help="PNG")
    options = parser.parse_args()
    pipe = with_adapter(options.adapter)
    found: dict[tuple[str, str], bool] = {}
    rows: list[np.ndarray] = []
    for subject in SUBJECTS:
        drawn = [pipe.generate(f"{name} {subject}", seed=100).layers[0].image for name in COLOURS]
        found |= {(subject, name): obeys(rgba, name) for name, rgba in zip(COLOURS, drawn, strict=True)}
        rows.append(np.concatenate([flatten(rgba, "#e0e0e0") for rgba in drawn], axis=1))
    Image.fromarray(np.concatenate(rows)).save(options.sheet)
    kept = [obeyed for (subject, name), obeyed in found.items() if held_out(subject, name)]
    seen = [obeyed for (subject, name), obeyed in found.items() if not held_out(subject, name)]
    scores = {
        "trained": round(float(np.mean(seen)), 3),
        "n_trained": len(seen),
        "held_out": round(float(np.mean(kept)), 3) if kept else None,
        "n_held_out": len(kept),
        "by_colour": {name: sum(found[subject, name] for subject in SUBJECTS) for name in COLOURS},
        "subjects": SUBJECTS,
    }
    options.output.write_text(json.dumps(scores, indent=1) + "\n")
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
