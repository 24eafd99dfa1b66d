"""Agreement after Krippendorff's published examples, and intervals."""

import math

import numpy as np
import pytest

from pellucid.data.agreement import alpha_with_interval, krippendorff_alpha, percent_agreement
from pellucid.data.estimates import wilson
from pellucid.data.rounds.agreement import quality
from pellucid.data.rounds.outcomes import Judgement


def units(*observers: str) -> list[list[str]]:
    """One row an observer, one column a unit; a point is a missing value."""
    return [[value for value in column if value != "."] for column in zip(*observers, strict=True)]


@pytest.mark.parametrize(
    ("observers", "alpha"),
    [
        # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", sections A, B and C
        (("0100000010", "1110010000"), 0.095),
        (("aabbdcccedda", "babbbcccеddd".replace("е", "e")), 0.692),
        (("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743),
    ],
)
def test_alpha_is_that_of_the_published_examples(observers: tuple[str, ...], alpha: float) -> None:
    assert krippendorff_alpha(units(*observers)) == pytest.approx(alpha, abs=5e-4)


def test_full_agreement_is_one_and_nothing_to_compare_is_nan() -> None:
    assert krippendorff_alpha([["a", "a"], ["b", "b"]]) == 1
    assert math.isnan(krippendorff_alpha([["a"], ["b"], []]))
    assert math.isnan(krippendorff_alpha([["a", "a"], ["a", "a"]]))  # one value leaves no chance to differ


def test_the_interval_holds_the_value_and_narrows_with_more_units() -> None:
    rng = np.random.default_rng(0)

    def observed(count: int) -> list[list[bool]]:
        truth = rng.random(count) < 0.5
        return [[bool(t ^ (rng.random() < 0.1)) for _ in range(2)] for t in truth]

    few, many = alpha_with_interval(observed(50)), alpha_with_interval(observed(2000))
    for each in (few, many):
        assert each.low <= each.value <= each.high
    assert many.high - many.low < (few.high - few.low) / 3
    # each errs in a tenth: they agree in 0.82, and chance gives 0.5
    assert many.value == pytest.approx(0.64, abs=0.05)


def test_percent_agreement_counts_pairs() -> None:
    assert percent_agreement([["a", "a", "b"], ["c"]]).value == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17: 857-872, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_that_of_the_published_table(successes: int, n: int, low: float, high: float) -> None:
    found = wilson(successes, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def judged(index: int, decision: str, *, task: str = "first", expected: str | None = None) -> Judgement:
    return Judgement(index, index, 1, task, decision, "", 500, float(index), expected)  # type: ignore[arg-type]


def test_quality_sees_gold_second_looks_and_drift() -> None:
    firsts = [judged(i, "keep" if i < 100 else "reject") for i in range(200)]
    golds = [judged(300 + i, "keep", expected="keep" if i else "reject") for i in range(10)]
    seconds = [Judgement(400 + i, i, 1, "second", "keep", "", 500, 0.0, None) for i in (0, 1, 150)]
    found = quality([*firsts, *golds, *seconds])[1]
    assert found.gold.value == 0.9
    assert found.self_agreement.value == pytest.approx(2 / 3)
    assert found.drift.value == -1
    assert found.drift.high < 0
    assert found.keep_share.value == 0.5
