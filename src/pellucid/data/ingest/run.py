"""One run from loose images to a filtered, de-duplicated set of shards, on any engine and resumable.

FOLDER/plan.json           what was asked; another plan is refused
FOLDER/parts/…             examined images of each part, until the set is whole
FOLDER/set-000000.tar …    the set
FOLDER/dropped.jsonl       every image that was left out, with its reason
FOLDER/manifest.json       shards with checksums, the funnel, licences; written last
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import TypedDict

import fsspec

from pellucid._version import __version__
from pellucid.data.engines import Engine, WorkerDied
from pellucid.data.filters.duplicates import Fingerprint, duplicates_of, similar_pairs
from pellucid.data.filters.rules import DUPLICATE, RULES, Rules
from pellucid.data.ingest.fetching import Fetcher
from pellucid.data.ingest.files import exists, read_file, write_file
from pellucid.data.ingest.parts import Part, examine, member_stem
from pellucid.data.ingest.references import ImageReference
from pellucid.data.ingest.shards_of_set import SetShard, ShardLine, write_set_shard
from pellucid.data.ingest.sources import Columns, list_images
from pellucid.data.records import Record
from pellucid.errors import InputError, missing_package
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
class IngestPlan:
    """What a run collects, and by which rules."""

    sources: tuple[str, ...]
    """See `sources.list_images`."""
    folder: str
    """Path or URL of the result."""
    rules: Rules = field(default_factory=Rules)
    common: Record = field(default_factory=lambda: Record(name="", label=""))
    """What to say of images whose source does not: licence, attribution, style, group."""
    columns: Columns = field(default_factory=Columns)
    hosts: tuple[str, ...] = ()
    """Hosts from which images may be fetched."""
    max_side_px: int = 1024
    part_length: int = 256
    """Images that one task examines."""
    shard_length: int = 1000
    """Images in a shard of the set."""

    def to_json(self) -> dict[str, object]:
        """Returns what decides on the result, as plain JSON values."""
        values = asdict(self)
        values["rules"] = self.rules.model_dump(mode="json")
        values["version"] = __version__
        return json.loads(json.dumps({name: value for name, value in values.items() if name != "folder"}))


def ingest(plan: IngestPlan, engine: Engine, *, fetcher: Fetcher | None = None) -> Manifest:
    """Runs a plan and returns its manifest; what an earlier, interrupted run finished is not done again.

    Args:
        plan: what to collect.
        engine: where to run it; all engines give the same shards.
        fetcher: fetches images from the web. None allows the hosts of the plan.

    Raises:
        InputError: the folder holds another plan, or there are no images.
        FileError: a source cannot be listed, or the folder cannot be written.
    """
    check_packages()
    references = _list_all(plan)
    digest = sha256("\n".join(f"{it.name} {it.location} {it.member}" for it in references).encode())
    _claim(plan, digest.hexdigest())
    if exists(f"{plan.folder}/manifest.json"):
        return json.loads(read_file(f"{plan.folder}/manifest.json"))
    parts = [
        Part(
            number=number,
            references=tuple(references[start : start + plan.part_length]),
            rules=plan.rules,
            fetcher=fetcher or Fetcher(hosts=plan.hosts),
            max_side_px=plan.max_side_px,
            folder=f"{plan.folder}/parts",
        )
        for number, start in enumerate(range(0, len(references), plan.part_length))
    ]
    _examine_all(parts, engine)
    goes = {} if plan.rules.duplicates else _find_duplicates(parts, engine)
    shards = _write_set(plan, parts, goes, engine)
    return _finish(plan, parts, goes, shards)


def check_packages() -> None:
    """Raises InputError if a package is missing that any run needs: now, and not in some worker."""
    for package, purpose in (("imagehash", "finding near-duplicates"), ("networkx", "grouping them")):
        if find_spec(package) is None:
            raise missing_package(package, purpose, "data")


def _list_all(plan: IngestPlan) -> list[ImageReference]:
    """Lists all sources and gives each image a name that no other has, also as a member of a shard."""
    references: list[ImageReference] = []
    taken: Counter[str] = Counter()
    for source in plan.sources:
        common = (
            plan.common if plan.common.source else replace(plan.common, source=PurePosixPath(source).name)
        )
        for reference in list_images(source, common, plan.columns):
            stem = member_stem(reference.name)
            taken[stem] += 1
            name = stem if taken[stem] == 1 else f"{stem}-{taken[stem]}"
            references.append(replace(reference, name=name, record=replace(reference.record, name=name)))
    if not references:
        raise InputError(
            f"Expected images in {', '.join(plan.sources)}, found none. Check the paths and their formats."
        )
    return references


def _claim(plan: IngestPlan, digest: str) -> None:
    """Writes the plan into a new folder, or compares it with the one that is there."""
    asked = {**plan.to_json(), "images": digest}
    place = f"{plan.folder}/plan.json"
    if not exists(place):
        write_file(place, json.dumps(asked, indent=1, sort_keys=True).encode())
        return
    there = json.loads(read_file(place))
    differing = sorted(name for name in asked.keys() | there.keys() if asked.get(name) != there.get(name))
    if differing:
        raise InputError(
            f"Expected the plan of {plan.folder}, found another one: {', '.join(differing)} differ. Ask for "
            "the same, or write to another folder."
        )


def _examine_all(parts: Sequence[Part], engine: Engine) -> None:
    left = [part for part in parts if not exists(f"{part.stem}.json")]
    died: list[Part] = []
    outcomes = track(
        engine.map(examine, left),
        total=len(parts),
        start=len(parts) - len(left),
        label="examining",
        unit="part",
    )
    for number, outcome in outcomes:
        if isinstance(outcome, WorkerDied):
            died.append(left[number])
    for part in died:
        _examine_without_deadly(part, engine)


def _examine_without_deadly(part: Part, engine: Engine) -> None:
    """Finds the images of a part that take a worker down, one by one, and examines the part without them."""
    alone = [
        replace(part, references=(reference,), number=number, folder=f"{part.stem}-alone")
        for number, reference in enumerate(part.references)
    ]
    deadly = [
        alone[number].references[0].name
        for number, outcome in engine.map(examine, alone)
        if isinstance(outcome, WorkerDied)
    ]
    for _, outcome in engine.map(examine, [replace(part, set_aside=tuple(sorted(deadly)))]):
        if isinstance(outcome, WorkerDied):
            raise outcome


def emit_bands(part: Part) -> list[tuple[str, bytes]]:
    """Returns the fingerprints of a part's images under each of their bands."""
    images = [Fingerprint.from_json(values) for values in _report(part)["kept"]]
    return [
        (band, json.dumps(image.to_json(), sort_keys=True).encode())
        for image in images
        for band in image.bands()
    ]


