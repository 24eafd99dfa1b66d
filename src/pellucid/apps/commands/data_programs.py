"""`pellucid data compose` and `render`: training images made by program, with captions that say so."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.data_options import SHARD, echo_shards, seed_option, size_px_option
from pellucid.apps.commands.options import Command
from pellucid.apps.sections import SectionedCommand, option

if TYPE_CHECKING:
    from pellucid.data.composing.composer import Composer
    from pellucid.data.programs import Program
    from pellucid.data.rendering.rendering import Renderer
    from pellucid.data.shards import Sample

KINDS = ("plain", "colours", "materials", "counts", "pairs", "sizes")
"""As `pellucid.data.composing.composer.ALL_KINDS`, which loads too much for a --help."""


def program_options(command: Command) -> Command:
    """Declares --count, --size-px, --seed, --output and --workers."""
    # last first: click lists options from the outermost decorator to the innermost
    declared: tuple[Callable[[Command], Command], ...] = (
        option(
            "Output",
            "--workers",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="Processes; with several each writes a shard, NAME-000000.tar and so on.",
        ),
        SHARD,
        seed_option("Images", "images"),
        size_px_option("Images", 128),
        option(
            "Images",
            "--count",
            type=click.IntRange(1),
            default=1000,
            show_default=True,
            help="Number of images.",
        ),
    )
    for declare in declared:
        command = declare(command)
    return command


def write(start: "Callable[[], Program]", output: Path, workers: int) -> None:
    """Writes all images of a program and prints where they are."""
    from pellucid.data.programs import write_program

    paths, count = write_program(start, output, workers)
    echo_shards(paths, count)


def read_samples(
    shards: tuple[str, ...], size_px: int, without: tuple[str, ...]
) -> "tuple[list[Sample], list[int]]":
    """Reads all but the groups `without`: samples, and indices of the default image of each subject."""
    from pellucid.data.shards import resized
    from pellucid.training.data.subjects import default_images

    samples = [sample for sample in resized(shards, size_px) if sample[0].group not in without]
    records = [record for record, _ in samples]
    return samples, default_images(records, tuple(sorted({record.group for record in records})), 0)


@click.command(
    "compose",
    cls=SectionedCommand,
    short_help="Make images by program, with captions that say what was done.",
)
@click.argument("sets", nargs=-1, required=True)
@program_options
@option(
    "Images",
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    help="Kinds to make.  [default: all]",
)
@option("Images", "--without", multiple=True, metavar="GROUP", help="Group to leave out, such as people.")
@option(
    "Images",
    "--wordnet",
    is_flag=True,
    help="Caption plain images by WordNet's synonyms too; Debian's package of it is fetched once.",
)
def compose_command(
    sets: tuple[str, ...],
    count: int,
    kinds: tuple[str, ...],
    without: tuple[str, ...],
    wordnet: bool,
    size_px: int,
    seed: int,
    output: Path,
    workers: int,
) -> None:
    """Compose images of the subjects of SETS: "two cats", "a glass key", "a cat on a red box".

    \b
    Kinds:
      plain      each image once, with up to 24 captions
      colours    "a blue apple"
      materials  "a glass cat", "a golden key", "a ghostly fish"
      counts     "two cats" to "six cats"
      pairs      "a cat and a red ball", "a cat left of a car"
      sizes      "a tiny cat", "a cat in the corner"
    A tenth of all pairs of a subject and a colour, a material, a number or
    another subject is never written, so that it can measure what was learned.
    """  # noqa: D301 - click's sign for lines that stay as they are
    from pellucid.data.composing.wordnet import fetch_wordnet
    from pellucid.data.datasets import cache_folder, shards_of

    shards = tuple(shard for name in sets for shard in shards_of(name))
    # fetched here, so that workers find it
    words = fetch_wordnet(cache_folder()) if wordnet else None
    write(partial(start_composer, shards, count, size_px, seed, kinds, without, words), output, workers)


def start_composer(
    shards: tuple[str, ...],
    count: int,
    size_px: int,
    seed: int,
    kinds: tuple[str, ...],
    without: tuple[str, ...],
    wordnet: Path | None,
) -> "Composer":
    """Reads shards, and WordNet's package where one is named, for a `Composer` of their default images."""
    from pellucid.data.composing.composer import Composer
    from pellucid.data.composing.wordnet import read_wordnet

    samples, default = read_samples(shards, size_px, without)
    words = read_wordnet(wordnet) if wordnet else None
    return Composer(samples, default, count, size_px, seed, kinds=kinds, wordnet=words)


@click.command(
    "render",
    cls=SectionedCommand,
    short_help="Make smoke, fire, glow, glass and the like by program, alone and around subjects.",
)
@click.argument("sets", nargs=-1)
@program_options
@option("Images", "--without", multiple=True, metavar="GROUP", help="Group to leave out, such as people.")
def render_command(
    sets: tuple[str, ...],
    count: int,
    without: tuple[str, ...],
    size_px: int,
    seed: int,
    output: Path,
    workers: int,
) -> None:
    """Render what sets do not show as true alpha: "a puff of grey smoke", "a glass vase", "blue fog".

    Where SETS are named, half of the images show a subject of theirs in an effect: "a cat in fog". A tenth of
    all pairs of subject and effect is never written, so that it can measure what was learned.
    """
    from pellucid.data.datasets import shards_of

    shards = tuple(shard for name in sets for shard in shards_of(name))
    write(partial(start_renderer, shards, count, size_px, seed, without), output, workers)


def start_renderer(
    shards: tuple[str, ...], count: int, size_px: int, seed: int, without: tuple[str, ...]
) -> "Renderer":
    """Reads shards for a `Renderer` of their default images."""
    from pellucid.data.rendering.rendering import Renderer

    samples, default = read_samples(shards, size_px, without)
    return Renderer(count, size_px, seed, tuple(samples[index] for index in default))


COMMANDS = (compose_command, render_command)
