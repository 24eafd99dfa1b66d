"""Options that commands of `pellucid data` share."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from pellucid.apps.commands.options import Command
from pellucid.apps.sections import option

SHARD = option(
    "Output",
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Shard to write.",
)


def size_px_option(section: str, usual: int) -> Callable[[Command], Command]:
    """Declares --size-px, the side of the square images that a command writes."""
    return option(
        section,
        "--size-px",
        type=click.IntRange(8),
        default=usual,
        show_default=True,
        help="Height and width in pixels.",
    )


def seed_option(section: str, what: str) -> Callable[[Command], Command]:
    """Declares --seed, of which a command makes the same `what` again."""
    return option(
        section,
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help=f"The same seed gives the same {what}.",
    )


def echo_shards(paths: Sequence[Path], count: int) -> None:
    """Prints where shards are, how many images they hold in all, and how large they are."""
    size = sum(path.stat().st_size for path in paths)
    names = f"{paths[0]} … {paths[-1].name}" if len(paths) > 1 else paths[0]
    click.echo(f"{names}: {count} images, {size} bytes")
