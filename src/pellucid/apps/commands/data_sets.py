"""`pellucid data ingest | filter | caption | inspect`: makes training sets from loose images."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from pellucid.apps.commands.engines import build_engine, engine_options
from pellucid.apps.commands.options import JSON, Command
from pellucid.apps.sections import SectionedCommand, option
from pellucid.apps.terminal import printable
from pellucid.errors import InputError

if TYPE_CHECKING:
    from pellucid.data.ingest.assembly import Manifest

SET_FOLDER = option(
    "Output",
    "-o",
    "--output",
    required=True,
    metavar="FOLDER",
    help="Folder of the set: a path, or an address such as s3://bucket/set.",
)


def chat_deadline(section: str) -> Callable[[Command], Command]:
    """Declares --deadline-s."""
    return option(
        section,
        "--deadline-s",
        type=click.FloatRange(0, min_open=True),
        default=300.0,
        show_default=True,
        help="Seconds for one whole answer of the server; what gets none in time is set aside.",
    )


def rule_options(command: Command) -> Command:
    """Declares --rules and --set."""
    for declare in (
        option(
            "Filters",
            "--set",
            "overrides",
            multiple=True,
            metavar="RULE=VALUE",
            help="Replace one threshold, as in --set min_side_px=128. See docs/how-to/datasets.md.",
        ),
        option(
            "Filters",
            "--rules",
            "rules_file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Thresholds and plug-ins (TOML).",
        ),
    ):
        command = declare(command)
    return command


def read_overrides(overrides: tuple[str, ...]) -> Mapping[str, str]:
    """Reads --set RULE=VALUE.

    Raises:
        InputError: one has no "=".
    """
    # values stay text here: each rule knows what it is read as
    pairs = [text.partition("=") for text in overrides]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise InputError(f"Expected --set RULE=VALUE, found {wrong[0]!r}. Add what the rule should be.")
    return {name.strip(): value.strip() for name, _, value in pairs}


def echo_manifest(manifest: "Manifest", output: str, as_json: bool) -> None:
    """Prints the funnel of a set: how many images were listed, dropped for what, and kept."""
    if as_json:
        click.echo(json.dumps({"path": output, **manifest}))
        return
    # losses are negative, so that the column adds up to what is kept
    rows = [("listed", manifest["listed"])]
    rows += [(f"  {reason}", -count) for reason, count in manifest["dropped"].items()]
    rows += [("kept", manifest["images"])]
    rows += [(f"  licence {name}", count) for name, count in manifest["licences"].items()]
    echo_counts(rows)
    click.echo(output)


def echo_counts(rows: Sequence[tuple[str, int]]) -> None:
    """Prints names and counts in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, count in rows:
        click.echo(f"{name:<{width}}  {count:>9,}")


@click.command("ingest", cls=SectionedCommand, short_help="Make a filtered set from loose images.")
@click.argument("sources", nargs=-1, required=True)
@option("Source", "--licence", default="", help="Licence of images whose source states none.")
@option("Source", "--attribution", default="", help="Whom to name for them.")
@option("Source", "--style", default="", help="Words for their style, as in a caption's end.")
@option("Source", "--group", default="", help='Their group; "background" for what layers lie on.')
@option("Source", "--caption-column", default="", help="Column of a table with captions.")
@option("Source", "--image-column", default="", help="Column with images.")
@option("Source", "--url-column", default="", help="Column with addresses of images.")
@option("Source", "--licence-column", default="", help="Column with licences.")
@option(
    "Source",
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="Host that images may be fetched from; .example.org stands for all below it.",
)
@rule_options
@engine_options
@option(
    "Output",
    "--max-side-px",
    type=click.IntRange(8),
    default=1024,
    show_default=True,
    help="Larger images are made smaller.",
)
@option(
    "Output",
    "--each",
    "shard_length",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Images in a shard.",
)
@SET_FOLDER
@JSON
def ingest_command(
    sources: tuple[str, ...],
    licence: str,
    attribution: str,
    style: str,
    group: str,
    caption_column: str,
    image_column: str,
    url_column: str,
    licence_column: str,
    hosts: tuple[str, ...],
    rules_file: Path | None,
    overrides: tuple[str, ...],
    engine: str,
    workers: int | None,
    ray_address: str | None,
    max_side_px: int,
    shard_length: int,
    output: str,
    as_json: bool,
) -> None:
    """Collect the images of SOURCES, leave out what cannot be trained on, and write shards.

    A source is a folder, .zip, .tar (WebDataset), .parquet, .csv or .tsv, a Hugging Face dataset on disk, or
    an image: a path, or an address such as s3://bucket/folder. Alpha is never flattened. dropped.jsonl tells
    why each image was left out. The same command goes on where an interrupted one stopped.
    """
    from pellucid.data.filters.rules import read_rules
    from pellucid.data.ingest.run import IngestPlan, ingest
    from pellucid.data.ingest.sources import Columns
    from pellucid.data.records import Record

    plan = IngestPlan(
        sources=sources,
        # not a Path, which would make one slash of the two in s3://bucket/set
        folder=output.rstrip("/"),
        rules=read_rules(rules_file, read_overrides(overrides)),
        # name and label are each image's own; sources fill them in
        common=Record(name="", label="", licence=licence, attribution=attribution, style=style, group=group),
        columns=Columns(caption=caption_column, image=image_column, url=url_column, licence=licence_column),
        hosts=hosts,
        max_side_px=max_side_px,
        shard_length=shard_length,
    )
    echo_manifest(ingest(plan, build_engine(engine, workers, ray_address)), plan.folder, as_json)


