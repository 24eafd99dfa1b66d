"""How well reviewers judge: against known verdicts, against themselves, and over time."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pellucid.data.estimates import Estimate, wilson
from pellucid.data.rounds.outcomes import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerQuality:
    """How one reviewer judges."""

    verdicts: int
    keep_share: Estimate
    gold: Estimate
    """Share of hidden images with a known verdict that were judged so."""
    self_agreement: Estimate
    """Share of second looks that repeat the first verdict."""
    drift: Estimate
    """Share kept in the later half less that in the earlier half. Images come in no order of quality, so an
    interval without 0 says that the reviewer's measure changed."""


def first_verdicts(found: Iterable[Judgement]) -> list[list[str]]:
    """Returns the first verdicts on each image, one of each reviewer, gold aside."""
    units: dict[int, dict[int, str]] = {}
    for each in found:
        if each.task == "first" and each.expected is None:
            units.setdefault(each.sample, {})[each.reviewer] = each.decision
    return [list(unit.values()) for unit in units.values()]


def quality(found: Sequence[Judgement]) -> Mapping[int, ReviewerQuality]:
    """Measures every reviewer of a round, by the reviewer's id."""
    by_reviewer: dict[int, list[Judgement]] = {}
    for each in found:
        by_reviewer.setdefault(each.reviewer, []).append(each)
    return {reviewer: _quality_of(own) for reviewer, own in by_reviewer.items()}


def _quality_of(own: Sequence[Judgement]) -> ReviewerQuality:
    firsts = [each for each in own if each.task == "first" and each.expected is None]
    golds = [each for each in own if each.task == "first" and each.expected is not None]
    first_of = {each.sample: each.decision for each in firsts}
    again = [each.decision == first_of.get(each.sample) for each in own if each.task == "second"]
    kept = [each.decision == "keep" for each in firsts]
    half = len(kept) // 2
    return ReviewerQuality(
        verdicts=len(own),
        keep_share=wilson(sum(kept), len(kept)),
        gold=wilson(sum(each.decision == each.expected for each in golds), len(golds)),
        self_agreement=wilson(sum(again), len(again)),
        drift=_difference(kept[:half], kept[half:]),
    )


def _difference(before: Sequence[bool], after: Sequence[bool]) -> Estimate:
    """Difference of two shares with Newcombe's interval, his method 10 (1998)."""
    if not before or not after:
        return Estimate(math.nan, math.nan, math.nan, 0)
    first, second = wilson(sum(before), len(before)), wilson(sum(after), len(after))
    value = second.value - first.value
    below = math.hypot(second.value - second.low, first.high - first.value)
    above = math.hypot(second.high - second.value, first.value - first.low)
    return Estimate(value, value - below, value + above, len(before) + len(after))
