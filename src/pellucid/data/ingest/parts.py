"""Examines a part of the listed images: reads, measures, filters and packs them into one shard.

This is the pure function that engines spread over machines: the same references and rules give the same
bytes.
"""

import io
import json
import tarfile
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from pellucid.data.filters.duplicates import Fingerprint, fingerprint
from pellucid.data.filters.measures import as_scores, measure
from pellucid.data.filters.rules import (
    FAILED,
    UNREADABLE,
    Candidate,
    Rules,
    plugin_scores,
    reason_to_drop,
)
from pellucid.data.ingest.fetching import Fetcher
from pellucid.data.ingest.files import write_file
from pellucid.data.ingest.references import ImageReference, read_content
from pellucid.data.records import Record
from pellucid.data.shards import QUICK_WEBP, add_sample
from pellucid.errors import ConfigError, FileError, first_line
from pellucid.files.images import read_rgba
from pellucid.rgba.resizing import resize_sample
from pellucid.rgba.types import RGBA8

MAX_PIXELS = 64_000_000
"""Largest image that is decoded, a quarter of a gigabyte in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a run: what one task does."""

    number: int
    references: tuple[ImageReference, ...]
    rules: Rules
    fetcher: Fetcher
    max_side_px: int
    """Larger images are made smaller."""
    folder: str
    """Path or URL where the part is written."""
    set_aside: tuple[str, ...] = ()
    """Names of images that took their worker down whenever they were read."""

    @property
    def stem(self) -> str:
        """Returns path or URL of its files without their extension."""
        return f"{self.folder}/part-{self.number:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An image that was left out, and why."""

    name: str
    reason: str
    """Name of a rule: what the funnel counts."""
    detail: str = ""


def examine(part: Part) -> int:
    """Examines all images of a part and writes its shard and its report; returns how many images stay.

    The report comes last, so a part that has one is whole.
    """
    kept: list[Fingerprint] = []
    dropped: list[Dropped] = []
    # in memory: 256 images are some ten megabytes, and a part on disk would look whole before it is
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for reference in part.references:
            outcome = examine_one(reference, part)
            if isinstance(outcome, Dropped):
                dropped.append(outcome)
                continue
            record, rgba = outcome
            kept.append(fingerprint(record.name, rgba))
            add_sample(tar, record, np.ascontiguousarray(rgba), QUICK_WEBP)
    shard = buffer.getvalue()
    write_file(f"{part.stem}.tar", shard)
    report = {
        "sha256": sha256(shard).hexdigest(),
        "kept": [each.to_json() for each in kept],
        "dropped": [{"name": it.name, "reason": it.reason, "detail": it.detail} for it in dropped],
    }
    write_file(f"{part.stem}.json", json.dumps(report, sort_keys=True).encode())
    return len(kept)


def examine_one(reference: ImageReference, part: Part) -> tuple[Record, RGBA8] | Dropped:
    """Reads one image and asks the rules; a failure is a reason to drop it, and never stops the run."""
    if reference.name in part.set_aside:
        return Dropped(name=reference.name, reason=FAILED, detail="it took its worker down each time")
    # two blocks: a decoder's failure says something of the file, a plug-in's of the plug-in
    try:
        rgba = read_rgba(read_content(reference, part.fetcher), max_pixels=MAX_PIXELS)
        rgba = _at_most(rgba, part.max_side_px)
    except FileError as error:
        return Dropped(name=reference.name, reason=UNREADABLE, detail=first_line(error))
    except Exception as error:  # noqa: BLE001 - what a decoder raises on hostile files has no limits
        return Dropped(name=reference.name, reason=UNREADABLE, detail=_told(error))
    return judge(rgba, reference.record, part.rules)


def judge(rgba: RGBA8, record: Record, rules: Rules) -> tuple[Record, RGBA8] | Dropped:
    """Measures an image and asks the rules; the record comes back with what was measured.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
        record: of the image; scores that it has already can be asked for by `Rules.min_scores`.
        rules: what it must pass.

    Raises:
        ConfigError: a plug-in cannot be imported here, which would drop every image.
    """
    try:
        measures = measure(rgba)
        record = replace(record, soft=measures.soft)
        scores = {**record.scores, **as_scores(measures), **plugin_scores(rgba, record, rules)}
        record = replace(record, scores=scores)
        reason = reason_to_drop(Candidate(rgba, record, measures), rules)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - plug-ins are other people's code
        return Dropped(name=record.name, reason=FAILED, detail=_told(error))
    if reason:
        return Dropped(name=record.name, reason=reason.rule, detail=reason.detail)
    return record, rgba


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _at_most(rgba: RGBA8, side_px: int) -> RGBA8:
    height, width = rgba.shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1:
        return rgba
    return resize_sample(rgba, max(1, round(height * scale)), max(1, round(width * scale)))


def member_stem(name: str) -> str:
    """Returns a name for members of a shard: WebDataset takes all after the first dot for a kind."""
    return name.replace(".", "_").strip("/")
