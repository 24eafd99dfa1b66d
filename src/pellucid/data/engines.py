"""Runs the stages of a dataset run: in this process, in a pool of processes, or on a Ray cluster.

All engines call the same pure functions on the same tasks, so they give the same results. A task is small
(what to read, not the bytes) and writes its own files; a task whose worker dies is run again.
"""

import multiprocessing
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, get_args, runtime_checkable

import numpy as np

from pellucid.errors import InputError, PellucidError, missing_package

if TYPE_CHECKING:
    from ray.data import Dataset

EngineName = Literal["local", "processes", "ray"]
Task = TypeVar("Task")
Result = TypeVar("Result")
ATTEMPTS = 3
"""Runs of a task whose worker dies, before it is given up."""


DIED = "Expected a result, but the worker died each time. Look at the task's files alone."


class WorkerDied(PellucidError):
    """A task took its worker down each time: killed for memory, or a crash in a decoder."""


@runtime_checkable
class Engine(Protocol):
    """Runs one function over many tasks."""

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Result | WorkerDied]]:
        """Yields each task's number and result as they are done, in any order.

        A task whose worker died `ATTEMPTS` times yields `WorkerDied` in place of a result. What the function
        raises is raised here.
        """
        ...

    def shuffle(
        self,
        emit: Callable[[Task], list[tuple[str, bytes]]],
        reduce: Callable[[list[bytes]], list[Result]],
        tasks: Sequence[Task],
    ) -> list[Result]:
        """Brings together what all tasks emit under one key, reduces each key, and returns all results.

        The results' order is not defined.
        """
        ...


class LocalEngine:
    """Runs tasks one after another in this process."""

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Result | WorkerDied]]:
        """See `Engine.map`."""
        for number, task in enumerate(tasks):
            yield number, function(task)

    def shuffle(
        self,
        emit: Callable[[Task], list[tuple[str, bytes]]],
        reduce: Callable[[list[bytes]], list[Result]],
        tasks: Sequence[Task],
    ) -> list[Result]:
        """See `Engine.shuffle`."""
        return _shuffle(self, emit, reduce, tasks, 1)


class ProcessEngine:
    """Runs tasks in a pool of processes of this machine."""

    def __init__(self, workers: int | None = None) -> None:
        """Starts nothing yet.

        Args:
            workers: processes. None is one for each processor.
        """
        self.workers = workers or os.cpu_count() or 1

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Result | WorkerDied]]:
        """See `Engine.map`."""
        # by number, because results come in any order and some tasks are run again
        left = dict(enumerate(tasks))
        for attempt in range(ATTEMPTS):
            # one dead worker breaks the whole pool, so what was running gets another chance, in the end alone
            workers = self.workers if attempt < ATTEMPTS - 1 else 1
            for number, result in self._run(function, left, workers):
                del left[number]
                yield number, result
            if not left:
                return
        for number, task in left.items():
            yield number, self._run_alone(function, task)

    def shuffle(
        self,
        emit: Callable[[Task], list[tuple[str, bytes]]],
        reduce: Callable[[list[bytes]], list[Result]],
        tasks: Sequence[Task],
    ) -> list[Result]:
        """See `Engine.shuffle`."""
        return _shuffle(self, emit, reduce, tasks, 4 * self.workers)

    def _run(
        self, function: Callable[[Task], Result], tasks: dict[int, Task], workers: int
    ) -> Iterator[tuple[int, Result]]:
        # spawned, because a fork copies the locks of torch's and OpenCV's threads in whatever state they are
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            futures = {pool.submit(function, task): number for number, task in tasks.items()}
            try:
                for future in as_completed(futures):
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        continue  # the one that died and all that waited with it: both are tried again
                    yield futures[future], result
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _run_alone(self, function: Callable[[Task], Result], task: Task) -> Result | WorkerDied:
        """Runs a task in a process of its own, where it can break nothing else."""
        for _, result in self._run(function, {0: task}, 1):
            return result
        return WorkerDied(DIED)


