"""What the log of verdicts amounts to: decisions in force, disputes, and the fate of each image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from pellucid.data.rounds.tables import Decision, Sample, Task, Verdict

Fate = Literal["keep", "reject", "disputed", "open"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict that is in force."""

    id: int
    sample: int
    reviewer: int
    task: Task
    decision: Decision
    reason: str
    dwell_ms: int
    made_at: float
    expected: Decision | None
    """What a gold image should have got."""


def _in_force(number: int, until: int | None = None) -> Select[int]:
    """Ids of the verdicts of a round that count: of each reviewer, image and task the last one standing."""
    undo = aliased(Verdict)
    taken_back = select(undo.undoes).where(undo.round_number == number, undo.undoes.is_not(None))
    if until is not None:
        # whoever takes a verdict back after the closing does not change what it wrote
        taken_back = taken_back.where(undo.id <= until)
    query = (
        select(func.max(Verdict.id))
        if until is None
        else select(func.max(Verdict.id)).where(Verdict.id <= until)
    )
    return query.where(
        Verdict.round_number == number, Verdict.decision.is_not(None), Verdict.uid.not_in(taken_back)
    ).group_by(Verdict.sample_id, Verdict.reviewer_id, Verdict.task)


def judgements(session: Session, number: int, *, until: int | None = None) -> list[Judgement]:
    """Reads the verdicts of a round that are in force, oldest first; with `until`, as of that line."""
    rows = session.execute(
        select(
            Verdict.id,
            Verdict.sample_id,
            Verdict.reviewer_id,
            Verdict.task,
            Verdict.decision,
            Verdict.reason,
            Verdict.dwell_ms,
            Verdict.made_at,
            Sample.expected,
        )
        .join(Sample, Sample.id == Verdict.sample_id)
        .where(Verdict.id.in_(_in_force(number, until)))
        .order_by(Verdict.id)
    )
    return [Judgement(*row) for row in rows]


def disputed_samples(number: int) -> Select[int]:
    """Ids of a round's images about which first verdicts differ and nobody has ruled."""
    ruling = aliased(Verdict)
    in_force = _in_force(number)
    ruled = select(ruling.sample_id).where(ruling.task == "ruling", ruling.id.in_(in_force))
    return (
        select(Verdict.sample_id)
        .join(Sample, Sample.id == Verdict.sample_id)
        .where(
            Verdict.id.in_(in_force),
            Verdict.task == "first",
            Sample.kind == "made",
            Verdict.sample_id.not_in(ruled),
        )
        .group_by(Verdict.sample_id)
        .having(func.count(Verdict.decision.distinct()) > 1)
    )


def fate(found: Sequence[Judgement]) -> Fate:
    """Tells what becomes of an image: the last ruling, else what all first verdicts say."""
    rulings = [each for each in found if each.task == "ruling"]
    if rulings:
        return rulings[-1].decision
    decisions: set[Fate] = {each.decision for each in found if each.task == "first"}
    if not decisions:
        return "open"
    return decisions.pop() if len(decisions) == 1 else "disputed"


def fates(session: Session, number: int, found: Iterable[Judgement] | None = None) -> Mapping[int, Fate]:
    """Tells what becomes of each image of a round, gold aside, by the id of its sample."""
    by_sample: dict[int, list[Judgement]] = {}
    for each in judgements(session, number) if found is None else found:
        by_sample.setdefault(each.sample, []).append(each)
    ids = session.scalars(
        select(Sample.id).where(Sample.round_number == number, Sample.kind == "made").order_by(Sample.place)
    )
    return {id_: fate(by_sample.get(id_, [])) for id_ in cast("Iterable[int]", ids)}
