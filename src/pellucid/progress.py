"""One progress bar for the project: on stderr, silent without a terminal."""

from collections.abc import Iterable, Iterator
from io import TextIOBase
from typing import TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], *, total: int, label: str, unit: str, start: int = 0) -> Iterator[T]:
    """Yields `items` under a bar on stderr: `sampling: 12/30 step [00:04<00:06, 2.9 step/s]`.

    Nothing is drawn when stderr is no terminal, so logs, pipes and CI stay clean.

    Args:
        items: what to iterate.
        total: where the bar ends, in units.
        label: word before the count.
        unit: singular name of one item.
        start: items that an earlier, interrupted run already did.
    """
    yield from tqdm(
        items,
        total=total,
        initial=start,
        desc=label,
        unit=f" {unit}",
        disable=None,  # tqdm's own test for a terminal
        leave=False,  # a finished bar says nothing that the result does not
        bar_format="{desc}: {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}, {rate_fmt}]",
    )


def announce(line: str, stream: TextIO | TextIOBase) -> None:
    """Prints a line at once, above the bars that are drawn at the moment."""
    with tqdm.external_write_mode(file=stream):
        print(line, file=stream, flush=True)
