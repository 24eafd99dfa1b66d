"""What votes say: win rates, scores of methods with intervals and ranks, bias, agreement, dropped raters.

Intervals come from a bootstrap over prompts and raters at once (the pigeonhole bootstrap of Owen 2007): votes
of one prompt or one rater are alike, and intervals that take them as independent are too narrow.
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
from pellucid.evaluation.study.preferences import BOUND, components, fit, why_not_scoreable
from pellucid.evaluation.study.votes import Vote, read_votes

RESAMPLES = 1000
MIN_ATTENTION = 0.75
"""Share of attention checks that a rater passes at least."""
MIN_DWELL_MS = 300.0
"""Median time on a pair below which nobody has looked."""
Matrices = tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k k"]]
"""Wins, row over column, and ties."""
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
    """Of the exact two-sided sign test on decided votes."""
    p_holm: float = math.nan
    """Adjusted for all pairs of all questions (Holm 1979)."""


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
    votes: Path | Iterable[Vote],
    *,
    plan: str | None = None,
    min_attention: float = MIN_ATTENTION,
    min_dwell_ms: float = MIN_DWELL_MS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Results:
    """Analyses the votes of a study.

    Args:
        votes: a file of `votes.VoteLog`, or votes.
        plan: hash of the plan; votes under another one are counted in the notes. None does not look.
        min_attention: raters below this share of passed attention checks are dropped.
        min_dwell_ms: and those whose median time on a pair is shorter.
        resamples: of the bootstrap; the last digit of intervals needs a thousand.
        seed: of the bootstrap.

    Raises:
        FileError: the file is absent, or holds a line that is no vote.
        InputError: there are no votes on pairs of two methods.
    """
    every = read_votes(votes) if isinstance(votes, Path) else list(votes)
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
    notes: list[str] = []
    other = sum(vote.plan != plan for vote in every) if plan is not None else 0
    if other:
        notes.append(f"{other} of {len(every)} votes were given under another plan")
    return Results(questions=_adjusted(questions), dropped=dropped, notes=tuple(notes))


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


class _Tally:
    """Outcomes as indices, so that a resample is a weight for each vote."""

    def __init__(self, votes: Sequence[Vote]) -> None:
        self.methods = sorted({name for vote in votes for name in (vote.left, vote.right)})
        place = {name: index for index, name in enumerate(self.methods)}
        prompts, raters = ({name: i for i, name in enumerate(dict.fromkeys(names))} for names in (
            [vote.prompt for vote in votes], [vote.rater for vote in votes],
        ))  # fmt: skip
        self.counts = len(prompts), len(raters)
        self.prompt = np.array([prompts[vote.prompt] for vote in votes])
        self.rater = np.array([raters[vote.rater] for vote in votes])
        self.left = np.array([place[vote.left] for vote in votes])
        self.right = np.array([place[vote.right] for vote in votes])
        self.outcome = np.array([vote.outcome for vote in votes])

    def matrices(
        self, weights: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k k"]]:
        """Adds weights of votes to wins and ties."""
        count = len(self.methods)
        wins, ties = np.zeros((count, count)), np.zeros((count, count))
        for side, won, lost in (("left", self.left, self.right), ("right", self.right, self.left)):
            at = self.outcome == side
            np.add.at(wins, (won[at], lost[at]), weights[at])
        at = self.outcome == "tie"
        np.add.at(ties, (self.left[at], self.right[at]), weights[at])
        return wins, ties + ties.T

    def resampled(self, draw: np.random.Generator) -> Float[np.ndarray, " n"]:
        """Draws prompts and raters anew, and returns how often each vote counts."""
        prompts, raters = (draw.multinomial(count, np.full(count, 1 / count)) for count in self.counts)
        return (prompts[self.prompt] * raters[self.rater]).astype(float)


def _question(votes: Sequence[Vote], resamples: int, seed: int) -> QuestionResults:
    tally = _Tally(votes)
    draw = np.random.default_rng(seed)
    wins, ties = tally.matrices(np.ones(len(votes)))
    samples = [tally.matrices(tally.resampled(draw)) for _ in range(resamples)]
    methods: dict[str, MethodResult] = {}
    refused: list[str] = []
    groups = components(wins, ties)
    if len(groups) > 1:
        names = "; ".join(", ".join(tally.methods[i] for i in group) for group in groups)
        refused.append(f"no common scale: nobody compared methods of different groups ({names})")
    for group in groups:
        at = np.ix_(group, group)
        names = [tally.methods[i] for i in group]
        if len(group) < 2:
            continue
        if reason := why_not_scoreable(wins[at], ties[at], names):
            refused.append(f"no scores: {reason}")
            continue
        parts = [(some_wins[at], some_ties[at]) for some_wins, some_ties in samples]
        methods |= _scored(names, (wins[at], ties[at]), parts)
    decided = [vote for vote in votes if vote.outcome != "tie"]
    left = sum(vote.outcome == "left" for vote in decided)
    units = _units(votes)
    return QuestionResults(
        votes=len(votes),
        prompts=tally.counts[0],
        raters=tally.counts[1],
        pairs=tuple(_pairs(tally.methods, wins, ties, samples)),
        methods=methods,
        refused=tuple(refused),
        left_wins=wilson(left, len(decided)),
        p_left=float(binomtest(left, len(decided)).pvalue) if decided else math.nan,
        swapped_same=_swapped(votes),
        alpha=alpha_with_interval(units),
        percent=percent_agreement(units),
    )


def _scored(names: list[str], whole: Matrices, samples: Sequence[Matrices]) -> dict[str, MethodResult]:
    scores = fit(*whole).scores
    drawn: list[Float[np.ndarray, " k"]] = []
    open_ends = 0
    for wins, ties in samples:
        if wins.sum() + ties.sum() == 0:
            continue
        # a resample in which a method never lost has scores at the bound, which stand for infinite ones
        open_ends += why_not_scoreable(wins, ties, names) is not None
        drawn.append(fit(wins, ties).scores)
    columns = np.array(drawn)
    low, high = np.quantile(columns, [0.025, 0.975], axis=0)
    if open_ends > OPEN_SHARE * len(drawn):
        # which end is open shows where resamples reach the bound
        far = np.abs(columns) > BOUND / 2
        low = np.where((far & (columns < 0)).mean(axis=0) > OPEN_SHARE, -np.inf, low)
        high = np.where((far & (columns > 0)).mean(axis=0) > OPEN_SHARE, np.inf, high)
    # rank 1 is the highest; ties in a resample share the better rank
    ranks = 1 + (columns[:, None, :] > columns[:, :, None]).sum(axis=2)
    best, worst = np.quantile(ranks, [0.025, 0.975], axis=0, method="inverted_cdf")
    return {
        name: MethodResult(
            score=Estimate(float(scores[i]), float(low[i]), float(high[i]), len(drawn)),
            rank=(int(best[i]), int(worst[i])),
            ties_for_first=int(best[i]) == 1,
        )
        for i, name in enumerate(names)
    }


def _pairs(
    names: Sequence[str],
    wins: Float[np.ndarray, "k k"],
    ties: Float[np.ndarray, "k k"],
    samples: Sequence[Matrices],
) -> Iterable[PairResult]:
    for i, j in combinations(range(len(names)), 2):
        won, lost, tied = int(wins[i, j]), int(wins[j, i]), int(ties[i, j])
        n = won + lost + tied
        if n == 0:
            continue
        rates = [
            (some_wins[i, j] + some_ties[i, j] / 2) / total
            for some_wins, some_ties in samples
            if (total := some_wins[i, j] + some_wins[j, i] + some_ties[i, j]) > 0
        ]
        low, high = np.quantile(rates, [0.025, 0.975])
        yield PairResult(
            first=names[i],
            second=names[j],
            wins=won,
            losses=lost,
            ties=tied,
            rate=wilson(won, won + lost),
            rate_with_ties=Estimate((won + tied / 2) / n, float(low), float(high), n),
            p_value=float(binomtest(won, won + lost).pvalue) if won + lost else 1.0,
        )


def _units(votes: Sequence[Vote]) -> list[list[str]]:
    """Returns what raters preferred in each pair, one answer a rater: "tie" or a method."""
    units: dict[str, dict[str, str]] = defaultdict(dict)
    for vote in votes:
        if vote.kind == "plain":
            units[vote.pair].setdefault(vote.rater, vote.winner or "tie")
    return [list(answers.values()) for answers in units.values()]


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
    places = [(name, index) for name, each in questions.items() for index in range(len(each.pairs))]
    values = [questions[name].pairs[index].p_value for name, index in places]
    adjusted = dict(zip(places, holm(values), strict=True))
    return {
        name: replace(
            each,
            pairs=tuple(replace(pair, p_holm=adjusted[name, i]) for i, pair in enumerate(each.pairs)),
        )
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
