"""Photographs of land and sky, as backgrounds: those in the public domain of the game Endless Sky's."""

import io
import re
from collections.abc import Iterator

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
    "lava": "lava", "mountain": "mountains", "sea": "sea", "sky": "sky", "snow": "snow", "space": "space",
    "valley": "valley", "water": "water",
}  # fmt: skip
"""Name of a file, without number -> what it shows; other files say nothing of their scene."""
CROP_PX = 256


def land_samples(common: dict[str, str], name: str, files: list[dict[str, bytes]]) -> Iterator[Sample]:
    """Two squares of each photograph, left and right, 256 px.

    Args:
        common: of every record: source, style, licence, attribution.
        name: of the set.
        files: the package.
    """
    photographs: list[tuple[str, str, bytes]] = []
    for path, content in sorted(files[0].items()):
        stem = path.rpartition("/")[2].removesuffix(".jpg")
        scene = SCENES.get(stem.rstrip("0123456789"))
        if FOLDER in path and scene and not OTHERS.search(stem):
            photographs.append((stem, scene, content))
    for stem, scene, content in track(
        photographs, total=len(photographs), label=f"packing {name}", unit="picture"
    ):
        photograph = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
        side = min(photograph.shape[:2])
        for part, start in (("left", 0), ("right", photograph.shape[1] - side)):
            square = photograph[:side, start : start + side]
            record = Record(
                name=f"{name}-{stem}-{part}", label=scene, keywords=(), group="background", soft=0.0, **common
            )
            yield record, cv2.resize(square, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
