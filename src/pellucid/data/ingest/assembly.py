"""From examined parts to a whole set: finds near-duplicates, writes shards and manifest.

A part is known by its stem, the path or URL of its files without their extension: `STEM.tar` holds what
stays of it, `STEM.json` says what stays and what was dropped.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from pellucid._version import __version__
from pellucid.data.engines import Engine, WorkerDied
from pellucid.data.filters.duplicates import Fingerprint, duplicates_of, similar_pairs
from pellucid.data.filters.rules import DUPLICATE
from pellucid.data.ingest.files import exists, file_system_of, read_file, write_file
from pellucid.data.ingest.shards_of_set import SetShard, ShardLine, write_set_shard
from pellucid.progress import track


class Manifest(TypedDict):
    """What a finished set says of itself."""

    images: int
    listed: int
    """Images of all sources, before the filters."""
    dropped: dict[str, int]
    """Images by the reason that dropped them, in the order of the funnel."""
    licences: dict[str, int]
    shards: list[ShardLine]
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What decides how examined parts become a set."""

    folder: str
    """Path or URL of the set."""
    stems: tuple[str, ...]
    """Of all parts, in order."""
    listed: int
    """Images before the filters."""
    shard_length: int
    order: tuple[str, ...]
    """Reasons in the order of the funnel; others follow by name."""
    prefix: str = "set"
    """Of the shards' names."""
    kinds: tuple[str, ...] = ("webp", "json")
    """Members of a shard that belong to one image; the last one is its record."""


def finished(folder: str) -> Manifest | None:
    """Returns the manifest of a set that is whole, or None."""
    place = f"{folder}/manifest.json"
    return json.loads(read_file(place)) if exists(place) else None


def find_duplicates(stems: Sequence[str], engine: Engine) -> dict[str, str]:
    """Finds near-duplicates among the images of all parts; see `duplicates.duplicates_of`."""
    pairs = engine.shuffle(emit_bands, compare_band, stems)
    # all of them pass through this process: some 560 bytes an image, which is what a larger run meets first
    images = [Fingerprint.from_json(values) for stem in stems for values in read_report(stem)["kept"]]
    return duplicates_of(images, pairs)


def emit_bands(stem: str) -> list[tuple[str, bytes]]:
    """Returns the fingerprints of a part's images under each of their bands."""
    images = [Fingerprint.from_json(values) for values in read_report(stem)["kept"]]
    return [
        (band, json.dumps(image.to_json(), sort_keys=True).encode())
        for image in images
        for band in image.bands()
    ]


def compare_band(values: list[bytes]) -> list[tuple[str, str]]:
    """Returns the near-duplicates among the fingerprints of one band."""
    return similar_pairs([Fingerprint.from_json(json.loads(value)) for value in values])


def assemble(assembly: Assembly, goes: Mapping[str, str], engine: Engine) -> Manifest:
    """Writes the set's shards, the list of what was dropped and the manifest, and removes the parts.

    Args:
        assembly: parts and folder.
        goes: near-duplicates that are left out, each with the image that it is like.
        engine: writes the shards.
    """
    shards = _write_shards(assembly, goes, engine)
    dropped = [each for stem in assembly.stems for each in read_report(stem)["dropped"]]
    dropped += [
        {"name": name, "reason": DUPLICATE, "detail": f"of {best}"} for name, best in sorted(goes.items())
    ]
    reasons = Counter(str(each["reason"]) for each in dropped)
    licences = sum((Counter(shard["licences"]) for shard in shards), Counter[str]())
    order = {name: place for place, name in enumerate(assembly.order)}
    manifest: Manifest = {
        "images": sum(shard["images"] for shard in shards),
        "listed": assembly.listed,
        "dropped": dict(sorted(reasons.items(), key=lambda item: (order.get(item[0], 99), item[0]))),
        "licences": dict(sorted(licences.items())),
        "shards": shards,
        "version": __version__,
    }
    # the manifest is last, since a folder that has one is taken for whole
    lines = "".join(json.dumps(each, sort_keys=True) + "\n" for each in dropped)
    write_file(f"{assembly.folder}/dropped.jsonl", lines.encode())
    write_file(f"{assembly.folder}/manifest.json", json.dumps(manifest, indent=1).encode())
    # only now: until the manifest stands, parts are what a restart goes on from
    file_system, path = file_system_of(f"{assembly.folder}/parts")
    file_system.rm(path, recursive=True)
    return manifest


def read_report(stem: str) -> dict[str, list[dict[str, object]]]:
    """Reads what a part says of its images: "kept" and "dropped"."""
    return json.loads(read_file(f"{stem}.json"))


def _write_shards(assembly: Assembly, goes: Mapping[str, str], engine: Engine) -> list[ShardLine]:
    kept = [
        # in the order of the sources, whichever worker was first
        (stem, str(values["name"]))
        for stem in assembly.stems
        for values in read_report(stem)["kept"]
        if values["name"] not in goes
    ]
    shards = [
        SetShard(
            location=f"{assembly.folder}/{assembly.prefix}-{number:06d}.tar",
            images=tuple(kept[start : start + assembly.shard_length]),
            kinds=assembly.kinds,
        )
        for number, start in enumerate(range(0, len(kept), assembly.shard_length))
    ]
    written: dict[int, ShardLine] = {}
    for number, outcome in track(
        engine.map(write_set_shard, shards), total=len(shards), label="writing", unit="shard"
    ):
        if isinstance(outcome, WorkerDied):
            raise outcome
        # engines return shards as they are done; a manifest lists them in order
        written[number] = outcome
    return [written[number] for number in range(len(shards))]