def compare_band(values: list[bytes]) -> list[tuple[str, str]]:
    """Returns the near-duplicates among the fingerprints of one band."""
    return similar_pairs([Fingerprint.from_json(json.loads(value)) for value in values])


def _find_duplicates(parts: Sequence[Part], engine: Engine) -> dict[str, str]:
    pairs = engine.shuffle(emit_bands, compare_band, parts)
    images = [Fingerprint.from_json(values) for part in parts for values in _report(part)["kept"]]
    return duplicates_of(images, pairs)


def _write_set(
    plan: IngestPlan, parts: Sequence[Part], goes: dict[str, str], engine: Engine
) -> list[ShardLine]:
    kept = [
        (part.stem, str(values["name"]))
        for part in parts
        for values in _report(part)["kept"]
        if values["name"] not in goes
    ]
    shards = [
        SetShard(
            location=f"{plan.folder}/set-{number:06d}.tar",
            images=tuple(kept[start : start + plan.shard_length]),
        )
        for number, start in enumerate(range(0, len(kept), plan.shard_length))
    ]
    written: dict[int, ShardLine] = {}
    for number, outcome in track(
        engine.map(write_set_shard, shards), total=len(shards), label="writing", unit="shard"
    ):
        if isinstance(outcome, WorkerDied):
            raise outcome
        written[number] = outcome
    return [written[number] for number in range(len(shards))]


def _finish(
    plan: IngestPlan, parts: Sequence[Part], goes: dict[str, str], shards: list[ShardLine]
) -> Manifest:
    dropped = [each for part in parts for each in _report(part)["dropped"]]
    dropped += [
        {"name": name, "reason": DUPLICATE, "detail": f"of {best}"} for name, best in sorted(goes.items())
    ]
    reasons = Counter(str(each["reason"]) for each in dropped)
    order = {rule.name: place for place, rule in enumerate(RULES)}
    manifest: Manifest = {
        "images": sum(shard["images"] for shard in shards),
        "listed": sum(len(part.references) for part in parts),
        "dropped": dict(sorted(reasons.items(), key=lambda item: (order.get(item[0], 99), item[0]))),
        "licences": dict(sorted(sum((Counter(shard["licences"]) for shard in shards), Counter()).items())),
        "shards": shards,
        "version": __version__,
    }
    lines = "".join(json.dumps(each, sort_keys=True) + "\n" for each in dropped)
    write_file(f"{plan.folder}/dropped.jsonl", lines.encode())
    write_file(f"{plan.folder}/manifest.json", json.dumps(manifest, indent=1).encode())
    file_system, path = fsspec.url_to_fs(f"{plan.folder}/parts")
    file_system.rm(path, recursive=True)
    return manifest


def _report(part: Part) -> dict[str, list[dict[str, object]]]:
    return json.loads(read_file(f"{part.stem}.json"))
