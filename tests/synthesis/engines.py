"""Engines that misbehave."""

from collections.abc import Callable, Iterator, Sequence

from pellucid.data.engines import LocalEngine, Result, Task, WorkerDied


class HookedEngine(LocalEngine):
    """Calls a function after every task, with the name of what was run and the task's number."""

    def __init__(self, after: Callable[[str, int], None]) -> None:
        self.after = after

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Result | WorkerDied]]:
        for number, result in super().map(function, tasks):
            yield number, result
            self.after(function.__name__, number)


def stopping_after(name: str, last: int) -> HookedEngine:
    """An engine on which somebody presses Ctrl-C once a task is done."""

    def after(run: str, number: int) -> None:
        if (run, number) == (name, last):
            raise KeyboardInterrupt

    return HookedEngine(after)
