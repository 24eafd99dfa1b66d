"""What votes say: win rates, scores of methods with intervals and ranks, bias, agreement, dropped raters.

Votes of one prompt, and of one rater, are alike: intervals of win rates and scores hold for other prompts and
raters (`clusters`), those of scores and ranks from a bootstrap over both. The exact sign test and Wilson's
interval, which take votes as independent, stand beside them.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest

from pellucid.data.agreement import alpha_with_interval, percent_agreement
from pellucid.data.estimates import Estimate, wilson
from pellucid.errors import InputError
from pellucid.evaluation.study.clusters import clustered_share, narrowed, two_way
from pellucid.evaluation.study.plan import Plan
from pellucid.evaluation.study.preferences import BOUND, components, fit, moves, why_not_scoreable
from pellucid.evaluation.study.tally import Tally
from pellucid.evaluation.study.votes import Vote, read_votes

RESAMPLES = 1000
MIN_ATTENTION = 0.75
"""Share of attention checks that a rater passes at least."""
MIN_DWELL_MS = 300.0
"""Median time on a pair below which nobody has looked."""
OPEN_SHARE = 0.025
"""Share of resamples without finite scores from which an interval is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """Two methods against one another."""

    first: str
    second: str
    wins: int
    """Of the first."""
    losses: int
    ties: int
    rate: Estimate
    """Share of decided votes that the first won; Wilson's interval, which takes votes as independent."""
    rate_with_ties: Estimate
    """The same with each tie as half a win; interval over prompts and raters."""
    p_value: float
    """Of the exact two-sided sign test on decided votes, which takes votes as independent."""
    p_clustered: float
    """That `rate_with_ties` is a half, over prompts and raters."""
    p_holm: float = math.nan
    """`p_value` adjusted for all pairs of all questions (Holm 1979)."""
    p_clustered_holm: float = math.nan
    """`p_clustered`, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodResult:
    """A method's score among those that it was compared with, directly or through others."""

    score: Estimate
    """Log-odds scale, mean 0 over the group; infinite ends where resamples had no finite score."""
    rank: tuple[int, int]
    """Best and worst rank of 95 % of resamples."""
    ties_for_first: bool
    """Whether rank 1 is among these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionResults:
    """What the votes on one question say."""

    votes: int
    """First answers of each rater to each pair; repetitions the other way round measure steadiness alone."""
    prompts: int
    raters: int
    pairs: tuple[PairResult, ...]
    methods: Mapping[str, MethodResult]
    """Empty where scores are refused."""
    refused: tuple[str, ...]
    """Why there are no scores, or none across all methods."""
    left_wins: Estimate
    """Share of decided votes for the image on the left; 0.5 without position bias."""
    p_left: float
    """Of the exact test that this share is 0.5."""
    swapped_same: Estimate
    """Share of pairs shown to one rater both ways round that got the same answer."""
    alpha: Estimate
    """Krippendorff's, over raters of one pair."""
    percent: Estimate
    """Share of equal answers among two raters of one pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a study says."""

    questions: Mapping[str, QuestionResults]
    dropped: Mapping[str, str]
    """Raters whose votes were left out, with the reason."""
    notes: tuple[str, ...] = field(default=())


