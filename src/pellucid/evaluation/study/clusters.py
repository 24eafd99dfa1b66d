"""How sure a figure is when votes of one prompt, and votes of one rater, are alike.

Intervals that take votes as independent are too narrow, and a bootstrap that draws prompts and raters at once
(Owen 2007, "The pigeonhole bootstrap") is too wide, since it counts the chance of single votes up to three
times. The variance between is that of Cameron, Gelbach and Miller 2011, "Robust Inference with Multiway
Clustering": of prompts, plus of raters, less of single votes. benchmarks/study_coverage.py compares them.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t

from pellucid.data.estimates import Z95, Estimate


@dataclass(frozen=True, slots=True)
class Spread:
    """Variance of estimates, with how well it is known."""

    variance: Float[np.ndarray, " d"]
    freedom: Float[np.ndarray, " d"]
    """Degrees of freedom (Satterthwaite's): few where the variance comes from few raters."""

    @property
    def reach(self) -> Float[np.ndarray, " d"]:
        """Returns how many standard deviations an interval of 95 % reaches to either side."""
        return np.asarray(t.ppf(0.975, self.freedom), dtype=float)


def two_way(
    parts: Float[np.ndarray, "n d"], prompts: Int[np.ndarray, " n"], raters: Int[np.ndarray, " n"]
) -> Spread:
    """Returns the variance of estimates over prompts and raters.

    Args:
        parts: how far each vote moved each estimate; they add up to 0.
        prompts: of each vote, counted from 0.
        raters: the same. A single one tells nothing of others, and is left out.
    """
    single = (parts**2).sum(axis=0)
    ways = [_between(parts, groups) for groups in (raters, prompts)]
    (of_raters, few), (of_prompts, many) = [
        (variance, count - 1) if count > 1 else (single, max(1, len(parts) - 1)) for variance, count in ways
    ]
    # each alone is a lower bound, which the difference may fall below by chance
    whole = np.maximum.reduce([of_raters + of_prompts - single, of_raters, of_prompts, single])
    rest = whole - of_raters
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = whole**2 / (of_raters**2 / few + rest**2 / many)
    return Spread(whole, np.where(whole > 0, freedom, few))


def clustered_share(
    values: Float[np.ndarray, " n"], prompts: Int[np.ndarray, " n"], raters: Int[np.ndarray, " n"]
) -> tuple[Estimate, float]:
    """Returns the mean of values in [0, 1] with its interval, and the p-value of a mean of a half.

    The interval is Wilson's for as many independent votes as would be as sure, so that it has a width even
    where all votes agree.
    """
    n = len(values)
    mean = float(values.mean())
    found = two_way((values - mean)[:, None] / n, prompts, raters)
    variance, reach = float(found.variance[0]), float(found.reach[0])
    worth = min(float(n), mean * (1 - mean) / variance) if variance > 0 else float(n)
    z2 = reach * reach / worth
    middle = (mean + z2 / 2) / (1 + z2)
    half = reach * math.sqrt(mean * (1 - mean) / worth + z2 / (4 * worth)) / (1 + z2)
    apart = abs(mean - 0.5) * math.sqrt(4 * worth)
    p_value = float(2 * t.sf(apart, found.freedom[0]))
    return Estimate(mean, max(0.0, middle - half), min(1.0, middle + half), n), p_value


def narrowed(
    drawn: Float[np.ndarray, "b d"],
    center: Float[np.ndarray, " d"],
    moves: Float[np.ndarray, "b d"],
    spread: Spread,
) -> Float[np.ndarray, "b d"]:
    """Brings resampled estimates to the variance that they should have.

    Args:
        drawn: estimates from resamples of prompts and raters.
        center: those from all votes.
        moves: how far the resamples move them to a first order, which is finite where estimates are not.
        spread: the variance that is right.
    """
    wide = moves.std(axis=0)
    wanted = np.sqrt(spread.variance) * spread.reach / Z95
    factor = np.divide(wanted, wide, out=np.ones_like(wide), where=wide > 0)
    return center + (drawn - center) * factor


def _between(
    parts: Float[np.ndarray, "n d"], groups: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " d"], int]:
    """Returns the variance between groups and their number."""
    known, places = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(known), parts.shape[1]))
    np.add.at(sums, places, parts)
    count = len(known)
    return (sums**2).sum(axis=0) * (count / max(1, count - 1)), count
