"""Votes as arrays: wins and ties of methods under any weights of the votes."""

from collections.abc import Sequence
from copy import copy

import numpy as np
from jaxtyping import Float

from pellucid.evaluation.study.votes import Vote

Matrices = tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k k"]]
"""Wins, row over column, and ties."""


class Tally:
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
        self.outcome = np.array([{"left": 1.0, "right": 0.0, "tie": 0.5}[vote.outcome] for vote in votes])
        self.rows = np.arange(len(votes))

    def of(self, methods: Sequence[int]) -> "Tally":
        """Returns the votes on pairs of these methods; prompts and raters stay numbered as they are."""
        place = np.full(len(self.methods), -1)
        place[list(methods)] = range(len(methods))
        part = copy(self)
        part.methods = [self.methods[i] for i in methods]
        part.rows = np.flatnonzero((place[self.left] >= 0) & (place[self.right] >= 0))
        part.prompt, part.rater = self.prompt[part.rows], self.rater[part.rows]
        part.left, part.right = place[self.left[part.rows]], place[self.right[part.rows]]
        part.outcome = self.outcome[part.rows]
        return part

    def matrices(self, weights: Float[np.ndarray, " n"]) -> Matrices:
        """Adds weights of votes to wins, row over column, and ties."""
        count = len(self.methods)
        wins, ties = np.zeros((count, count)), np.zeros((count, count))
        for side, won, lost in ((1, self.left, self.right), (0, self.right, self.left)):
            at = self.outcome == side
            np.add.at(wins, (won[at], lost[at]), weights[at])
        at = self.outcome == 0.5
        np.add.at(ties, (self.left[at], self.right[at]), weights[at])
        return wins, ties + ties.T

    def resampled(self, draw: np.random.Generator, count: int) -> Float[np.ndarray, "b n"]:
        """Draws prompts and raters anew, and returns how often each vote counts."""
        prompts, raters = (draw.multinomial(n, np.full(n, 1 / n), count) for n in self.counts)
        return (prompts[:, self.prompt] * raters[:, self.rater]).astype(float)
