"""Closes a round: writes what people kept, the next training set and its recipe.

A closing that was killed is finished by the next one, from the same line of the log. Files are written whole.
"""

import hashlib
import json
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pellucid.data.agreement import alpha_with_interval, percent_agreement
from pellucid.data.records import Record
from pellucid.data.rounds.agreement import first_verdicts
from pellucid.data.rounds.beginning import find_round, round_folder
from pellucid.data.rounds.database import Store
from pellucid.data.rounds.images import MEDIA_TYPES, read_image
from pellucid.data.rounds.outcomes import fates, judgements
from pellucid.data.rounds.recipes import next_recipe
from pellucid.data.rounds.reviewers import by_person
from pellucid.data.rounds.settings import RoundSettings
from pellucid.data.rounds.tables import Reviewer, Round, Sample, Verdict
from pellucid.data.shards import add_member, read_packed
from pellucid.errors import InputError
from pellucid.files.atomic import open_atomically, write_atomically

KEPT = "kept.tar"
"""What a round kept, at weight 1: what every later training but the next one reads."""
KEPT_WEIGHTED = "kept-weighted.tar"
"""The same at the round's weight: what the next training reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What closing a round left."""

    number: int
    kept: int
    rejected: int
    left_out: int
    """Images that nobody judged, or about which reviewers disagree."""
    recipe: Path
    data: tuple[str, ...]
    """The next training set."""


def close_round(
    store: Store, number: int | None = None, *, template: Path | None = None, partial: bool = False
) -> Closed:
    """Closes a round; does nothing new where it is closed.

    Args:
        store: of all rounds.
        number: of the round. None is the latest.
        template: recipe into which the next training set is written. None is a small one.
        partial: whether images without a decision are left out; they are refused otherwise.

    Raises:
        InputError: there is no such round, it was not opened, or images are without a decision.
        FileError: the template cannot be read, a shard is gone, or the disk is full. The round can be closed
            again then.
    """
    with store.writing() as session:
        round_ = find_round(session, number)
        number = round_.number
        if round_.state == "sampling":
            raise InputError(
                f"Expected round {number} to have all its images, found it sampling. "
                f"Finish it: `{store.command('sample')}`."
            )
        if round_.state == "open":
            _begin_closing(session, round_, partial)
        if template is not None:
            next_recipe([], [], template=template)  # a recipe that cannot be read is refused before any work
    return _finish(store, number, template)


def _begin_closing(session: Session, round_: Round, partial: bool) -> None:
    """Draws the line in the log up to which verdicts count."""
    found = list(fates(session, round_.number).values())
    undecided = {fate: found.count(fate) for fate in ("open", "disputed")}
    if any(undecided.values()) and not partial:
        raise InputError(
            f"Expected a decision on all images of round {round_.number}, found {undecided['open']} not "
            f"judged and {undecided['disputed']} disputed. Review them, or close with --partial, which "
            "neither keeps nor rejects them."
        )
    last = session.scalar(select(func.max(Verdict.id)).where(Verdict.round_number == round_.number))
    # committed before any file is written: a closing after a kill draws no other line
    round_.state, round_.outcome = "closing", {"until": last or 0}


def _finish(store: Store, number: int, template: Path | None) -> Closed:
    folder = round_folder(store, number)
    with store.reading() as session:
        round_ = session.get_one(Round, number)
        settings = RoundSettings.from_plain(round_.settings)
        until = int(str(round_.outcome["until"]))
        found = judgements(session, number, until=until)
        fate_of = fates(session, number, found)
        units = first_verdicts(by_person(session, found))
        samples = list(session.scalars(select(Sample).where(Sample.round_number == number)))
        earlier = list(
            session.scalars(select(Round.number).where(Round.number < number).order_by(Round.number))
        )
        first_data = session.get_one(Round, earlier[0] if earlier else number).data
        log = list(_log(session, number, until))
        adapter = str(round_.sampling.get("adapter") or "")
    kept = sorted(
        (sample for sample in samples if fate_of.get(sample.id) == "keep"), key=lambda each: each.place
    )
    _write_kept(store, number, kept, 1.0, folder / KEPT)
    _write_kept(store, number, kept, settings.kept_weight, folder / KEPT_WEIGHTED)
    write_atomically(folder / "verdicts.jsonl", "".join(f"{line}\n" for line in log).encode())
    # whole paths: the recipe that names them may be used from anywhere
    old = [str((round_folder(store, each) / KEPT).resolve()) for each in earlier]
    data = [*first_data, *old, str((folder / KEPT_WEIGHTED).resolve())]
    recipe = folder / "recipe.toml"
    # closing again leaves a recipe alone that somebody may have edited since
    if template is not None or not recipe.exists():
        classes = sorted({sample.prompt_class for sample in kept})
        write_atomically(recipe, next_recipe(data, classes, template=template, adapter=adapter).encode())
    counts = {fate: list(fate_of.values()).count(fate) for fate in ("keep", "reject", "disputed", "open")}
    outcome: dict[str, object] = {
        "until": until,
        "counts": counts,
        "alpha": alpha_with_interval(units).plain(),
        "percent_agreement": percent_agreement(units).plain(),
        "data": data,
        "checksums": {name: _sha256(folder / name) for name in (KEPT, KEPT_WEIGHTED)},
    }
    write_atomically(folder / "outcome.json", json.dumps(outcome, indent=1).encode())
    with store.writing() as session:
        round_ = session.get_one(Round, number)
        if round_.state != "closed":
            round_.state, round_.outcome, round_.closed_at = "closed", outcome, time.time()
    return Closed(
        number=number,
        kept=counts["keep"],
        rejected=counts["reject"],
        left_out=counts["open"] + counts["disputed"],
        recipe=recipe,
        data=tuple(data),
    )


def _write_kept(store: Store, number: int, kept: Sequence[Sample], weight: float, path: Path) -> None:
    """Copies image files as they are into a shard, with their records beside them."""
    records = _records(store, kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomically(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for sample in kept:
            record = replace(records[sample.id], round=number, weight=weight)
            kind = next(each for each, media in MEDIA_TYPES.items() if media == sample.media_type)
            name = record.name.replace(".", "_")
            add_member(
                tar, name + kind, read_image(store.folder / sample.shard, sample.offset, sample.length)
            )
            add_member(tar, f"{name}.json", json.dumps(record.to_json(), sort_keys=True).encode())


def _records(store: Store, samples: Sequence[Sample]) -> dict[int, Record]:
    """Reads the records of samples from their shards, each shard once."""
    wanted: dict[str, dict[int, int]] = {}
    for sample in samples:
        wanted.setdefault(sample.shard, {})[sample.place] = sample.id
    found: dict[int, Record] = {}
    for shard, ids in wanted.items():
        for record, _ in read_packed(store.folder / shard):
            place = int(record.name.rpartition("-")[2])
            if place in ids:
                found[ids[place]] = record
    return found


def _log(session: Session, number: int, until: int) -> Iterator[str]:
    """Lines of the log as JSON, with reviewers' names: everything that is needed to decide anew."""
    rows = session.execute(
        select(Verdict, Reviewer.name)
        .join(Reviewer, Reviewer.id == Verdict.reviewer_id)
        .where(Verdict.round_number == number, Verdict.id <= until)
        .order_by(Verdict.id)
    )
    for verdict, name in rows:
        columns = {column.key: getattr(verdict, column.key) for column in Verdict.__table__.columns}
        yield json.dumps({**columns, "reviewer": name}, ensure_ascii=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
