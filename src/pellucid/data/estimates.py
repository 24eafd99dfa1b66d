"""Figures with their intervals."""

import math
from dataclasses import dataclass

Z95 = 1.959964
"""Quantile of the normal distribution for a two-sided interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its interval of 95 %; NaN where there is nothing to measure."""

    value: float
    low: float
    high: float
    n: int
    """Cases behind it."""

    def plain(self) -> dict[str, float | int | None]:
        """Returns the figure for JSON, which has no NaN."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        rounded = {name: None if math.isnan(number) else round(number, 4) for name, number in numbers.items()}
        return {**rounded, "n": self.n}


def wilson(successes: int, n: int) -> Estimate:
    """Returns a share with Wilson's score interval of 95 % (Wilson 1927)."""
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    share, z2 = successes / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), n)
