"""`pellucid data rounds`: sample with the last model, screen by people, write the next training set."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.options import (
    CLEAN_FIRST,
    FILE,
    JSON,
    ModelChoice,
    echo_address,
    model_options,
    server_options,
    size_option,
)
from pellucid.apps.sections import SectionedGroup, option

if TYPE_CHECKING:
    from pellucid.data.rounds.database import Store
    from pellucid.data.rounds.history import RoundStatus
    from pellucid.data.rounds.prompts import PromptSource
    from pellucid.pipelines.pipeline import TransparentPipeline
    from pellucid.rgba.types import RGBA8

FOLDER = option(
    "Store",
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="rounds",
    show_default=True,
    help="Folder of all rounds: images, verdicts, training sets.",
)
DATABASE = option(
    "Store",
    "--database",
    envvar="PELLUCID_ROUNDS_DATABASE",
    metavar="URL",
    help="Where verdicts are kept, such as postgresql://user@host/name.  "
    "[default: $PELLUCID_ROUNDS_DATABASE, else a file in the folder]",
)
ROUND = option("Store", "--round", "number", type=click.IntRange(1), help="Which one.  [default: the latest]")
SHARE = click.FloatRange(0, 1)


@click.group("rounds", cls=SectionedGroup)
def rounds_command() -> None:
    """Screen a model's images in rounds, with people in the loop.

    A round: new, sample, review, close; then train with the recipe that close wrote, and begin the next one.
    """


@rounds_command.command("new", short_help="Begin a round.")
@click.argument("data", nargs=-1)
@option(
    "Round", "--samples", type=click.IntRange(1), default=10_000, show_default=True, help="Images to make."
)
@option(
    "Round", "--keep", type=click.IntRange(0), default=1000, show_default=True, help="Goal of images to keep."
)
@option(
    "Round",
    "--kept-weight",
    type=float,
    default=2.0,
    show_default=True,
    help="How often the next training draws what is kept, relative to older images.",
)
@option(
    "Round", "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of prompts, images, order."
)
@option(
    "Review",
    "--order",
    type=click.Choice(["stratified", "seed", "uncertainty"]),
    default="stratified",
    show_default=True,
    help="Classes in turns, by chance, or the most uncertain first (`rounds sample --scores`).",
)
@option(
    "Review",
    "--grouping",
    type=click.Choice(["near-duplicate", "prompt", "none"]),
    default="near-duplicate",
    show_default=True,
    help="Images that are shown as one, to choose the best of.",
)
@option(
    "Review", "--overlap", type=SHARE, default=0.1, show_default=True, help="Share that two people judge."
)
@option(
    "Review",
    "--second-look",
    type=SHARE,
    default=0.05,
    show_default=True,
    help="Share that the same person judges again.",
)
@option("Review", "--gold", type=SHARE, default=0.05, show_default=True, help="Share of hidden gold images.")
@option("Review", "--gold-keep", multiple=True, metavar="SET", help="Gold images that should be kept.")
@option("Review", "--gold-reject", multiple=True, metavar="SET", help="Gold images that should be rejected.")
@FOLDER
@DATABASE
@JSON
def new(
    data: tuple[str, ...],
    gold_keep: tuple[str, ...],
    gold_reject: tuple[str, ...],
    folder: Path,
    database: str | None,
    as_json: bool,
    **settings: object,
) -> None:
    """Begin a round of screening. DATA are the sets that its model has learned.

    They may be left out from the second round on: it goes on from what the last one wrote.
    """
    store = _open(folder, database, create=True)
    from pellucid.data.datasets import shards_of
    from pellucid.data.rounds.beginning import begin_round, round_folder
    from pellucid.data.rounds.settings import RoundSettings
    from pellucid.data.shards import read_shard

    chosen = RoundSettings(**settings)  # type: ignore[arg-type] - click has checked them
    gold = [
        (decision, [sample for name in sets for shard in shards_of(name) for sample in read_shard(shard)])
        for decision, sets in (("keep", gold_keep), ("reject", gold_reject))
        if sets
    ]
    number = begin_round(store, chosen, data=_absolute(data), gold=gold)  # type: ignore[arg-type]
    path = round_folder(store, number)
    click.echo(json.dumps({"round": number, "path": str(path)}) if as_json else path)


@rounds_command.command("sample", short_help="Make a round's images with a model.")
@option(
    "Prompts",
    "--prompts",
    type=FILE,
    help="A line each: prompt, tab, weight, tab, class; or .jsonl with these names.",
)
@option("Prompts", "--grammar", type=FILE, help="Sentences with holes (TOML).  [default: the one that ships]")
@option("Sampling", "--steps", type=click.IntRange(1), help="Denoising steps.  [default: the model's]")
@option("Sampling", "--guidance", type=float, help="How closely to follow the text.  [default: the model's]")
@size_option()
@option(
    "Sampling", "--batch-size", type=click.IntRange(1), default=4, show_default=True, help="Images at once."
)
@option("Output", "--licence", default="", help="Of the images, kept with each.")
@option(
    "Sampling",
    "--scores",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of `pellucid data learn`: scores each image, for --order uncertainty.",
)
@CLEAN_FIRST
@model_options
@ROUND
@FOLDER
@DATABASE
@JSON
def sample(
    prompts: Path | None,
    grammar: Path | None,
    steps: int | None,
    guidance: float | None,
    size: tuple[int, int] | None,
    batch_size: int,
    licence: str,
    scores: Path | None,
    wants_clean: bool,
    choice: ModelChoice,
    number: int | None,
    folder: Path,
    database: str | None,
    as_json: bool,
) -> None:
    """Make the images of a round and open it for review. The same command goes on after a stop.

    The same seeds give the same images.
    """
    store = _open(folder, database)
    from pellucid.data.rounds.beginning import find_round, round_folder
    from pellucid.data.rounds.sampling import sample_round
    from pellucid.data.verdict_scores.score import TENSORS, load_score
    from pellucid.synthesis.models import ImageOptions
    from pellucid.weights.hub import sha256_of

    source = _prompt_source(prompts, grammar)
    with store.reading() as session:  # refused before a model is loaded, which takes seconds
        find_round(session, number, state="sampling")
    score = load_score(str(scores.resolve())) if scores else None
    pipe = choice.load()
    height, width = size or (None, None)
    sampling = ImageOptions(
        height=height, width=width, num_inference_steps=steps, guidance_scale=guidance, clean=wants_clean
    )

    def generate(texts: Sequence[str], seeds: Sequence[int]) -> "list[RGBA8]":
        scenes = pipe.generate(list(texts), **sampling.keywords(list(seeds), len(texts)))
        return [sampling.image_of(scene) for scene in scenes]

    options: dict[str, object] = asdict(sampling)
    if choice.adapter and Path(choice.adapter).is_file():  # where the next training goes on
        options["adapter"] = str(Path(choice.adapter).resolve())
    if scores:
        options["scores"] = sha256_of(scores / TENSORS)
    done = sample_round(
        store,
        source,
        generate,
        model=f"{choice.name} {_fingerprint(pipe)}",
        number=number,
        licence=licence,
        options=options,
        batch_size=batch_size,
        scores=score.of_round if score else None,
    )
    path = round_folder(store, done)
    click.echo(json.dumps({"round": done, "path": str(path)}) if as_json else path)


@rounds_command.command("review", short_help="Start the screening page.")
@server_options
@FOLDER
@DATABASE
@JSON
def review(
    host: str, port: int, token: str | None, folder: Path, database: str | None, as_json: bool
) -> None:
    """Serve the page on which people keep and reject images, until Ctrl-C, and print its address.

    Several may use it at once; each gives a name on the page.
    """
    store = _open(folder, database)
    from pellucid.apps.review.app import create_app
    from pellucid.apps.web.server import serve

    try:
        serve(
            partial(create_app, store),
            host=host,
            port=port,
            token=token,
            announce=lambda address: echo_address(address, as_json),
        )
    finally:
        store.close()


@rounds_command.command("close", short_help="Write what was kept, the next training set and its recipe.")
@option(
    "Training",
    "--recipe",
    type=FILE,
    help="Recipe into which the new training set is written.  "
    "[default: a LoRA over the embedded model's adapter]",
)
@option(
    "Training",
    "--partial",
    is_flag=True,
    help="Close even if images are not judged yet or disputed: they are then neither kept nor rejected.",
)
@ROUND
@FOLDER
@DATABASE
@JSON
def close(
    recipe: Path | None, partial: bool, number: int | None, folder: Path, database: str | None, as_json: bool
) -> None:
    """Close a round: its kept images join the training set, and the next training draws them twice as often.

    Prints the recipe, for `pellucid train transparent --config RECIPE`.
    """
    store = _open(folder, database)
    from pellucid.data.rounds.closing import close_round

    closed = close_round(store, number, template=recipe, partial=partial)
    if as_json:
        values = {"round": closed.number, "path": str(closed.recipe), "data": list(closed.data)}
        counts = {"kept": closed.kept, "rejected": closed.rejected, "left_out": closed.left_out}
        click.echo(json.dumps({**values, **counts}))
        return
    click.echo(closed.recipe)
    note = f"kept {closed.kept}, rejected {closed.rejected}, left out {closed.left_out}"
    click.echo(f"round {closed.number}: {note}", err=True)


@rounds_command.command("status", short_help="Show all rounds: progress, acceptance, agreement.")
@FOLDER
@DATABASE
@JSON
def status(folder: Path, database: str | None, as_json: bool) -> None:
    """Show the history of all rounds, how acceptance grew, and how far reviewers agree."""
    store = _open(folder, database)
    from pellucid.data.rounds.history import all_rounds

    with store.reading() as session:
        rounds = all_rounds(session)
    if as_json:
        click.echo(json.dumps({"rounds": [each.plain() for each in rounds]}, ensure_ascii=False))
        return
    if not rounds:
        click.echo("No rounds yet. Begin one with `pellucid data rounds new`.")
    for each in rounds:
        click.echo("\n".join(_lines(each)))


def _lines(status: "RoundStatus") -> list[str]:
    """Describes a round in a few lines."""
    from pellucid.data.estimates import Estimate

    def share(estimate: Estimate) -> str:
        if not estimate.n:
            return "not measured"
        return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"

    counts = status.counts
    lines = [
        f"round {status.number} ({status.state}): {sum(counts.values())} images "
        f"by {status.model or 'no model yet'}",
        f"  kept {counts['keep']} of a goal of {status.goal}, rejected {counts['reject']}, "
        f"disputed {counts['disputed']}, open {counts['open']}",
        f"  acceptance {share(status.acceptance)}",
    ]
    if status.alpha.n:
        alpha = status.alpha
        lines.append(
            f"  agreement: alpha {alpha.value:.2f} [{alpha.low:.2f}, {alpha.high:.2f}] on {alpha.n} images, "
            f"equal {share(status.percent_agreement)}"
        )
    for name, (quality, pace) in status.reviewers.items():
        warning = f", {pace.hasty_runs} hasty runs" if pace.hasty_runs else ""
        lines.append(
            f"  {name}: {pace.verdicts} verdicts, {pace.per_hour:.0f}/h, median {pace.median_dwell_ms:.0f} ms"
            f"{warning}; gold {share(quality.gold)}; with oneself {share(quality.self_agreement)}; "
            f"drift {share(quality.drift)}"
        )
    return lines


def _open(folder: Path, database: str | None, *, create: bool = False) -> "Store":
    """Opens the store; the packages for it are an extra. Only `new` makes one."""
    from pellucid.errors import missing_package

    try:
        from pellucid.data.rounds.database import open_store
    except ModuleNotFoundError as error:
        raise missing_package(error.name or "a package", "rounds of screening", "review") from None
    store = open_store(folder, database, create=create)
    click.get_current_context().call_on_close(store.close)
    return store


def _absolute(data: Sequence[str]) -> list[str]:
    """Makes paths of files absolute: the recipe that will name them may be used anywhere."""
    return [str(Path(name).resolve()) if Path(name).exists() else name for name in data]


def _prompt_source(prompts: Path | None, grammar: Path | None) -> "PromptSource":
    from pellucid.data.rounds.prompts import read_grammar, read_prompts, shipped_grammar

    if prompts and grammar:
        raise click.UsageError("Give --prompts or --grammar, not both.")
    if prompts:
        return read_prompts(prompts)
    return read_grammar(grammar) if grammar else shipped_grammar()


def _fingerprint(pipe: "TransparentPipeline") -> str:
    from pellucid.weights.fingerprint import weights_fingerprint

    return weights_fingerprint([pipe.model.stock.denoiser, pipe.autoencoder])
