"""Deals images out to reviewers: to each of them once, and to several only in the overlap share.

An image belongs to a reviewer by a lease. All deals of a round follow one another: none goes out twice.
"""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, aliased

from pellucid.data.rounds.database import lock_round
from pellucid.data.rounds.grouping import MOST
from pellucid.data.rounds.outcomes import disputed_samples
from pellucid.data.rounds.reviewers import spellings
from pellucid.data.rounds.settings import RoundSettings
from pellucid.data.rounds.tables import Lease, Reviewer, Round, Sample, Task, Verdict

SECOND_LOOK_AFTER = 20
"""Images between a verdict and its second look, fewer would be remembered."""


@dataclass(frozen=True)
class Item:
    """What is shown at once: an image, or a group of like ones to choose the best of."""

    task: Task
    samples: tuple[Sample, ...]


@dataclass
class Dealer:
    """Deals images of one round out to one reviewer, within a session that writes."""

    session: Session
    round: Round
    reviewer: Reviewer
    now: float

    def __post_init__(self) -> None:
        self.settings = RoundSettings.from_plain(self.round.settings)
        # before anything is read: what is free now may be dealt out a moment later
        lock_round(self.session, self.round.number)
        expire_leases(self.session, self.round.number, self.now)

    def deal(self, count: int, *, holding: Collection[int] = ()) -> list[Item]:
        """Returns up to `count` items to judge: those that the reviewer has already, then new ones.

        Args:
            count: of items, those that are held included.
            holding: ids of samples that the page has; their leases start anew and they are not returned.
        """
        held = self._held(("first", "second"))
        self._renew(held)
        mine = self._items(held)
        items = [item for item in mine if not any(sample.id in holding for sample in item.samples)]
        shown, golds, seconds = self._counts()
        wanted = max(0, count - len(mine))
        for item in self._new(wanted, shown, golds, seconds):
            items.append(item)
        return items

    def deal_disputed(self, count: int, *, holding: Collection[int] = ()) -> list[Item]:
        """Returns up to `count` images about which reviewers disagree, to be settled by this one."""
        held = self._held(("ruling",))
        self._renew(held)
        mine = self._items(held)
        taken = select(Lease.sample_id).where(
            Lease.round_number == self.round.number, Lease.task == "ruling", Lease.state == "held"
        )
        found = self.session.scalars(
            select(Sample)
            .where(Sample.id.in_(disputed_samples(self.round.number)), Sample.id.not_in(taken))
            .order_by(Sample.position)
            .limit(max(0, count - len(mine)))
        )
        new = [self._lease("ruling", [sample]) for sample in found]
        return [item for item in [*mine, *new] if item.samples[0].id not in holding]

    def _held(self, tasks: Sequence[Task]) -> list[tuple[Lease, Sample]]:
        rows = self.session.execute(
            select(Lease, Sample)
            .join(Sample, Sample.id == Lease.sample_id)
            .where(
                Lease.reviewer_id == self.reviewer.id,
                Lease.round_number == self.round.number,
                Lease.state == "held",
                Lease.task.in_(tasks),
            )
            # what was taken back comes first, the latest before the others
            .order_by(func.coalesce(Lease.returned_at, 0).desc(), Lease.id)
        )
        return [(lease, sample) for lease, sample in rows]

    def _renew(self, held: Sequence[tuple[Lease, Sample]]) -> None:
        for lease, _ in held:
            lease.expires_at = self.now + self.settings.lease_s

    def _items(self, held: Sequence[tuple[Lease, Sample]]) -> list[Item]:
        groups: dict[object, list[Sample]] = {}
        for lease, sample in held:
            # an image that was taken back is judged alone: the rest of its group is done
            together = sample.group_key if lease.task == "first" and lease.returned_at is None else None
            key = (lease.task, sample.id if together is None else ("group", together))
            groups.setdefault(key, []).append(sample)
        return [Item(cast("Task", key[0]), tuple(samples)) for key, samples in groups.items()]  # type: ignore[index]

    def _counts(self) -> tuple[int, int, int]:
        """Images that the reviewer was shown; how many of them gold; how many second looks."""
        rows = self.session.execute(
            select(Sample.kind, Lease.task, func.count())
            .join(Sample, Sample.id == Lease.sample_id)
            .where(Lease.reviewer_id == self.reviewer.id, Lease.round_number == self.round.number)
            .group_by(Sample.kind, Lease.task)
        ).all()
        golds = sum(n for kind, _, n in rows if kind == "gold")
        return sum(n for *_, n in rows), golds, sum(n for _, task, n in rows if task == "second")

    def _new(self, count: int, shown: int, golds: int, seconds: int) -> Iterator[Item]:
        heads = iter(self._fresh(count))
        for _ in range(count):
            # by chance and not by turns, or reviewers would learn where gold lies
            chance = random.Random(f"{self.settings.seed}/{self.reviewer.id}/{shown}").random()
            item = None
            if chance < self.settings.gold:
                item = self._gold()
            elif chance < self.settings.gold + self.settings.second_look:
                item = self._second_look()
            item = item or next(heads, None)
            if item is None:
                return
            shown += 1
            yield item

    def _fresh(self, count: int) -> Iterator[Item]:
        mine = select(Lease.sample_id).where(
            Lease.reviewer_id.in_(spellings(self.session, self.reviewer)),
            Lease.round_number == self.round.number,
            Lease.state != "expired",
        )
        open_ones = (
            select(Sample)
            .where(
                Sample.round_number == self.round.number,
                Sample.kind == "made",
                Sample.remaining > 0,
                Sample.id.not_in(mine),
            )
            .order_by(Sample.position)
        )
        done: set[int] = set()
        # read before the first lease changes what is open
        # items may be groups of up to MOST, and the rest of a group is skipped below
        for head in self.session.scalars(open_ones.limit(count * MOST)).all():
            if head.id in done:
                continue
            group = [head]
            if head.group_key is not None:
                group = list(self.session.scalars(open_ones.where(Sample.group_key == head.group_key)))
            done.update(sample.id for sample in group)
            yield self._lease("first", group)

    def _gold(self) -> Item | None:
        seen = select(Lease.sample_id).where(Lease.reviewer_id == self.reviewer.id, Lease.state != "expired")
        found = self.session.scalar(
            select(Sample)
            .where(Sample.round_number == self.round.number, Sample.kind == "gold", Sample.id.not_in(seen))
            .order_by(Sample.position)
            .limit(1)
        )
        return self._lease("first", [found]) if found else None

    def _second_look(self) -> Item | None:
        again = aliased(Lease)
        had = select(again.sample_id).where(again.reviewer_id == self.reviewer.id, again.task == "second")
        mine = (
            select(func.max(Verdict.id).label("last"), Verdict.sample_id)
            .join(Lease, (Lease.sample_id == Verdict.sample_id) & (Lease.reviewer_id == Verdict.reviewer_id))
            .where(
                Verdict.reviewer_id == self.reviewer.id,
                Verdict.round_number == self.round.number,
                Lease.task == "first",
                Lease.state == "done",
            )
            .group_by(Verdict.sample_id)
            .order_by(func.max(Verdict.id).desc())
            .offset(SECOND_LOOK_AFTER)
            .subquery()
        )
        found = self.session.scalar(
            select(Sample)
            .join(mine, mine.c.sample_id == Sample.id)
            .where(Sample.kind == "made", Sample.id.not_in(had))
            .order_by(mine.c.last)
            .limit(1)
        )
        return self._lease("second", [found]) if found else None

    def _lease(self, task: Task, samples: Sequence[Sample]) -> Item:
        for sample in samples:
            # an expired lease of one's own is taken up again: there is one for each image, person and task
            previous = self.session.scalar(
                select(Lease).where(
                    Lease.sample_id == sample.id,
                    Lease.reviewer_id == self.reviewer.id,
                    Lease.task == task,
                )
            )
            lease = previous or Lease(
                sample_id=sample.id,
                round_number=self.round.number,
                reviewer_id=self.reviewer.id,
                task=task,
            )
            lease.state, lease.expires_at = "held", self.now + self.settings.lease_s
            self.session.add(lease)
        self.session.flush()
        if task == "first":
            count_remaining(self.session, [sample.id for sample in samples])
        return Item(task, tuple(samples))


def count_remaining(session: Session, samples: Sequence[int]) -> None:
    """Counts anew how many more reviewers each of some samples wants."""
    leases = (
        select(func.count())
        .where(Lease.sample_id == Sample.id, Lease.task == "first", Lease.state.in_(("held", "done")))
        .scalar_subquery()
    )
    session.execute(
        update(Sample)
        .where(Sample.id.in_(samples))
        .values(remaining=Sample.needed - leases)
        .execution_options(synchronize_session=False)
    )


def expire_leases(session: Session, number: int, now: float) -> None:
    """Gives images free whose reviewers did not judge them in time."""
    late = session.scalars(
        select(Lease).where(Lease.round_number == number, Lease.state == "held", Lease.expires_at < now)
    ).all()
    for lease in late:
        lease.state, lease.returned_at = "expired", None
    session.flush()
    if late:
        count_remaining(session, [lease.sample_id for lease in late])
