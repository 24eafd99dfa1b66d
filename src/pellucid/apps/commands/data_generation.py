"""`pellucid data generate | learn`: images by the million, and what people would keep of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.data_sets import (
    SET_FOLDER,
    echo_manifest,
    read_overrides,
    rule_options,
)
from pellucid.apps.commands.data_synthesis import model_source
from pellucid.apps.commands.engines import build_engine, engine_options
from pellucid.apps.commands.options import (
    CLEAN_FIRST,
    FILE,
    JSON,
    PATH,
    ModelChoice,
    model_options,
    size_option,
)
from pellucid.apps.sections import SectionedCommand, option
from pellucid.errors import InputError

if TYPE_CHECKING:
    from pellucid.data.verdict_scores.score import VerdictScore


@click.command("generate", cls=SectionedCommand, short_help="Make images by the million, filtered.")
@option(
    "Prompts",
    "--prompts",
    type=FILE,
    help="A line each: prompt, tab, weight, tab, class; .jsonl with these names; or a grammar (.toml).  "
    "[default: the grammar that ships]",
)
@option(
    "Prompts",
    "-n",
    "--count",
    type=click.IntRange(1),
    required=True,
    help="Images to make before the filters.",
)
@option(
    "Filters",
    "--scores",
    type=PATH,
    help="What people keep: a folder of `data learn`, or verdicts to learn it from now, as there.",
)
@option(
    "Filters",
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of what people keep that the score must find, learned now.  [default: 0.9]",
)
@option(
    "Filters", "--min-score", type=click.FloatRange(0, 1), help="Score to keep from.  [default: as learned]"
)
@CLEAN_FIRST
@rule_options
@engine_options
@option(
    "Sampling",
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of prompts and images; image i takes seed + i.",
)
@option("Sampling", "--steps", type=click.IntRange(1), help="Denoising steps.  [default: the model's]")
@option("Sampling", "--guidance", type=float, help="How closely to follow the text.  [default: the model's]")
@option("Sampling", "--negative", metavar="TEXT", help="What the images must not show.")
@option("Sampling", "--scheduler", metavar="NAME", help="Sampler.  [default: the model's]")
@size_option()
@option(
    "Sampling",
    "--batch-size",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Images at once; above 1, last levels may differ.",
)
@model_options
@option("Output", "--licence", default="", help="Of the images, kept with each.")
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
def generate_command(
    prompts: Path | None,
    count: int,
    scores: Path | None,
    recall: float | None,
    min_score: float | None,
    wants_clean: bool,
    rules_file: Path | None,
    overrides: tuple[str, ...],
    engine: str,
    workers: int | None,
    ray_address: str | None,
    seed: int,
    steps: int | None,
    guidance: float | None,
    negative: str | None,
    scheduler: str | None,
    size: tuple[int, int] | None,
    batch_size: int,
    choice: ModelChoice,
    licence: str,
    shard_length: int,
    output: str,
    as_json: bool,
) -> None:
    """Make images with a model and keep what passes the rules, and what people would keep.

    Writes shards with prompt, seed and model of each image, dropped.jsonl and a manifest, as `data ingest`
    does. The same command goes on where an interrupted one stopped; neither that nor the engine changes a
    byte.
    """
    source = model_source(choice)
    from pellucid.data.filters.rules import read_rules
    from pellucid.synthesis.image_run import ImagePlan, run_images
    from pellucid.synthesis.models import ImageOptions

    if scores is None and (recall or min_score is not None):
        raise InputError(
            "Expected --scores with --recall or --min-score, found none. Name it, or leave them out."
        )
    height, width = size or (None, None)
    plan = ImagePlan(
        folder=output.rstrip("/"),
        count=count,
        prompts=str(prompts.resolve()) if prompts else "",  # workers may run in another folder
        seed=seed,
        source=source,
        options=ImageOptions(
            height=height,
            width=width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            scheduler=scheduler,
            negative_prompt=negative,
            clean=wants_clean,
        ),
        batch_size=batch_size,
        rules=read_rules(rules_file, read_overrides(overrides)),
        score=_score_folder(scores, recall, output),
        min_score=min_score,
        licence=licence,
        shard_length=shard_length,
    )
    built = build_engine(engine, workers, ray_address, device=choice.resolved_device)
    echo_manifest(run_images(plan, built), plan.folder, as_json)


@click.command("learn", cls=SectionedCommand, short_help="Learn what people keep from their verdicts.")
@click.argument("verdicts", type=PATH)
@option(
    "Learning",
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    help="Share of what people keep that the threshold must find.",
)
@option(
    "Learning",
    "--features",
    "plugin",
    metavar="NAME",
    help="Function of more features, as package.module:function, called with each image and its record.",
)
@option(
    "Learning",
    "--database",
    envvar="PELLUCID_ROUNDS_DATABASE",
    metavar="URL",
    help="Where the rounds' verdicts are kept.  [default: a file in their folder]",
)
@option(
    "Output",
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write the score into.",
)
@JSON
def learn_command(
    verdicts: Path, recall: float, plugin: str | None, database: str | None, output: Path, as_json: bool
) -> None:
    """Learn from VERDICTS which images people keep, for `data generate --scores`.

    VERDICTS is the folder of `data rounds`, or a .jsonl file with image (a path), decision (keep or reject)
    and prompt a line. Writes weights as safetensors, figures as JSON, and both as a page.
    """
    from dataclasses import asdict

    score = _learned(verdicts, recall, plugin or "", database, output)
    if as_json:
        click.echo(json.dumps({"path": str(output), **asdict(score.card)}))
        return
    card = score.card
    for name, estimate in (("recall", card.recall), ("precision", card.precision), ("taken", card.taken)):
        click.echo(f"{name:<9} {estimate.value:6.1%}  [{estimate.low:.1%}, {estimate.high:.1%}]")
    click.echo(
        f"{card.images} verdicts, {card.kept} to keep; area under the ROC curve {card.area:.3f}; "
        f"keeps scores from {card.threshold:.4f}"
    )
    click.echo(output)


def _score_folder(scores: Path | None, recall: float | None, output: str) -> str:
    """Returns the folder of a learned score; learns it first where verdicts are given."""
    from pellucid.data.verdict_scores.score import CARD

    if scores is None:
        return ""
    if (scores / CARD).is_file():
        if recall is not None:
            raise InputError(
                f"Expected --recall with verdicts, found the learned score {scores}. Leave it out, or set "
                "--min-score."
            )
        return str(scores.resolve())
    if "://" in output:
        raise InputError(
            f"Expected a local folder to write the score beside, found {output}. Run `pellucid data learn`."
        )
    folder = Path(f"{output.rstrip('/')}-score")
    # learned once: more verdicts that came in meanwhile must not change a run that goes on
    if not (folder / CARD).is_file():
        _learned(scores, recall or 0.9, "", None, folder)
    return str(folder.resolve())


def _learned(
    verdicts: Path, recall: float, plugin: str, database: str | None, folder: Path
) -> "VerdictScore":
    from pellucid.data.verdict_scores.learning import learn
    from pellucid.data.verdict_scores.verdicts import read_verdicts

    score = learn(read_verdicts(verdicts, database), recall=recall, plugin=plugin, source=verdicts.name)
    score.save(folder)
    return score


COMMANDS = (generate_command, learn_command)
