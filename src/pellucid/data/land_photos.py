"""Photographs of land and sky, as backgrounds: those in the public domain of the game Endless Sky's."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image

from pellucid.data.records import Record
from pellucid.data.shards import Sample
from pellucid.progress import track

FOLDER = "images/land/"
OTHERS = re.compile(r"^(bwerner|myrabella|dmottl|mfield)|-(sfiera|striker|harro|iridium|spfld)")
"""Files under CC-BY-SA, by the packaged copyright file."""
SCENES = {
    "badlands": "badlands", "beach": "beach", "canyon": "canyon", "city": "city", "desert": "desert",
    "dune": "sand dunes", "fields": "fields", "fog": "fog", "forest": "forest", "hills": "hills",
    "lava": "lava", "mountain": "mountains", "sea": "sea", "sky": "sky", "snow": "snow",
    "space": "space station", "valley": "valley", "water": "water",
}  # fmt: skip
"""Name of a file, without number -> what it shows; other files say nothing of their scene."""
CROP_PX = 256
SEEN_AT_PX = 128
"""Side at which fine detail is judged."""


def land_samples(common: Record, name: str, files: Sequence[dict[str, bytes]]) -> Iterator[Sample]:
    """Yields two squares of each photograph, left and right, 256 px.

    Args:
        common: a record with what all have in common: source, style, licence, attribution.
        name: of the set.
        files: the package.
    """
    photographs: list[tuple[str, str, bytes]] = []
    for path, content in sorted(files[0].items()):
        stem = path.rpartition("/")[2].removesuffix(".jpg")
        # sea3.jpg is one more photograph of the sea
        scene = SCENES.get(stem.rstrip("0123456789"))
        if FOLDER in path and scene and not OTHERS.search(stem):
            photographs.append((stem, scene, content))
    for stem, scene, content in track(
        photographs, total=len(photographs), label=f"packing {name}", unit="image"
    ):
        photograph = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
        # photographs are wider than high: two squares show more of one than its middle does
        side = min(photograph.shape[:2])
        for part, start in (("left", 0), ("right", photograph.shape[1] - side)):
            square = photograph[:side, start : start + side]
            record = replace(common, name=f"{name}-{stem}-{part}", label=scene, group="background")
            yield record, cv2.resize(square, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)


def calmest(samples: Sequence[Sample], share: float) -> list[Sample]:
    """Returns the images of each label with the least fine detail, which a small model learns first.

    Args:
        samples: images of any size.
        share: of each label, rounded up; 1 keeps all.
    """
    by_label: dict[str, list[tuple[float, int]]] = {}
    for index, (record, rgba) in enumerate(samples):
        # all at one size: the larger a photograph, the less its detail changes from pixel to pixel
        small = cv2.resize(rgba[..., :3], (SEEN_AT_PX, SEEN_AT_PX), interpolation=cv2.INTER_AREA)
        detail = float(np.abs(cv2.Laplacian(small.astype(np.float32), cv2.CV_32F)).mean())
        by_label.setdefault(record.label, []).append((detail, index))
    # by label, since one bound for all would leave out whole scenes, such as cities
    kept = {
        index for ranked in by_label.values() for _, index in sorted(ranked)[: math.ceil(len(ranked) * share)]
    }
    return [sample for index, sample in enumerate(samples) if index in kept]