@click.command("filter", cls=SectionedCommand, short_help="Leave out images of sets by rules.")
@click.argument("sets", nargs=-1, required=True)
@rule_options
@engine_options
@SET_FOLDER
@JSON
def filter_command(
    sets: tuple[str, ...],
    rules_file: Path | None,
    overrides: tuple[str, ...],
    engine: str,
    workers: int | None,
    ray_address: str | None,
    output: str,
    as_json: bool,
) -> None:
    """Leave out what cannot be trained on from SETS: names of `data pull`, or shards."""
    from pellucid.data.datasets import shards_of
    from pellucid.data.filters.rules import read_rules
    from pellucid.data.ingest.run import IngestPlan, ingest

    plan = IngestPlan(
        sources=tuple(shard for name in sets for shard in shards_of(name)),
        folder=output.rstrip("/"),
        rules=read_rules(rules_file, read_overrides(overrides)),
        max_side_px=1 << 16,  # sets stay as they are
    )
    echo_manifest(ingest(plan, build_engine(engine, workers, ray_address)), plan.folder, as_json)


@click.command("caption", cls=SectionedCommand, short_help="Write new captions of sets.")
@click.argument("sets", nargs=-1, required=True)
@option(
    "Captions",
    "--with",
    "captioner",
    metavar="NAME",
    help="keywords, or a function as package.module:function, called with each image and its record.",
)
@option("Captions", "--url", help="OpenAI-compatible server, such as http://localhost:8000/v1.")
@option("Captions", "--model", "chat_model", help="Its model.")
@option(
    "Captions",
    "--key-variable",
    default="OPENAI_API_KEY",
    show_default=True,
    help="Environment variable with its key.",
)
@option("Captions", "--question", help="What it is asked of each image.")
@chat_deadline("Captions")
@engine_options
@SET_FOLDER
@JSON
def caption_command(
    sets: tuple[str, ...],
    captioner: str | None,
    url: str | None,
    chat_model: str | None,
    key_variable: str,
    question: str | None,
    deadline_s: float,
    engine: str,
    workers: int | None,
    ray_address: str | None,
    output: str,
    as_json: bool,
) -> None:
    """Write new captions of all images in SETS: names of `data pull`, or shards.

    An image that gets no caption is left out, and listed with its reason beside its shard. The same command
    goes on where an interrupted one stopped.
    """
    from pellucid.data.captioning import QUESTION, caption_sets
    from pellucid.data.chat import ChatModel
    from pellucid.data.datasets import shards_of

    if bool(captioner) == bool(url) or bool(url) != bool(chat_model):
        raise InputError(
            "Expected --with NAME, or --url and --model, found neither or both. Choose who writes captions."
        )
    source = (
        ChatModel(url=url, model=str(chat_model), key_variable=key_variable, deadline_s=deadline_s)
        if url
        else str(captioner)
    )
    total = caption_sets(
        [shard for name in sets for shard in shards_of(name)],
        output.rstrip("/"),
        source,
        question or QUESTION,
        build_engine(engine, workers, ray_address),
    )
    if as_json:
        click.echo(json.dumps({"path": output, **total}))
    else:
        click.echo(f"{output}: {total['images']} images captioned, {total['failed']} left out")


@click.command("inspect", cls=SectionedCommand, short_help="Show one image of a set whole.")
@click.argument("name_of_set", metavar="SET")
@click.argument("image", required=False)
@option(
    "Output",
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write a PNG: the image on a checkerboard, black, white and grey, and its alpha.",
)
@JSON
def inspect_command(name_of_set: str, image: str | None, output: Path | None, as_json: bool) -> None:
    """Show IMAGE of a SET, by its name, or the first: its record, what the filters measure, and a sheet."""
    from dataclasses import asdict

    from pellucid.data.datasets import shards_of
    from pellucid.data.filters.measures import measure
    from pellucid.data.filters.rules import Candidate, Rules, reason_to_drop
    from pellucid.data.set_pages import inspection_sheet
    from pellucid.data.shards import read_shard
    from pellucid.files.images import write_image

    # lazy: a set may have thousands of shards, and the image may be in the first
    samples = (sample for shard in shards_of(name_of_set) for sample in read_shard(shard))
    found = next((sample for sample in samples if image in (None, sample[0].name)), None)
    if found is None:
        raise InputError(
            f"Expected an image named {image} in {name_of_set}, found none. Look for its name in "
            "`pellucid data stats --page`."
        )
    record, rgba = found
    measures = measure(rgba)
    reason = reason_to_drop(Candidate(rgba, record, measures), Rules())
    known = {
        **record.to_json(),
        "held_out": record.held_out,
        "measures": asdict(measures),
        "dropped_by": f"{reason.rule}: {reason.detail}" if reason else None,
    }
    if output:
        write_image(inspection_sheet(rgba), output)
    if as_json:
        click.echo(json.dumps(known | ({"path": str(output)} if output else {})))
        return
    for key, value in known.items():
        # 0 and false are facts, and are shown; what is empty is unknown
        if value not in ("", (), [], {}, None):
            text = f"{key}: {_readable(value)}".replace(": \n", ":\n")
            click.echo("\n".join(printable(line) for line in text.split("\n")))
    if output:
        click.echo(output)


def _readable(value: object) -> str:
    """Writes a value of a record for people: lists without brackets, tables a line each, numbers rounded."""
    if isinstance(value, dict):
        table = cast("Mapping[str, object]", value)
        return "".join(f"\n  {key}: {_readable(each)}" for key, each in table.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, cast("Sequence[object]", value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


COMMANDS = (ingest_command, filter_command, caption_command, inspect_command)
