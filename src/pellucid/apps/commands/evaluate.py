"""`pellucid eval`: scores of a model's codec, of its pictures, and of its speed."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.apps.commands.options import (
    FILE,
    FOLDER,
    JSON,
    PASSES,
    PATH,
    SIZE,
    ModelChoice,
    check_target,
    model_options,
)

if TYPE_CHECKING:
    from pellucid.evaluation.eval_data import Vocabulary

Command = Callable[..., Any]
OUTPUT = click.option("-o", "--output", type=PATH, help="JSON file to write as well.")


def _vocabulary_options(command: Command) -> Command:
    options = (
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="NAME",
            help="Set of `pellucid data pull` or a shard's path; may be repeated.  [default: the model's]",
        ),
        click.option(
            "--group",
            "groups",
            multiple=True,
            metavar="NAME",
            help="Group of pictures, such as food; may be repeated.  [default: the model's]",
        ),
        click.option(
            "--vocabulary",
            type=FILE,
            help="JSON that says what the model was trained on.  [default: vocabulary.json beside it]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group("eval")
def eval_command() -> None:
    """Score a model: its codec, its pictures, its speed."""


@eval_command.command("reconstruction", short_help="Score the codec: pictures there and back.")
@click.argument("folder", type=FOLDER, required=False)
@_vocabulary_options
@SIZE
@PASSES
@click.option("--all-passes", is_flag=True, help="Compare 1, 2, 4 and 8 passes as well.")
@model_options
@OUTPUT
@JSON
def reconstruction(
    folder: Path | None,
    sets: tuple[str, ...],
    groups: tuple[str, ...],
    vocabulary: Path | None,
    size: tuple[int, int] | None,
    passes: int | None,
    all_passes: bool,
    choice: ModelChoice,
    output: Path | None,
    as_json: bool,
) -> None:
    """Encode and decode pictures without diffusion, and compare.

    Takes the pictures of FOLDER at their own sizes, or else the held-out pictures of named sets at the
    model's size. Prints the PSNR on nine colours, the error of alpha (MAE, SAD, MSE, Grad, Conn over all
    pixels; SAD, Grad and Conn in thousands), and how little the latent offset changes the opaque picture.
    """
    from pellucid.evaluation.eval_data import read_folder, read_samples, resized
    from pellucid.pipelines.arguments import check_passes

    _check_outputs(output)
    check_passes(passes)
    known = _vocabulary(choice.name, vocabulary, sets=sets, groups=groups)
    pictures = read_folder(folder) if folder else None
    samples = [] if folder else read_samples(known, held_out=True)
    pipe = choice.load()
    from pellucid.evaluation.reconstruction import score_reconstruction

    pictures = resized(samples, *(size or pipe.native_size)) if pictures is None else pictures
    scores = score_reconstruction(pipe, pictures, passes=passes, all_passes=all_passes)
    _report({"model": choice.name, **scores}, output, as_json)


@eval_command.command("generation", short_help="Score what is drawn for training captions.")
@_vocabulary_options
@click.option("--subjects", type=int, help="How many of the groups' subjects.  [default: the model's]")
@click.option("--captions", type=int, default=200, show_default=True, help="How many pictures to ask for.")
@click.option("--batch-size", type=int, default=20, show_default=True, help="Pictures sampled together.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the first caption, then counting up."
)
@click.option("--steps", type=int, help="Denoising steps.  [default: the model's]")
@click.option("--guidance", type=float, help="How closely to follow the text.  [default: the model's]")
@click.option("--sheet", type=PATH, help="Picture to write: a sheet of samples with their captions.")
@model_options
@OUTPUT
@JSON
def generation(
    sets: tuple[str, ...],
    groups: tuple[str, ...],
    vocabulary: Path | None,
    subjects: int | None,
    captions: int,
    batch_size: int,
    seed: int,
    steps: int | None,
    guidance: float | None,
    sheet: Path | None,
    choice: ModelChoice,
    output: Path | None,
    as_json: bool,
) -> None:
    """Ask for training captions, and judge what comes.

    top1 and top5 are the shares of captions whose subject is the nearest, or among the five nearest, of the
    training pictures. Below them stand the shares of clear, partial and opaque pixels, of pictures with
    clear corners, and the width of edges in pixels, of what was generated and of the training pictures.
    """
    from pellucid.evaluation.eval_data import read_samples
    from pellucid.training.data.subjects import default_images

    _check_outputs(output, sheet)
    known = _vocabulary(choice.name, vocabulary, sets=sets, groups=groups, subjects=subjects)
    samples = read_samples(known)
    records = [record for record, _ in samples]
    chosen = default_images(records, known.groups, known.subjects, known.first_subjects)
    pipe = choice.load()
    pipe.pipeline.set_progress_bar_config(disable=True)  # one bar, over batches
    from pellucid.evaluation.generation import sample_sheet, score_generation

    scores, shown = score_generation(
        pipe,
        [samples[index] for index in chosen],
        captions=captions,
        seed=seed,
        batch_size=batch_size,
        num_inference_steps=steps,
        guidance_scale=guidance,
    )
    if sheet is not None:
        _write_sheet(sample_sheet(shown), sheet)
    _report({"model": choice.name, **scores}, output, as_json, sheet)


@eval_command.command("speed", short_help="Seconds and memory of a picture.")
@click.option("--prompt", default="a glass bottle of honey", show_default=True, help="What to draw.")
@click.option(
    "--runs", type=click.IntRange(1), default=5, show_default=True, help="Pictures timed after the first."
)
@SIZE
@click.option("--steps", type=click.IntRange(1), help="Denoising steps.  [default: the model's]")
@PASSES
@model_options
@OUTPUT
@JSON
def speed(
    prompt: str,
    runs: int,
    size: tuple[int, int] | None,
    steps: int | None,
    passes: int | None,
    choice: ModelChoice,
    output: Path | None,
    as_json: bool,
) -> None:
    """Time loading and generating, a picture at a time, and tell the peak memory."""
    from pellucid.pipelines.arguments import check_passes

    _check_outputs(output)
    check_passes(passes)
    height, width = size or (None, None)
    from pellucid.evaluation.speed import score_speed

    scores = score_speed(
        choice.load,
        prompt=prompt,
        runs=runs,
        height=height,
        width=width,
        num_inference_steps=steps,
        passes=passes,
    )
    _report({"model": choice.name, **scores}, output, as_json)


def _vocabulary(model: str, file: Path | None, **instead: object) -> "Vocabulary":
    from pellucid.apps.fast_imports import lean_imports
    from pellucid.evaluation.eval_data import read_vocabulary

    with lean_imports():
        from pellucid.pipelines.loading import model_folder
    return read_vocabulary(file or model_folder(model), **instead)


def _check_outputs(output: Path | None, sheet: Path | None = None) -> None:
    for path, is_picture in ((output, False), (sheet, True)):
        if path is not None:
            check_target(path, picture=is_picture)


def _write_sheet(sheet: Any, path: Path) -> None:  # noqa: ANN401 - uint8 (h, w, 3)
    import numpy as np

    from pellucid.files.images import write_picture

    write_picture(np.dstack([sheet, np.full_like(sheet[..., 0], 255)]), path)


def _report(scores: Mapping[str, Any], output: Path | None, as_json: bool, sheet: Path | None = None) -> None:
    """Prints the scores, and the paths of what was written."""
    from pellucid.evaluation.report import table
    from pellucid.files.atomic import write_atomically

    if output is not None:
        write_atomically(output, (json.dumps(scores, indent=1, ensure_ascii=False) + "\n").encode())
    written = [str(path) for path in (output, sheet) if path is not None]
    if as_json:
        click.echo(json.dumps({**scores, "written": written}, ensure_ascii=False))
    else:
        click.echo("\n".join([table(scores), *written]))
