"""Simulates user studies of known preference and counts how often each interval holds it.

    python benchmarks/study_coverage.py [--studies 200]

A study has 100 pairs, each answered by three raters. All lean to the left image (0.3 on the log-odds scale),
sides lie half and half among the pairs, and one rater in ten does not look, fails attention checks and is
dropped. Raters and prompts differ in how far they prefer a method by the standard deviations of each case.
The truth is the preference over all raters and prompts of that kind, from two million simulated answers: not
that of an average rater, since differences between raters pull preferences towards a draw. Of equal methods,
it counts how often each test finds a difference that is not there: 5 % if it is right. Writes
benchmarks/results/study_coverage.json.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from pellucid.evaluation.study import QuestionResults, Vote, analyse
from pellucid.evaluation.study.preferences import fit
from pellucid.evaluation.study.tally import Tally
from pellucid.progress import track

RESULT = Path(__file__).parent / "results" / "study_coverage.json"
PROMPTS, ANSWERS, LEFT, TIE, IDLE = 100, 3, 0.3, 0.4, 0.1


@dataclass(frozen=True, kw_only=True)
class Case:
    """People, prompts and methods."""

    scores: Mapping[str, float]
    raters: int = 6
    rater_spread: float = 0.3
    prompt_spread: float = 0.5

    @property
    def names(self) -> Sequence[str]:
        return sorted(self.scores)


TWO = {"a": 0.6, "b": 0.0}
CASES = {
    "two methods": Case(scores=TWO),
    "two methods, 20 raters": Case(scores=TWO, raters=20),
    "two methods, raters and prompts all alike": Case(scores=TWO, rater_spread=0, prompt_spread=0),
    "two methods, raters at odds": Case(scores=TWO, rater_spread=0.6),
    "two equal methods": Case(scores={"a": 0, "b": 0}),
    "four methods": Case(scores={"a": 0.8, "b": 0.3, "c": -0.2, "d": -0.9}),
}


def votes(case: Case, seed: int) -> Iterator[Vote]:
    """Yields the votes of one study."""
    rng = np.random.default_rng(seed)
    names = case.names
    of_raters = rng.normal(0, case.rater_spread, (case.raters, len(names)))
    idle = rng.random(case.raters) < IDLE
    first = rng.permutation(np.arange(PROMPTS) % 2 == 0)
    for prompt in range(PROMPTS):
        of_prompt = rng.normal(0, case.prompt_spread, len(names))
        chosen = sorted(rng.permutation(len(names))[:2])
        left, right = chosen if first[prompt] else chosen[::-1]
        for rater in rng.permutation(case.raters)[:ANSWERS]:
            a, b = (
                math.exp(case.scores[names[i]] + of_prompt[i] + of_raters[rater, i] + lean)
                for i, lean in ((left, LEFT), (right, 0))
            )
            shares = np.array([a, b, TIE * math.sqrt(a * b)])
            if idle[rater]:
                shares = np.array([1, 1, 0])
            said = ("left", "right", "tie")[int(rng.choice(3, p=shares / shares.sum()))]
            about = {"time": prompt, "rater": f"r{rater}", "question": "q", "dwell_ms": 1500}
            yield Vote(
                uid=f"{prompt}-{rater}", pair=str(prompt), prompt=f"p{prompt}", left=names[left],
                right=names[right], outcome=said, **about,
            )  # fmt: skip
            if rng.random() < 0.1:
                passed = "left" if not idle[rater] or rng.random() < 0.5 else "right"
                yield Vote(
                    uid=f"c{prompt}-{rater}", pair=f"c{prompt}", prompt="check", left="x", right="y",
                    outcome=passed, expected="left", kind="attention", **about,
                )  # fmt: skip


def truth(case: Case) -> tuple[float, float, np.ndarray]:
    """Returns the first method's rate against the second, of decided answers and with ties; and scores."""
    rng, names = np.random.default_rng(1), case.names
    count = len(names)
    wins, ties = np.zeros((count, count)), np.zeros((count, count))
    size = 2_000_000 // (count * (count - 1))
    spread = math.hypot(case.rater_spread, case.prompt_spread)
    for i in range(count):
        for j in range(count):
            if i == j:
                continue
            left = np.exp(case.scores[names[i]] + rng.normal(0, spread, size) + LEFT)
            right = np.exp(case.scores[names[j]] + rng.normal(0, spread, size))
            tie = TIE * np.sqrt(left * right)
            whole = left + right + tie
            wins[i, j] += float((left / whole).sum())
            wins[j, i] += float((right / whole).sum())
            ties[i, j] += float((tie / whole).sum())
    ties += ties.T
    won, lost, tied = wins[0, 1], wins[1, 0], ties[0, 1]
    return won / (won + lost), (won + tied / 2) / (won + lost + tied), fit(wins, ties).scores


