"""`pellucid data`: fetches, packs and counts training images."""

import json
import sys
from pathlib import Path

import click

from pellucid.apps.commands import data_generation, data_programs, data_sets, data_synthesis
from pellucid.apps.commands.data_options import SHARD, echo_shards, seed_option, size_px_option
from pellucid.apps.commands.options import JSON
from pellucid.apps.commands.rounds import rounds_command
from pellucid.apps.sections import SectionedGroup, option
from pellucid.apps.terminal import printable
from pellucid.errors import FileError
from pellucid.progress import announce


@click.group("data", cls=SectionedGroup)
def data_command() -> None:
    """Fetch, make, filter and screen training images."""


@data_command.command("pull", short_help="Fetch a set and pack it into a shard.")
@click.argument("name")
@option(
    "Source",
    "--archives",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the packages' files; nothing is fetched then.",
)
@option(
    "Output",
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for archives and shard.  [default: the user's cache]",
)
@JSON
def pull(name: str, archives: Path | None, output: Path | None, as_json: bool) -> None:
    """Fetch the set NAME, check it, pack it into a shard and print the shard's path.

    \b
    NAME is one of
      fluent-3d      fluent-3d-animated  fluent-colour  noto         fxemoji
      meteocons      openclipart         kenney         land-photos
    docs/how-to/datasets.md describes them. Other commands take the name too,
    and fetch the set then.
    """  # noqa: D301 - click's sign for lines that stay as they are
    from pellucid.data.datasets import pull as pull_set

    path = pull_set(name, archives=archives, folder=output)
    click.echo(json.dumps({"path": str(path)}) if as_json else path)


@data_command.command("pack", short_help="Pack sets into small shards, to carry to the training.")
@click.argument("sets", nargs=-1, required=True)
@size_px_option("Images", 128)
@option(
    "Output",
    "--each",
    "shard_length",
    type=click.IntRange(1),
    help="Images in a shard; several are written, NAME-000000.tar and so on.  [default: one shard]",
)
@SHARD
@option(
    "Images",
    "--group",
    default="",
    help='Group of the images from folders; "background" for what layers lie on.',
)
@option(
    "Images",
    "--weight",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="How often training draws these images, relative to those of other shards.",
)
def pack(
    sets: tuple[str, ...], size_px: int, shard_length: int | None, output: Path, group: str, weight: float
) -> None:
    """Pack SETS into small shards, to carry to the training: names of `data pull`, shards, URLs, or folders.

    Folders hold images of any size, each captioned by a .txt of its name, or by its name. One that cannot be
    read is told and left out; the exit code is 1 then.
    """
    from dataclasses import replace
    from itertools import chain

    from pellucid.data.datasets import shards_of
    from pellucid.data.image_folder import folder_samples
    from pellucid.data.shards import resized, write_parts, write_shard

    left_out: list[Path] = []

    def set_aside(path: Path, error: FileError) -> None:
        left_out.append(path)
        announce(f"pellucid: {printable(str(error))}", sys.stderr)

    every = chain.from_iterable(
        folder_samples(Path(name), size_px, group=group, set_aside=set_aside)
        if Path(name).is_dir()
        else resized(shards_of(name), size_px)
        for name in sets
    )
    # times, since what was packed with a weight before keeps its share among its own
    samples = ((replace(record, weight=record.weight * weight), rgba) for record, rgba in every)
    if shard_length:
        paths, count = write_parts(samples, output, shard_length)
    else:
        paths, count = [output], write_shard(samples, output, small=True)
    echo_shards(paths, count)
    if left_out:
        what = "1 image was" if len(left_out) == 1 else f"{len(left_out)} images were"
        click.echo(f"pellucid: {what} left out. The rest is packed.", err=True)
        sys.exit(1)


@data_command.command("recolour", short_help="Give images other colours, with captions that say so.")
@click.argument("sets", nargs=-1, required=True)
@option(
    "Images",
    "--each",
    "n_colours",
    type=click.IntRange(1, 12),
    default=4,
    show_default=True,
    help="Colours that each image is given, drawn from 12.",
)
@option("Images", "--without", multiple=True, metavar="GROUP", help="Group to leave out, such as people.")
@size_px_option("Images", 128)
@seed_option("Images", "colours")
@SHARD
def recolour(
    sets: tuple[str, ...], n_colours: int, without: tuple[str, ...], size_px: int, seed: int, output: Path
) -> None:
    """Recolour one image of each subject in SETS and pack them: "blue apple", "grey cat".

    A tenth of all pairs of subject and colour is never written, so that it can measure what was learned.
    """
    from itertools import chain

    from pellucid.data.datasets import shards_of
    from pellucid.data.recolouring import recolour_all
    from pellucid.data.shards import resized, write_shard
    from pellucid.training.data.subjects import default_images

    samples = list(chain.from_iterable(resized(shards_of(name), size_px) for name in sets))
    records = [record for record, _ in samples]
    groups = tuple(sorted({record.group for record in records} - set(without)))
    chosen = [samples[index] for index in default_images(records, groups, 0)]
    count = write_shard(recolour_all(chosen, n_colours, seed), output, small=True)
    echo_shards([output], count)


@data_command.command("stats", short_help="Count what sets hold, or make a page of them.")
@click.argument("sets", nargs=-1, required=True)
@option(
    "Output",
    "--page",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write a page into: contact sheet, plots, licences, funnel.",
)
@JSON
def stats(sets: tuple[str, ...], page: Path | None, as_json: bool) -> None:
    """Count what SETS hold: names of `data pull`, shards, or folders of shards."""
    from collections import Counter

    from pellucid.data.datasets import shards_of
    from pellucid.data.set_pages import read_manifest, summarise, write_page
    from pellucid.data.shards import read_shard

    summary = summarise(sample for name in sets for shard in shards_of(name) for sample in read_shard(shard))
    licences: Counter[str] = Counter()
    for (licence, _, _), count in summary.licences.items():
        licences[licence] += count
    # keys are read by scripts: they keep the wording of the first release
    counts: dict[str, object] = {
        "pictures": summary.images,
        "held out": summary.held_out,
        "truly transparent": summary.truly_transparent,
        "without caption": summary.without_caption,
        "licences": dict(licences),
        "groups": dict(summary.groups),
    }
    if page:
        manifest = read_manifest(Path(sets[0])) if len(sets) == 1 else None
        counts["path"] = str(write_page(summary, page, ", ".join(sets), manifest))
    if as_json:
        click.echo(json.dumps(counts))
        return
    rows = [
        ("images", summary.images),
        ("  held out for measuring", summary.held_out),
        ("  with glass, smoke or glow", summary.truly_transparent),
        ("  without a caption", summary.without_caption),
        *((f"  licence {name}", count) for name, count in licences.most_common()),
        *((f"  group {name}", count) for name, count in summary.groups.most_common()),
    ]
    data_sets.echo_counts(rows)
    if page:
        click.echo(counts["path"])


COMMANDS = (
    *data_programs.COMMANDS,
    *data_sets.COMMANDS,
    *data_generation.COMMANDS,
    *data_synthesis.COMMANDS,
    rounds_command,
)
for command in COMMANDS:
    data_command.add_command(command)
