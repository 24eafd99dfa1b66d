"""One run from loose images to a filtered, de-duplicated set of shards, on any engine and resumable.

FOLDER/plan.json           what was asked; another plan is refused
FOLDER/parts/…             examined images of each part, until the set is whole
FOLDER/set-000000.tar …    the set
FOLDER/dropped.jsonl       every image that was left out, with its reason
FOLDER/manifest.json       shards with checksums, the funnel, licences; written last
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import PurePosixPath

from pellucid._version import __version__
from pellucid.data.engines import Engine, WorkerDied
from pellucid.data.filters.rules import RULES, Rules
from pellucid.data.ingest.assembly import Assembly, Manifest, assemble, find_duplicates, finished
from pellucid.data.ingest.fetching import Fetcher
from pellucid.data.ingest.files import exists
from pellucid.data.ingest.folders import claimed
from pellucid.data.ingest.parts import Part, examine, member_stem
from pellucid.data.ingest.references import ImageReference
from pellucid.data.ingest.sources import Columns, list_images
from pellucid.data.records import Record
from pellucid.errors import InputError, missing_package
from pellucid.progress import track


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
        InputError: there are no images, or the folder is not this plan's, see `folders.claimed`.
        FileError: a source cannot be listed, or the folder cannot be written.
    """
    check_packages()
    references = _list_all(plan)
    # names and places, not contents: reading every image to compare it would be the run itself
    digest = sha256("\n".join(f"{it.name} {it.location} {it.member}" for it in references).encode())
    with claimed(plan.folder, {**plan.to_json(), "images": digest.hexdigest()}):
        return finished(plan.folder) or _run(plan, references, engine, fetcher or Fetcher(hosts=plan.hosts))


def _run(
    plan: IngestPlan, references: Sequence[ImageReference], engine: Engine, fetcher: Fetcher
) -> Manifest:
    parts = [
        Part(
            number=number,
            references=tuple(references[start : start + plan.part_length]),
            rules=plan.rules,
            # in the part, because a worker on another machine knows nothing of this command
            fetcher=fetcher,
            max_side_px=plan.max_side_px,
            folder=f"{plan.folder}/parts",
        )
        for number, start in enumerate(range(0, len(references), plan.part_length))
    ]
    _examine_all(parts, engine)
    stems = tuple(part.stem for part in parts)
    goes = {} if plan.rules.duplicates else find_duplicates(stems, engine)
    assembly = Assembly(
        folder=plan.folder,
        stems=stems,
        listed=len(references),
        shard_length=plan.shard_length,
        order=tuple(rule.name for rule in RULES),
    )
    return assemble(assembly, goes, engine)


def check_packages() -> None:
    """Raises InputError if a package is missing that any run needs: now, and not in some worker."""
    for package, purpose in (("imagehash", "finding near-duplicates"), ("networkx", "grouping them")):
        if find_spec(package) is None:
            raise missing_package(package, purpose, "data")


def _list_all(plan: IngestPlan) -> list[ImageReference]:
    """Lists all sources and gives each image a name that no other has, also as a member of a shard."""
    references: list[ImageReference] = []
    taken: set[str] = set()
    for source in plan.sources:
        common = (
            plan.common if plan.common.source else replace(plan.common, source=PurePosixPath(source).name)
        )
        for reference in list_images(source, common, plan.columns):
            stem = member_stem(reference.name)
            # two sources may hold one name, and one of them may hold the name that a number would make of it
            names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
            name = next(name for name in names if name not in taken)
            taken.add(name)
            references.append(replace(reference, name=name, record=replace(reference.record, name=name)))
    if not references:
        raise InputError(
            f"Expected images in {', '.join(plan.sources)}, found none. Check the paths and their formats; "
            "an archive or a table inside a folder is a source of its own, to be named itself."
        )
    return references


def _examine_all(parts: Sequence[Part], engine: Engine) -> None:
    # the report is written last, so a part that has one is whole
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
    # afterwards, so that one deadly image does not hold up all others
    for part in died:
        _examine_without_deadly(part, engine)


def _examine_without_deadly(part: Part, engine: Engine) -> None:
    """Finds the images of a part that take a worker down, one by one, and examines the part without them."""
    alone = [
        replace(part, references=(reference,), number=number, folder=f"{part.stem}-alone")
        for number, reference in enumerate(part.references)
    ]
    # the parts of one image each are thrown away; only who died counts
    deadly = [
        alone[number].references[0].name
        for number, outcome in engine.map(examine, alone)
        if isinstance(outcome, WorkerDied)
    ]
    for _, outcome in engine.map(examine, [replace(part, set_aside=tuple(sorted(deadly)))]):
        if isinstance(outcome, WorkerDied):
            raise outcome