def bootstrap_alone(kept: Sequence[Vote]) -> tuple[float, float]:
    """Returns the interval of the first pair's rate by resampled prompts and raters, as they come."""
    whole = Tally(kept)
    weights = whole.resampled(np.random.default_rng(0), 1000)
    tally = whole.of((0, 1))
    weights = weights[:, tally.rows]
    weights = weights[weights.any(axis=1)]
    rates = weights @ np.where(tally.left == 0, tally.outcome, 1 - tally.outcome) / weights.sum(axis=1)
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), float(high)


@dataclass
class Count:
    """What the studies of a case gave."""

    case: Case

    def __post_init__(self) -> None:
        self.decided, self.rate, self.scores = truth(self.case)
        self.rows: list[dict[str, float | list[bool]]] = []

    def add(self, found: QuestionResults, alone: tuple[float, float]) -> None:
        pair = found.pairs[0]
        scores = [found.methods[name].score for name in self.case.names]
        self.rows.append({
            "wilson_held": pair.rate.low <= self.decided <= pair.rate.high,
            "wilson_width": pair.rate.high - pair.rate.low,
            "rate_held": pair.rate_with_ties.low <= self.rate <= pair.rate_with_ties.high,
            "rate_width": pair.rate_with_ties.high - pair.rate_with_ties.low,
            "bootstrap_alone_held": alone[0] <= self.rate <= alone[1],
            "bootstrap_alone_width": alone[1] - alone[0],
            "scores_held": [
                each.low <= true <= each.high for each, true in zip(scores, self.scores, strict=True)
            ],
            "score_width": float(np.mean([each.high - each.low for each in scores])),
            "best_may_be_first": found.methods[self.case.names[0]].ties_for_first,
            "sign_test_found": pair.p_value < 0.05,
            "clustered_test_found": pair.p_clustered < 0.05,
        })  # fmt: skip

    def plain(self) -> dict[str, object]:
        return {
            "true_rate": round(self.rate, 4),
            "true_scores": [round(float(value), 3) for value in self.scores],
            **{
                name: np.round(np.mean([row[name] for row in self.rows], axis=0), 3).tolist()
                for name in self.rows[0]
            },
        }


@click.command()
@click.option("--studies", default=200, show_default=True)
@click.option("--resamples", default=200, show_default=True)
def main(studies: int, resamples: int) -> None:
    """Simulates, counts, writes."""
    result: dict[str, object] = {"studies": studies, "votes_a_study": PROMPTS * ANSWERS}
    for title, case in CASES.items():
        count = Count(case)
        for seed in track(range(studies), total=studies, label=title, unit="study"):
            some = list(votes(case, seed))
            found = analyse(some, resamples=resamples)
            kept = [vote for vote in some if vote.kind == "plain" and vote.rater not in found.dropped]
            count.add(found.questions["q"], bootstrap_alone(kept))
        result[title] = count.plain()
        print(title, json.dumps(result[title]), flush=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
