"""How all rounds went: progress, acceptance, agreement, reviewers."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from pellucid.data.agreement import alpha_with_interval, percent_agreement
from pellucid.data.estimates import Estimate, wilson
from pellucid.data.rounds.agreement import ReviewerQuality, first_verdicts, quality
from pellucid.data.rounds.outcomes import Judgement, fates, judgements
from pellucid.data.rounds.pace import Pace, pace
from pellucid.data.rounds.reviewers import by_person, people
from pellucid.data.rounds.settings import RoundSettings
from pellucid.data.rounds.tables import Round


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStatus:
    """One round's figures."""

    number: int
    state: str
    model: str
    data: tuple[str, ...]
    """Sets and shards that its model has learned."""
    goal: int
    counts: Mapping[str, int]
    """Images by their fate: keep, reject, disputed, open."""
    acceptance: Estimate
    """Share of decided images that were kept."""
    alpha: Estimate
    percent_agreement: Estimate
    reviewers: Mapping[str, tuple[ReviewerQuality, Pace]]

    def plain(self) -> dict[str, object]:
        """Returns the figures for JSON."""
        return {
            "round": self.number,
            "state": self.state,
            "model": self.model,
            "data": list(self.data),
            "goal": self.goal,
            "counts": dict(self.counts),
            "acceptance": self.acceptance.plain(),
            "alpha": self.alpha.plain(),
            "percent_agreement": self.percent_agreement.plain(),
            "reviewers": {
                name: {
                    "keep_share": measured.keep_share.plain(),
                    "gold": measured.gold.plain(),
                    "self_agreement": measured.self_agreement.plain(),
                    "drift": measured.drift.plain(),
                    **speed.plain(),
                }
                for name, (measured, speed) in self.reviewers.items()
            },
        }


def all_rounds(session: Session) -> list[RoundStatus]:
    """Measures every round, the first first."""
    return [round_status(session, each) for each in session.scalars(select(Round).order_by(Round.number))]


def round_status(session: Session, round_: Round) -> RoundStatus:
    """Measures a round by the verdicts in force; a closed one by those up to its closing."""
    until = round_.outcome.get("until")
    found = judgements(session, round_.number, until=int(str(until)) if until is not None else None)
    fate_of = list(fates(session, round_.number, found).values())
    counts = {fate: fate_of.count(fate) for fate in ("keep", "reject", "disputed", "open")}
    own = by_person(session, found)
    units = first_verdicts(own)
    names = {each.id: each.name for each in people(session).values()}
    return RoundStatus(
        number=round_.number,
        state=round_.state,
        model=round_.model,
        data=tuple(round_.data),
        goal=RoundSettings.from_plain(round_.settings).keep,
        counts=counts,
        acceptance=wilson(counts["keep"], counts["keep"] + counts["reject"]),
        alpha=alpha_with_interval(units),
        percent_agreement=percent_agreement(units),
        reviewers={names[id_]: (measured, pace_of(own, id_)) for id_, measured in quality(own).items()},
    )


def pace_of(found: list[Judgement], reviewer: int) -> Pace:
    """Measures the pace of one reviewer among verdicts."""
    own = [each for each in found if each.reviewer == reviewer]
    # by the reviewer's clock: verdicts that waited for the server arrive together
    own.sort(key=lambda each: each.made_at)
    return pace([each.made_at for each in own], [each.dwell_ms for each in own])
