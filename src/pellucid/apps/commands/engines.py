"""Where work on many images is done: the options of it, and the engine that they ask for."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.options import Command
from pellucid.apps.sections import option

if TYPE_CHECKING:
    from pellucid.data.engines import Engine


def engine_options(command: Command) -> Command:
    """Declares --engine, --workers and --ray-address."""
    # last first: click lists options from the outermost decorator to the innermost
    declared: tuple[Callable[[Command], Command], ...] = (
        option(
            "Engine",
            "--ray-address",
            metavar="ADDRESS",
            help="Ray cluster, such as auto or ray://host:10001.  [default: start one here]",
        ),
        option(
            "Engine",
            "--workers",
            type=click.IntRange(1),
            help="Processes, or Ray tasks at once.  [default: one for each processor]",
        ),
        option(
            "Engine",
            "--engine",
            type=click.Choice(("local", "processes", "ray")),
            default="local",
            show_default=True,
            help="Where the work is done; the result is the same.",
        ),
    )
    for declare in declared:
        command = declare(command)
    return command


def build_engine(
    engine: str, workers: int | None, ray_address: str | None, *, device: str = "cpu"
) -> "Engine":
    """Makes the engine that options ask for; with a `device` of CUDA a Ray task holds a GPU."""
    from pellucid.data.engines import make_engine

    gpus_each = 1.0 if device.startswith("cuda") else 0.0
    return make_engine(engine, workers=workers, address=ray_address, gpus_each=gpus_each)
