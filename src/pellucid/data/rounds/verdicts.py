"""The log of decisions: adding to it, taking back, and reading one's own history."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from pellucid.data.rounds.assignment import count_remaining
from pellucid.data.rounds.database import lock_round
from pellucid.data.rounds.settings import RoundSettings
from pellucid.data.rounds.tables import Decision, Lease, Reviewer, Round, Sample, Task, Verdict
from pellucid.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line for the log: a decision, or with `undoes` the end of one."""

    uid: str
    """Made by whoever decides, never used twice."""
    sample: int
    task: Task = "first"
    decision: Decision | None = None
    undoes: str | None = None
    reason: str = ""
    batch: str = ""
    mode: str = "single"
    dwell_ms: int = 0
    background: str = ""
    made_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A decision of one's own, with its image."""

    verdict: Verdict
    sample: Sample
    taken_back: bool


def add_entries(
    session: Session, reviewer: Reviewer, entries: Sequence[Entry], *, now: float | None = None
) -> list[str]:
    """Adds lines to the log and returns the uids of those that were new.

    A line whose uid is known is left alone, so that a page may send again what it got no answer to. Late
    lines, of expired leases and closed rounds, are kept too: a decision is never thrown away.

    Raises:
        InputError: a line names no sample, or neither decides nor takes back. Nothing is added then.
    """
    now = time.time() if now is None else now
    ids = {entry.sample for entry in entries}
    samples = {each.id: each for each in session.scalars(select(Sample).where(Sample.id.in_(ids)))}
    # all of them before the first is added, so that a page can send the whole batch again
    for entry in entries:
        if entry.sample not in samples or (entry.decision is None) == (entry.undoes is None):
            raise InputError(
                f"Expected a verdict on a known image, found image {entry.sample} with decision "
                f"{entry.decision!r} and undoes {entry.undoes!r}. Load the page again."
            )
    # in one order for everybody: two requests that lock the same rounds must not wait for each other
    numbers = sorted({sample.round_number for sample in samples.values()})
    rounds = {number: session.get_one(Round, number) for number in numbers}
    for number in numbers:
        lock_round(session, number)
    added = [
        entry.uid
        for entry in entries
        if _insert(session, reviewer, entry, samples[entry.sample], rounds, now)
    ]
    touched: dict[tuple[int, Task], None] = dict.fromkeys((each.sample, each.task) for each in entries)
    for sample, task in touched:
        _settle(session, reviewer, samples[sample], task, rounds, now)
    count_remaining(session, sorted(ids))
    return added


def history(
    session: Session, reviewer: Reviewer, number: int, *, before: int = 0, count: int = 50
) -> list[Past]:
    """Returns one's own decisions in a round, the latest first; with `before`, those older than it."""
    undo = aliased(Verdict)
    query = (
        select(Verdict, Sample, select(undo.id).where(undo.undoes == Verdict.uid).exists())
        .join(Sample, Sample.id == Verdict.sample_id)
        .where(
            Verdict.reviewer_id == reviewer.id,
            Verdict.round_number == number,
            Verdict.decision.is_not(None),
        )
        .order_by(Verdict.id.desc())
        .limit(count)
    )
    if before:
        query = query.where(Verdict.id < before)
    return [
        Past(verdict=verdict, sample=sample, taken_back=back)
        for verdict, sample, back in session.execute(query)
    ]


def _insert(
    session: Session, reviewer: Reviewer, entry: Entry, sample: Sample, rounds: dict[int, Round], now: float
) -> bool:
    values = {
        "uid": entry.uid,
        "round_number": sample.round_number,
        "sample_id": sample.id,
        "reviewer_id": reviewer.id,
        "task": entry.task,
        "decision": entry.decision,
        "undoes": entry.undoes,
        "reason": entry.reason,
        "batch": entry.batch,
        "mode": entry.mode,
        "dwell_ms": entry.dwell_ms,
        "background": entry.background,
        "made_at": entry.made_at or now,
        "received_at": now,
        "model": rounds[sample.round_number].model,
        "data_version": rounds[sample.round_number].data_version,
    }
    # the database decides what is new: two requests with one line may arrive together
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert: Insert = dialect.insert(Verdict).values(values).on_conflict_do_nothing(index_elements=["uid"])
    return session.execute(insert.returning(Verdict.id)).first() is not None


def _settle(
    session: Session,
    reviewer: Reviewer,
    sample: Sample,
    task: Task,
    rounds: dict[int, Round],
    now: float,
) -> None:
    """Makes the lease say what the log says; independent of the order in which lines came."""
    undo = aliased(Verdict)
    standing = session.scalar(
        select(Verdict.id)
        .where(
            Verdict.sample_id == sample.id,
            Verdict.reviewer_id == reviewer.id,
            Verdict.task == task,
            Verdict.decision.is_not(None),
            ~select(undo.id).where(undo.undoes == Verdict.uid).exists(),
        )
        .limit(1)
    )
    lease = session.scalar(
        select(Lease).where(
            Lease.sample_id == sample.id, Lease.reviewer_id == reviewer.id, Lease.task == task
        )
    )
    if lease is None:
        lease = Lease(
            sample_id=sample.id, round_number=sample.round_number, reviewer_id=reviewer.id, task=task
        )
        session.add(lease)
    settings = RoundSettings.from_plain(rounds[sample.round_number].settings)
    lease.state = "done" if standing else "held"
    lease.returned_at = None if standing else now
    lease.expires_at = now + settings.lease_s
    session.flush()