class RayEngine:
    """Runs tasks on a Ray cluster with Ray Data, or on a local one that it starts."""

    def __init__(
        self, workers: int | None = None, address: str | None = None, *, gpus_each: float = 0.0
    ) -> None:
        """Starts nothing yet.

        Args:
            workers: tasks at once. None lets Ray decide.
            address: of a running cluster, such as "auto" or "ray://host:10001". None starts a local one.
            gpus_each: GPUs that a task of `map` holds; Ray hides all of them from a task that asks for none.

        Raises:
            InputError: Ray is not installed.
        """
        try:
            import ray.data  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError as error:
            raise missing_package("Ray", "--engine ray", "ray") from error
        self.workers, self.address, self.gpus_each = workers, address, gpus_each

    def _start(self) -> None:
        import ray
        from ray.data.context import DataContext, ShuffleStrategy

        if not ray.is_initialized():
            # workers of our own cluster import what this process can, such as somebody's plug-ins
            local = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
            ray.init(
                address=self.address,
                num_cpus=None if self.address else self.workers,
                runtime_env=None if self.address else local,
                log_to_driver=False,
            )
        # Ray 2.60's hash shuffle fails where a partition gets no row, as few images leave many
        DataContext.get_current().shuffle_strategy = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED

    def _rows(self, tasks: Sequence[Task], *, may_fail: bool = False) -> "Dataset":
        """Makes a table of tasks, each in a block of its own, so that each can run anywhere and again.

        A block that `may_fail` is left out when its worker died each time; it ends the run otherwise.
        """
        import ray.data
        from ray.data.context import DataContext

        # read when the table is made
        DataContext.get_current().max_errored_blocks = -1 if may_fail else 0
        rows = [{"number": number, "task": pickle.dumps(task)} for number, task in enumerate(tasks)]
        return ray.data.from_items(rows, override_num_blocks=len(rows))

    def map(
        self, function: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Result | WorkerDied]]:
        """See `Engine.map`."""
        if not tasks:
            return
        self._start()
        rows = self._rows(tasks, may_fail=True)
        with warnings.catch_warnings():
            # of the one way, to Ray 2.63, to say how often a task is tried; Ray Data tries without an end
            warnings.simplefilter("ignore", DeprecationWarning)
            called = rows.map(
                partial(_ray_call, function=function),
                num_gpus=self.gpus_each or None,
                ray_remote_args_fn=lambda: {"max_retries": ATTEMPTS - 1},
            )
        missing = set(range(len(tasks)))
        for row in called.iter_rows():
            missing.remove(number := int(row["number"]))
            result = pickle.loads(row["result"])
            if isinstance(result, Raised):
                raise result.error
            yield number, result
        for number in sorted(missing):
            yield number, WorkerDied(DIED)

    def shuffle(
        self,
        emit: Callable[[Task], list[tuple[str, bytes]]],
        reduce: Callable[[list[bytes]], list[Result]],
        tasks: Sequence[Task],
    ) -> list[Result]:
        """See `Engine.shuffle`. The cluster groups; no worker and not this process holds all keys."""
        if not tasks:
            return []
        self._start()

        groups = self._rows(tasks).flat_map(partial(_ray_emit, emit=emit)).groupby("key")
        rows = groups.map_groups(
            partial(_ray_reduce, reduce=reduce),  # pyright: ignore[reportArgumentType] - see `batch_format`
            batch_format="numpy",
        )
        return [pickle.loads(row["result"]) for row in rows.iter_rows()]


# Functions that Ray sends to workers stand in the module, since it cannot pickle every closure.


@dataclass(frozen=True, slots=True)
class Raised:
    """What a function raised in a worker; Ray would raise an error of its own, with all its lines."""

    error: Exception


def _ray_call(row: dict[str, bytes], function: Callable[[Task], Result]) -> dict[str, object]:
    try:
        result = function(pickle.loads(row["task"]))
    except Exception as error:  # noqa: BLE001 - it is raised again where the engine was called
        result = Raised(error)
    return {"number": row["number"], "result": pickle.dumps(result)}


def _ray_emit(
    row: dict[str, bytes], emit: Callable[[Task], list[tuple[str, bytes]]]
) -> list[dict[str, object]]:
    return [{"key": key, "value": value} for key, value in emit(pickle.loads(row["task"]))]


def _ray_reduce(
    met: dict[str, np.ndarray], reduce: Callable[[list[bytes]], list[Result]]
) -> dict[str, np.ndarray]:
    values: list[bytes] = sorted(met["value"].tolist())
    results = reduce(values) if len(values) > 1 else []
    return {"result": np.array([pickle.dumps(result) for result in results], dtype=object)}


def _reduce_all(reduce: Callable[[list[bytes]], list[Result]], groups: Sequence[list[bytes]]) -> list[Result]:
    return [result for values in groups for result in reduce(values)]


def _shuffle(
    engine: Engine,
    emit: Callable[[Task], list[tuple[str, bytes]]],
    reduce: Callable[[list[bytes]], list[Result]],
    tasks: Sequence[Task],
    shares: int,
) -> list[Result]:
    """Groups in this process, and reduces `shares` lists of groups with the engine."""
    groups: dict[str, list[bytes]] = {}
    for _, rows in engine.map(emit, tasks):
        if isinstance(rows, WorkerDied):
            raise rows
        for key, value in rows:
            groups.setdefault(key, []).append(value)
    met = [sorted(values) for _, values in sorted(groups.items()) if len(values) > 1]
    # interleaved, since neighbouring keys tend to be alike in size
    lists = [share for start in range(shares) if (share := met[start::shares])]
    results: list[Result] = []
    for _, reduced in engine.map(partial(_reduce_all, reduce), lists):
        if isinstance(reduced, WorkerDied):
            raise reduced
        results += reduced
    return results


def make_engine(
    name: str, *, workers: int | None = None, address: str | None = None, gpus_each: float = 0.0
) -> Engine:
    """Makes an engine by its name.

    Args:
        name: "local", "processes" or "ray".
        workers: processes or Ray tasks at once. None is one for each processor.
        address: of a Ray cluster.
        gpus_each: GPUs that a Ray task holds.

    Raises:
        InputError: another name, or Ray is not installed.
    """
    if name == "local":
        return LocalEngine()
    if name == "processes":
        return ProcessEngine(workers)
    if name == "ray":
        return RayEngine(workers, address, gpus_each=gpus_each)
    raise InputError(f"Expected one of {', '.join(get_args(EngineName))}, found {name!r}. Choose an engine.")
