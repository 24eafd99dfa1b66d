"""Sets of images that programs make by the number: written by several processes, each a shard of its own."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol

from pellucid.data.shards import QUICK_PNG, Sample, part_path, write_shard


class Program(Protocol):
    """Makes images by their number; the one of a number is the same in every process."""

    count: int
    """How many images there are."""

    def make(self, index: int) -> Sample:
        """Makes the image of a number, 0 to `count` - 1."""
        ...


def write_program(start: Callable[[], Program], path: Path, workers: int) -> tuple[list[Path], int]:
    """Writes all images of a program: one shard, or with several workers a shard each, path-000000.tar ….

    The images and their order are the same however many workers there are.

    Args:
        start: makes the program, in each process anew; several workers need one that can be pickled.
        path: of the shard.
        workers: processes; 1 is this one.

    Returns:
        The shards, and the number of images.

    Raises:
        FileError: a folder refuses or the disk is full.
    """
    if workers == 1:
        return [path], _write_part(start, 1, path, 0)
    paths = [part_path(path, number) for number in range(workers)]
    # not forked: a process that has loaded torch and OpenCV holds threads, and their locks would stay locked
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        counts = list(pool.map(partial(_write_part, start, workers), paths, range(workers)))
    return paths, sum(counts)


def _write_part(start: Callable[[], Program], parts: int, path: Path, number: int) -> int:
    program = start()
    first, last = (program.count * place // parts for place in (number, number + 1))
    # images are made while the shard is written, and forgotten
    return write_shard((program.make(index) for index in range(first, last)), path, encoding=QUICK_PNG)
