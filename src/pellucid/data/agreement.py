"""Krippendorff's alpha and percent agreement: how far several people say the same of one thing."""

import math
from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from pellucid.data.estimates import Estimate, wilson

REPEATS = 2000
"""Bootstrap samples; enough for two digits of an interval."""


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float:
    """Returns Krippendorff's alpha for nominal data: 1 is full agreement, 0 what chance gives.

    After Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C. Values that are missing
    are left out of their unit; a unit with fewer than two values says nothing.

    Args:
        units: for each thing that was judged, the values it was given.

    Returns:
        NaN if there are no two values of one unit, or only one value at all.
    """
    return _alpha(_coincidences(units).sum(axis=0))


def alpha_with_interval(units: Iterable[Sequence[Hashable]], *, seed: int = 0) -> Estimate:
    """Returns `krippendorff_alpha` and a percentile interval: a bootstrap over the units."""
    each = _coincidences(units)
    count = len(each)
    if not count:
        return Estimate(math.nan, math.nan, math.nan, 0)
    # a bootstrap sample is how often each unit is drawn; then one product sums them all
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), REPEATS)
    sums = (drawn @ each.reshape(count, -1)).reshape(REPEATS, *each.shape[1:])
    values = np.array([_alpha(matrix) for matrix in sums])
    values = values[~np.isnan(values)]
    low, high = np.quantile(values, [0.025, 0.975]) if len(values) else (math.nan, math.nan)
    return Estimate(_alpha(each.sum(axis=0)), float(low), float(high), count)


def percent_agreement(units: Iterable[Sequence[Hashable]]) -> Estimate:
    """Returns the share of equal pairs among values of one unit; its interval takes pairs as independent."""
    pairs = [a == b for values in units for a, b in combinations(values, 2)]
    return wilson(sum(pairs), len(pairs))


def _coincidences(units: Iterable[Sequence[Hashable]]) -> Float[np.ndarray, "units values values"]:
    """For each unit of m values: how often two values meet in it, each pair counted 1 / (m - 1)."""
    paired = [values for values in units if len(values) > 1]
    known = {value: index for index, value in enumerate(dict.fromkeys(v for unit in paired for v in unit))}
    each = np.zeros((len(paired), len(known), len(known)))
    for matrix, values in zip(each, paired, strict=True):
        counts = np.bincount([known[value] for value in values], minlength=len(known))
        matrix += (np.outer(counts, counts) - np.diag(counts)) / (len(values) - 1)
    return each


def _alpha(matrix: Float[np.ndarray, "values values"]) -> float:
    totals = matrix.sum(axis=0)
    n = totals.sum()
    by_chance = n * n - (totals**2).sum()
    if by_chance <= 0:
        return math.nan
    # 1 - observed / expected disagreement, nominal metric: all that is off the diagonal disagrees
    return float(1 - (n - 1) * (n - np.trace(matrix)) / by_chance)
