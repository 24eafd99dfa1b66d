"""One progress bar for the project: on stderr, silent without a terminal."""

from collections.abc import Iterable, Iterator
from functools import cache
from io import TextIOBase
from typing import TYPE_CHECKING, TextIO, TypeVar, cast

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")


@cache
def _bars() -> "tuple[type[tqdm[object]], bool]":
    """Returns the class of bars, and whether it is the notebook's, which draws without a terminal."""
    # imported late: tqdm.auto takes asyncio along, and `--help` needs no bars
    from tqdm.auto import tqdm

    return tqdm, any(each.__module__ == "tqdm.notebook" for each in tqdm.__mro__)


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
    bar, is_notebook = _bars()
    drawn = bar(
        items,
        total=total,
        initial=start,
        desc=label,
        unit=f" {unit}",
        disable=False if is_notebook else None,  # None is tqdm's own test for a terminal
        leave=False,  # a finished bar says nothing that the result does not
        bar_format="{desc}: {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}, {rate_fmt}]",
    )
    yield from cast("Iterator[T]", drawn)


def announce(line: str, stream: TextIO | TextIOBase) -> None:
    """Prints a line at once, above the bars that are drawn at the moment."""
    with _bars()[0].external_write_mode(file=stream):
        print(line, file=stream, flush=True)
