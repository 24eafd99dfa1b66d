"""Simulates user studies of known preference and counts how often the interval holds it.

    python benchmarks/study_coverage.py [--studies 200]

Each study has 100 pairs. Two methods: every pair is answered by 3 of 6 raters, who differ in how far they
prefer one method (standard deviation 0.3 on the log-odds scale), as do prompts (0.5); all lean to the left
image (0.3), and sides are drawn by chance; a third rater in ten does not look, fails attention checks and is
dropped. Four methods: the same, each answer on a pair drawn by chance. The truth is the preference of an
average rater on an average prompt, found from two million simulated answers, since unequal raters and prompts
pull it towards a draw. Writes benchmarks/results/study_coverage.json.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import numpy as np

from pellucid.evaluation.study import Vote, analyse
from pellucid.evaluation.study.preferences import fit
from pellucid.progress import track

RESULT = Path(__file__).parent / "results" / "study_coverage.json"
PROMPTS, RATERS, ANSWERS = 100, 6, 3
RATER_SPREAD, PROMPT_SPREAD, LEFT, TIE = 0.3, 0.5, 0.3, 0.4
TWO = {"ours": 0.6, "theirs": 0.0}
FOUR = {"a": 0.8, "b": 0.3, "c": -0.2, "d": -0.9}


def outcome(rng: np.random.Generator, left: float, right: float) -> str:
    """Draws an answer by Davidson's model, for an audience that leans to the left."""
    a, b = math.exp(left + LEFT), math.exp(right)
    shares = np.array([a, b, TIE * math.sqrt(a * b)])
    return ("left", "right", "tie")[int(rng.choice(3, p=shares / shares.sum()))]


def votes(scores: Mapping[str, float], seed: int) -> Iterator[Vote]:
    """Yields the votes of one study."""
    rng = np.random.default_rng(seed)
    names = sorted(scores)
    of_raters = rng.normal(0, RATER_SPREAD, (RATERS, len(names)))
    idle = rng.random(RATERS) < 0.1
    for prompt in range(PROMPTS):
        of_prompt = rng.normal(0, PROMPT_SPREAD, len(names))
        chosen = rng.permutation(len(names))[:2]
        for rater in rng.permutation(RATERS)[:ANSWERS]:
            left, right = rng.permutation(chosen)
            strength = [scores[names[i]] + of_prompt[i] + of_raters[rater, i] for i in (left, right)]
            said = str(rng.choice(["left", "right"])) if idle[rater] else outcome(rng, *strength)
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


def truth(scores: Mapping[str, float]) -> tuple[float, np.ndarray]:
    """Returns the rate of the first method against the second with ties as halves, and the scores of all."""
    rng, names = np.random.default_rng(1), sorted(scores)
    count = len(names)
    wins, ties = np.zeros((count, count)), np.zeros((count, count))
    n = 2_000_000
    spread = math.hypot(RATER_SPREAD, PROMPT_SPREAD)
    for i in range(count):
        for j in range(count):
            if i == j:
                continue
            size = n // (count * (count - 1))
            left = np.exp(scores[names[i]] + rng.normal(0, spread, size) + LEFT)
            right = np.exp(scores[names[j]] + rng.normal(0, spread, size))
            tie = TIE * np.sqrt(left * right)
            whole = left + right + tie
            wins[i, j] += float((left / whole).sum())
            wins[j, i] += float((right / whole).sum())
            tied = float((tie / whole).sum())
            ties[i, j] += tied
            ties[j, i] += tied
    rate = (wins[0, 1] + ties[0, 1] / 2) / (wins[0, 1] + wins[1, 0] + ties[0, 1])
    return float(rate), fit(wins, ties).scores


@click.command()
@click.option("--studies", default=200, show_default=True)
@click.option("--resamples", default=300, show_default=True)
def main(studies: int, resamples: int) -> None:
    """Simulates, counts, writes."""
    result: dict[str, object] = {
        "studies": studies,
        "resamples": resamples,
        "votes_a_study": PROMPTS * ANSWERS,
    }
    for title, scores in (("two methods", TWO), ("four methods", FOUR)):
        rate, strengths = truth(scores)
        held: list[list[bool]] = []
        for seed in track(range(studies), total=studies, label=title, unit="study"):
            found = analyse(list(votes(scores, seed)), resamples=resamples).questions["q"]
            pair = found.pairs[0]
            held.append([pair.rate_with_ties.low <= rate <= pair.rate_with_ties.high])
            held[-1] += [
                found.methods[name].score.low <= true <= found.methods[name].score.high
                for name, true in zip(sorted(scores), strengths, strict=True)
            ]
        shares = np.mean(held, axis=0)
        result[title] = {
            "true_rate_of_the_first_pair": round(rate, 4),
            "true_scores": [round(float(value), 4) for value in strengths],
            "rate_held": round(float(shares[0]), 3),
            "scores_held": [round(float(share), 3) for share in shares[1:]],
        }
        print(title, result[title])
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
