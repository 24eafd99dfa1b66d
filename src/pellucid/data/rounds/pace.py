"""How fast a reviewer judges, and whether too fast to have looked."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise

TOO_FAST_MS = 150
"""A person needs some 150 ms to see an image at all, and as long again to press a key."""
RUN = 5
"""Verdicts in a row below `TOO_FAST_MS` that are worth a warning; one may be a slip."""
PAUSE_S = 60.0
"""A longer time between verdicts is a pause and does not count as work."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Figures of one reviewer."""

    verdicts: int
    per_hour: float
    """Verdicts in an hour of work, pauses left out; 0 if there are too few to say."""
    median_dwell_ms: float
    hasty_runs: int
    """Runs of `RUN` or more verdicts, each faster than `TOO_FAST_MS`."""

    def plain(self) -> dict[str, float | int]:
        """Returns the figures for JSON."""
        return asdict(self)


def pace(times: Sequence[float], dwells_ms: Sequence[int]) -> Pace:
    """Measures pace.

    Args:
        times: of verdicts in seconds, rising.
        dwells_ms: how long each image was looked at.
    """
    gaps = [later - earlier for earlier, later in pairwise(times)]
    worked = [gap for gap in gaps if gap <= PAUSE_S]
    hours = sum(worked) / 3600
    fast = [dwell < TOO_FAST_MS for dwell in dwells_ms]
    runs = [len(list(group)) for is_fast, group in groupby(fast) if is_fast]
    return Pace(
        verdicts=len(times),
        per_hour=len(worked) / hours if hours > 0 else 0.0,
        median_dwell_ms=statistics.median(dwells_ms) if dwells_ms else 0.0,
        hasty_runs=sum(length >= RUN for length in runs),
    )