def analyse(
    votes: Path | str | Iterable[Vote],
    *,
    plan: Plan | str | None = None,
    min_attention: float = MIN_ATTENTION,
    min_dwell_ms: float = MIN_DWELL_MS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Results:
    """Analyses the votes of a study.

    Args:
        votes: a file of `votes.VoteLog`, or votes.
        plan: the plan, or its hash. Votes under another one, and too few votes, are told in the notes.
        min_attention: raters below this share of passed attention checks are dropped.
        min_dwell_ms: and those whose median time on a pair is shorter.
        resamples: of the bootstrap; the last digit of intervals needs a thousand.
        seed: of the bootstrap.

    Raises:
        FileError: the file is absent, or holds a line that is no vote.
        InputError: there are no votes on pairs of two methods.
    """
    every = read_votes(Path(votes)) if isinstance(votes, Path | str) else list(votes)
    dropped = _dropped(every, min_attention, min_dwell_ms)
    kept = [vote for vote in every if vote.rater not in dropped and vote.kind != "attention"]
    if not kept:
        raise InputError(
            f"Expected votes that count, found none of {len(every)} ({len(dropped)} raters dropped). "
            "Collect votes, or lower the limits of attention and time."
        )
    by_question: dict[str, list[Vote]] = defaultdict(list)
    for vote in kept:
        by_question[vote.question].append(vote)
    questions = {name: _question(some, resamples, seed) for name, some in sorted(by_question.items())}
    return Results(
        questions=_adjusted(questions), dropped=dropped, notes=tuple(_notes(every, questions, plan))
    )


def _notes(
    votes: Sequence[Vote], found: Mapping[str, QuestionResults], plan: Plan | str | None
) -> Iterable[str]:
    for name, each in found.items():
        if each.raters == 1:
            yield f"{name}: the votes of one person, whose intervals say nothing of other people"
    if plan is None:
        return
    digest = plan if isinstance(plan, str) else plan.digest
    if other := sum(vote.plan != digest for vote in votes):
        yield f"{other} of {len(votes)} votes were given under another plan"
    for question in () if isinstance(plan, str) else plan.questions:
        count = found[question.id].votes if question.id in found else 0
        if count < question.votes:
            yield f"{question.id}: {count} of {question.votes} planned votes count"


def _dropped(votes: Sequence[Vote], min_attention: float, min_dwell_ms: float) -> dict[str, str]:
    by_rater: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_rater[vote.rater].append(vote)
    dropped: dict[str, str] = {}
    for rater, own in sorted(by_rater.items()):
        checks = [vote.outcome == vote.expected for vote in own if vote.kind == "attention"]
        dwells = [vote.dwell_ms for vote in own if vote.dwell_ms > 0]
        if checks and sum(checks) < min_attention * len(checks):
            dropped[rater] = f"passed {sum(checks)} of {len(checks)} attention checks"
        elif dwells and float(np.median(dwells)) < min_dwell_ms:
            dropped[rater] = f"looked {np.median(dwells):.0f} ms at a pair in the median"
    return dropped


def _question(votes: Sequence[Vote], resamples: int, seed: int) -> QuestionResults:
    first = _first_answers(votes)
    tally = Tally(first)
    weights = tally.resampled(np.random.default_rng(seed), resamples)
    wins, ties = tally.matrices(np.ones(len(first)))
    methods: dict[str, MethodResult] = {}
    refused: list[str] = []
    groups = components(wins, ties)
    if len(groups) > 1:
        names = "; ".join(", ".join(tally.methods[i] for i in group) for group in groups)
        refused.append(f"no common scale: nobody compared methods of different groups ({names})")
    for group in groups:
        at = np.ix_(group, group)
        if reason := why_not_scoreable(wins[at], ties[at], [tally.methods[i] for i in group]):
            refused.append(f"no scores: {reason}")
            continue
        part = tally.of(group)
        methods |= _scored(part, weights[:, part.rows])
    decided = [vote for vote in votes if vote.outcome != "tie"]
    left = sum(vote.outcome == "left" for vote in decided)
    units = _units(first)
    return QuestionResults(
        votes=len(first),
        prompts=tally.counts[0],
        raters=tally.counts[1],
        pairs=tuple(_pairs(tally)),
        methods=methods,
        refused=tuple(refused),
        left_wins=wilson(left, len(decided)),
        p_left=float(binomtest(left, len(decided)).pvalue) if decided else math.nan,
        swapped_same=_swapped(votes),
        alpha=alpha_with_interval(units),
        percent=percent_agreement(units),
    )


def _scored(tally: Tally, weights: Float[np.ndarray, "b n"]) -> dict[str, MethodResult]:
    whole = fit(*tally.matrices(np.ones(len(tally.rows))))
    drawn: list[Float[np.ndarray, " k"]] = []
    open_ends = 0
    weights = weights[weights.any(axis=1)]
    for each in weights:
        wins, ties = tally.matrices(each)
        # a resample in which a method never lost has scores at the bound, which stand for infinite ones
        open_ends += why_not_scoreable(wins, ties, tally.methods) is not None
        drawn.append(fit(wins, ties).scores)
    columns = np.array(drawn)
    parts = moves(whole, tally.left, tally.right, tally.outcome)
    spread = two_way(parts, tally.prompt, tally.rater)
    right = narrowed(columns, whole.scores, weights @ parts, spread)
    low, high = np.quantile(right, [0.025, 0.975], axis=0)
    if open_ends > OPEN_SHARE * len(drawn):
        # which end is open shows where resamples reach the bound
        far = np.abs(columns) > BOUND / 2
        low = np.where((far & (columns < 0)).mean(axis=0) > OPEN_SHARE, -np.inf, low)
        high = np.where((far & (columns > 0)).mean(axis=0) > OPEN_SHARE, np.inf, high)
    # rank 1 is the highest; ties in a resample share the better rank
    ranks = 1 + (right[:, None, :] > right[:, :, None]).sum(axis=2)
    best, worst = np.quantile(ranks, [0.025, 0.975], axis=0, method="inverted_cdf")
    return {
        name: MethodResult(
            score=Estimate(float(whole.scores[i]), float(low[i]), float(high[i]), len(tally.rows)),
            rank=(int(best[i]), int(worst[i])),
            ties_for_first=int(best[i]) == 1,
        )
        for i, name in enumerate(tally.methods)
    }


def _pairs(whole: Tally) -> Iterable[PairResult]:
    for pair in combinations(range(len(whole.methods)), 2):
        tally = whole.of(pair)
        if not len(tally.rows):
            continue
        # 1 where the first won
        values = np.where(tally.left == 0, tally.outcome, 1 - tally.outcome)
        won, lost = (int((values == value).sum()) for value in (1, 0))
        rate, p_clustered = clustered_share(values, tally.prompt, tally.rater)
        yield PairResult(
            first=tally.methods[0],
            second=tally.methods[1],
            wins=won,
            losses=lost,
            ties=len(values) - won - lost,
            rate=wilson(won, won + lost),
            rate_with_ties=rate,
            p_value=float(binomtest(won, won + lost).pvalue) if won + lost else 1.0,
            p_clustered=p_clustered,
        )


def _first_answers(votes: Sequence[Vote]) -> list[Vote]:
    first: dict[tuple[str, ...], Vote] = {}
    for vote in votes:
        first.setdefault((vote.rater, vote.pair, vote.prompt, *sorted((vote.left, vote.right))), vote)
    return list(first.values())


def _units(first: Sequence[Vote]) -> list[list[str]]:
    """Returns what raters preferred in each pair, one answer a rater: "tie" or a method."""
    units: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for vote in first:
        units[vote.pair, vote.prompt, *sorted((vote.left, vote.right))].append(vote.winner or "tie")
    return list(units.values())


def _swapped(votes: Sequence[Vote]) -> Estimate:
    plain = {(vote.rater, vote.pair): vote.winner for vote in votes if vote.kind == "plain"}
    again = [
        plain[key] == vote.winner
        for vote in votes
        if vote.kind == "swapped" and (key := (vote.rater, vote.pair)) in plain
    ]
    return wilson(sum(again), len(again))


def _adjusted(questions: Mapping[str, QuestionResults]) -> dict[str, QuestionResults]:
    """Adjusts the p-values of all pairs of all questions together."""
    pairs = [pair for each in questions.values() for pair in each.pairs]
    adjusted = iter(
        replace(pair, p_holm=exact, p_clustered_holm=clustered)
        for pair, exact, clustered in zip(
            pairs,
            holm([pair.p_value for pair in pairs]),
            holm([pair.p_clustered for pair in pairs]),
            strict=True,
        )
    )
    return {
        name: replace(each, pairs=tuple(next(adjusted) for _ in each.pairs))
        for name, each in questions.items()
    }


def holm(values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted for their number, step down (Holm 1979)."""
    order = np.argsort(values)
    found = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, values[int(index)] * (len(values) - rank)))
        found[int(index)] = highest
    return found
