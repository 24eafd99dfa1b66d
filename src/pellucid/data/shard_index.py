"""How many images shards hold, so that their order can be known without reading them."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from fsspec import filesystem
from fsspec.utils import get_protocol

from pellucid.data.shards import read_packed
from pellucid.files.atomic import write_atomically


@dataclass(frozen=True, slots=True)
class Counts:
    """Images of one shard by their group: those to train on, and those held out."""

    training: dict[str, int]
    held_out: dict[str, int]
    weights: tuple[tuple[str, float], ...] = ()
    """Group and `Record.weight` of each image to train on, in order; empty if all weights are 1."""


def count_shards(shards: Sequence[str], folder: Path) -> list[Counts]:
    """Counts the images of shards, in the order of the shards.

    A shard that was not counted yet is read once, whole. It is counted again when its size or its time
    changes.

    Args:
        shards: paths or URLs.
        folder: where counts are kept.

    Raises:
        FileError: one of them is absent or no shard.
    """
    # threads, because a remote shard is waited for, not computed
    with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
        return list(pool.map(partial(_count_shard, folder), shards))


def count(groups: Iterable[tuple[str, bool]]) -> Counts:
    """Counts images, given the group of each and whether it is held out."""
    numbers = Counter(groups)
    training, held_out = (
        {group: number for (group, held), number in numbers.items() if held == wanted}
        for wanted in (False, True)
    )
    return Counts(training, held_out)


def _count_shard(folder: Path, shard: str) -> Counts:
    # named by a hash: a URL is no file name, and half of the digest keeps paths short
    path = folder / f"{hashlib.sha256(stamp(shard).encode()).hexdigest()[:32]}.json"
    if path.exists():
        kept = json.loads(path.read_text())
        weights = tuple((str(group), float(weight)) for group, weight in kept.get("weights", ()))
        return Counts(kept["training"], kept["held_out"], weights)
    records = [record for record, _ in read_packed(shard)]
    counts = count((record.group, record.held_out) for record in records)
    weights = tuple((record.group, record.weight) for record in records if not record.held_out)
    if any(weight != 1 for _, weight in weights):
        counts = replace(counts, weights=weights)
    folder.mkdir(parents=True, exist_ok=True)
    # several processes may count one shard at once; each writes the same
    write_atomically(path, json.dumps(asdict(counts)).encode())
    return counts


def stamp(shard: str) -> str:
    """Returns what distinguishes a shard from an earlier one of its name: its size, and its time or tag."""
    try:
        about = filesystem(get_protocol(shard)).info(shard)
    except Exception:  # noqa: BLE001 - file systems have errors of their own, and reading it tells what is wrong
        return shard
    name = str(about.get("name", shard))
    parts = [
        # named differently by file systems: mtime locally, ETag and LastModified in S3, updated at Google
        about.get(key)
        for key in ("size", "mtime", "ETag", "etag", "LastModified", "created", "updated")
    ]
    return json.dumps([name, *map(str, parts)])
