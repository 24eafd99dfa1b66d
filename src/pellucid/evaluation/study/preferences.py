"""Strengths of methods from pairwise outcomes with ties: Bradley and Terry's model as Davidson extended it.

P(i beats j) = p_i / (p_i + p_j + v sqrt(p_i p_j)), and a tie has v sqrt(p_i p_j) in the numerator. Scores are
ln p, with mean 0. Source: Davidson 1970, "On Extending the Bradley-Terry Model to Accommodate Ties".
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components

from pellucid.errors import InputError

Wins = Float[np.ndarray, "k k"]
"""Row: how often (or with what weight) a method beat each other one."""
Ties = Float[np.ndarray, "k k"]
"""Symmetric: how often two methods tied."""
Scores = Float[np.ndarray, " k"]
BOUND = 12.0
"""Furthest that scores go: a ratio of 160,000 to 1."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What was fitted."""

    scores: Scores
    tie: float
    """v; 0 without ties."""


def components(wins: Wins, ties: Ties) -> list[list[int]]:
    """Returns groups of methods that were compared with one another, directly or through others."""
    count, labels = connected_components(wins + wins.T + ties > 0, directed=False)
    return [[int(i) for i in np.flatnonzero(labels == number)] for number in range(count)]


def why_not_scoreable(wins: Wins, ties: Ties, names: list[str]) -> str | None:
    """Returns why no finite scores exist, naming methods, or None where they do.

    They exist if no split of the methods into two groups leaves one that never lost to the other (Ford 1957).
    """
    if not wins.any():
        return f"all votes on {', '.join(names)} are ties, so nothing is known of how far apart they are"
    beaten = (wins + ties) > 0
    count, labels = connected_components(beaten, directed=True, connection="strong")
    if count == 1:
        return None
    # a group that nobody outside beats or ties with: its scores would be infinite
    for number in range(count):
        inside = labels == number
        group = ", ".join(names[i] for i in np.flatnonzero(inside))
        if not beaten[~inside][:, inside].any():
            return f"{group} never lost to a method outside that group, so its score would be infinite"
    return (
        f"{names[0]} and others were never beaten in a circle"  # pragma: no cover - one group always has none
    )


def fit(wins: Wins, ties: Ties) -> Fit:
    """Fits scores by maximum likelihood, within `BOUND`.

    Args:
        wins: counts or weights.
        ties: the same, symmetric.

    Raises:
        InputError: fewer than two methods, or no outcome.
    """
    count = len(wins)
    if count < 2 or wins.sum() + ties.sum() == 0:
        raise InputError(f"Expected outcomes of two methods or more, found {count} methods. Add votes.")
    battles = _Battles(wins, ties)
    start = np.zeros(count + battles.has_ties)
    bounds = [(-BOUND, BOUND)] * len(start)
    found = minimize(battles.unlikelihood, start, jac=True, method="L-BFGS-B", bounds=bounds)
    scores: Scores = np.asarray(found.x[:count], dtype=float)
    return Fit(scores - scores.mean(), float(np.exp(found.x[count])) if battles.has_ties else 0.0)


def moves(
    found: Fit, left: Int[np.ndarray, " n"], right: Int[np.ndarray, " n"], outcome: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n k"]:
    """Returns how far each outcome moved each score, to a first order; a column adds up to 0.

    Args:
        found: fit to these outcomes.
        left: index of a method in each battle.
        right: of the other one.
        outcome: 1 where the left one won, 0 where it lost, 0.5 for a tie.
    """
    count = len(found.scores)
    half = (found.scores[left] - found.scores[right]) / 2
    weights = np.array([np.exp(half), np.exp(-half), np.full(len(left), found.tie)])
    shares = weights / weights.sum(axis=0)
    expected = shares[0] + shares[2] / 2
    tied = shares[2]
    rows = np.arange(len(left))
    sides = np.zeros((len(left), count))
    sides[rows, left], sides[rows, right] = 1, -1
    surprise = np.column_stack([sides * (outcome - expected)[:, None], (outcome == 0.5) - tied])
    # Fisher's information on the scores and ln v: the covariance of the surprise, summed over battles
    information = np.zeros((count + 1, count + 1))
    information[:count, :count] = sides.T @ (sides * (shares[0] + tied / 4 - expected**2)[:, None])
    information[:count, count] = information[count, :count] = sides.T @ (tied / 2 - tied * expected)
    information[count, count] = (tied * (1 - tied)).sum()
    return (surprise @ np.linalg.pinv(information, hermitian=True))[:, :count]


class _Battles:
    """Outcomes of every two methods, and how unlikely scores make them."""

    def __init__(self, wins: Wins, ties: Ties) -> None:
        self.count = len(wins)
        self.left, self.right = np.triu_indices(self.count, 1)
        self.won, self.lost = wins[self.left, self.right], wins[self.right, self.left]
        self.tied = ties[self.left, self.right]
        self.n = self.won + self.lost + self.tied
        self.has_ties = bool(self.tied.sum() > 0)

    def unlikelihood(self, values: Float[np.ndarray, " n"]) -> tuple[float, Float[np.ndarray, " n"]]:
        """Returns minus the log-likelihood of scores, and of ln v at the end, with its gradient."""
        scores, log_tie = values[: self.count], values[self.count] if self.has_ties else -np.inf
        left, right = scores[self.left], scores[self.right]
        middle = (left + right) / 2 + log_tie
        # the largest is taken out, so that no exponential overflows
        top = np.maximum(np.maximum(left, right), middle)
        weights = np.exp([left - top, right - top, middle - top])
        total = weights.sum(axis=0)
        shares = weights / total
        likely = self.won * left + self.lost * right - self.n * (top + np.log(total))
        gradient = np.zeros(len(values))
        np.add.at(gradient, self.left, self.won + self.tied / 2 - self.n * (shares[0] + shares[2] / 2))
        np.add.at(gradient, self.right, self.lost + self.tied / 2 - self.n * (shares[1] + shares[2] / 2))
        if self.has_ties:
            likely = likely + self.tied * middle
            gradient[self.count] = (self.tied - self.n * shares[2]).sum()
        # the mean of all scores is free: a pull too weak to see holds it at 0
        pull = 1e-6 * scores
        gradient[: self.count] -= pull
        return float((pull * scores).sum() / 2 - likely.sum()), -gradient
