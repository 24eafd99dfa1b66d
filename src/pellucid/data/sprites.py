"""Game sprites of Kenney.nl, as the Arcade library carries them."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from pellucid.data.emoji import IMAGE_PX, Files
from pellucid.data.records import Record, softness
from pellucid.data.shards import Sample
from pellucid.progress import track
from pellucid.rgba.resizing import fit_rgba

ROOT = "arcade/resources/assets/images/"
FOLDERS = (
    "alien",
    "animated_characters",
    "enemies",
    "items",
    "pinball",
    "space_shooter",
    "tiles",
    "topdown_tanks",
)
"""The others hold playing cards, backgrounds, sprite sheets and buttons."""
SMALLEST_PX = 32


def sprite_samples(common: Record, name: str, files: Sequence[Files]) -> Iterator[Sample]:
    """Yields the sprites, each in the middle of a square of at most 256 px, with their records.

    Args:
        common: a record with what all have in common.
        name: of the set.
        files: its archive.
    """
    contents = files[0]
    paths = [path for path in sorted(contents) if path.endswith(".png") and _folder(path) in FOLDERS]
    for path in track(paths, total=len(paths), label=f"packing {name}", unit="sprite"):
        image = Image.open(io.BytesIO(contents[path])).convert("RGBA")
        if min(image.size) < SMALLEST_PX:
            continue
        # never enlarged: Lanczos rings, and alpha that rings is dirty, which the filters would drop
        side = min(max(image.size), IMAGE_PX)
        rgba = fit_rgba(np.asarray(image), side, side, "fit")
        inner = path.removeprefix(ROOT).removesuffix(".png")
        about = replace(
            common,
            name=f"{name}-{inner.replace('/', '-')}",
            label=_label(path),
            keywords=("game", "sprite", _folder(path).replace("_", " ")),
            group="objects",
            soft=softness(rgba),
        )
        yield about, rgba


def _folder(path: str) -> str:
    return path.removeprefix(ROOT).partition("/")[0] if path.startswith(ROOT) else ""


def _label(path: str) -> str:
    """Reads "playerShip1_orange" as "player ship orange"."""
    stem = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", PurePosixPath(path).stem)
    return " ".join(re.sub(r"[\d_]+", " ", stem).lower().split())
