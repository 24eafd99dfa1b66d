"""Frames of animated emoji: further views of the subjects of the still set."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pellucid.data.emoji import Files, bare_hexcode, emoji_names
from pellucid.data.records import Record, softness
from pellucid.data.shards import Sample
from pellucid.progress import track

FRAMES = 4
"""Taken from each animation. Neighbours differ by little: of 72 frames these are 14 apart."""


def frame_samples(common: Record, name: str, files: Sequence[Files]) -> Iterator[Sample]:
    """Yields frames of every animation that shows an object, with their records.

    The first frame is left out: it is the still image, which is a set of its own.

    Args:
        common: a record with what all have in common.
        name: of the set.
        files: its archives, and Unicode's two tables of names as the last ones.
    """
    table = emoji_names(files[len(files) - 2], files[len(files) - 1])
    for number in range(len(files) - 2):
        # one archive of some 200 MB at a time
        archive = files[number]
        paths = sorted(path for path in archive if path.endswith(".webp"))
        for path in track(paths, total=len(paths), label=f"packing {name} {number + 1}", unit="file"):
            code = bare_hexcode(Path(path).stem)
            if code not in table:
                continue
            label, keywords, group = table[code]
            for place, rgba in _frames(archive[path]):
                yield (
                    replace(
                        common,
                        name=f"{name}-{code}-{place:03d}",
                        label=label,
                        keywords=keywords,
                        group=group,
                        soft=softness(rgba),
                    ),
                    rgba,
                )


def _frames(content: bytes) -> Iterator[tuple[int, np.ndarray]]:
    with Image.open(io.BytesIO(content)) as image:
        count = getattr(image, "n_frames", 1)
        for place in sorted({round(count * part / (FRAMES + 1)) for part in range(1, FRAMES + 1)}):
            if 0 < place < count:
                image.seek(place)
                yield place, np.asarray(image.convert("RGBA"))
