"""`pellucid eval`: scores a model's codec, its images and its speed.

Libraries are imported inside the commands, after the arguments are checked, as they take seconds to load.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands import evaluate_files
from pellucid.apps.commands.evaluate_scores import (
    GUIDANCE,
    SCORES_OUTPUT,
    STEPS,
    echo_scores,
    model_vocabulary,
    vocabulary_options,
    write_scores,
    write_sheet,
)
from pellucid.apps.commands.evaluate_words import words_command
from pellucid.apps.commands.options import (
    FOLDER,
    JSON,
    PATH,
    ModelChoice,
    model_options,
    passes_option,
    size_option,
)
from pellucid.apps.sections import SectionedGroup, option

if TYPE_CHECKING:
    from pellucid.evaluation.generation import Generation
    from pellucid.evaluation.pair_scores import PairSettings
    from pellucid.evaluation.score_table import ScoreTable

PAGE = evaluate_files.PAGE
OUTPUT = option("Output", "-o", "--output", type=PATH, help="JSON file to write: all scores, image by image.")


@click.group("eval", cls=SectionedGroup)
def eval_command() -> None:
    """Score a model: its codec, its images, its speed; or files that any program made."""


for command in (*evaluate_files.COMMANDS, words_command):
    eval_command.add_command(command)


@eval_command.command("reconstruction", short_help="Score the codec: encode and decode images.")
@click.argument("folder", type=FOLDER, required=False)
@vocabulary_options
@size_option("Decoding")
@passes_option("Decoding")
@option("Decoding", "--all-passes", is_flag=True, help="Compare 1, 2, 4 and 8 passes as well.")
@evaluate_files.PHOTOGRAPHS
@evaluate_files.PHOTOGRAPH_COUNT
@model_options
@OUTPUT
@PAGE
@JSON
def reconstruction(
    folder: Path | None,
    sets: tuple[str, ...],
    groups: tuple[str, ...],
    vocabulary: Path | None,
    size: tuple[int, int] | None,
    passes: int | None,
    all_passes: bool,
    photographs: str | None,
    photograph_count: int,
    choice: ModelChoice,
    output: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Encode and decode images without diffusion, and compare.

    Takes the images of FOLDER at their own sizes, or else the held-out images of named sets at the
    model's size. Prints the PSNR on nine colours, the error of alpha (MAE, SAD, MSE, Grad, Conn over all
    pixels; SAD, Grad and Conn in thousands), and how little the latent offset changes the opaque image. The
    JSON and the page hold all scores of `eval composition` besides, image by image.
    """
    from pellucid.evaluation.eval_data import read_folder, read_samples, resized
    from pellucid.pipelines.arguments import check_passes

    evaluate_files.check_outputs(output, page)
    check_passes(passes)
    vocab = model_vocabulary(choice.name, vocabulary, sets=sets, groups=groups)
    images = read_folder(folder) if folder else None
    samples = [] if folder else read_samples(vocab, held_out=True)
    pipe = choice.load()
    # after loading, which imports the same libraries leaner
    from pellucid.evaluation.reconstruction import reconstruct, score_reconstruction

    note = "not stated"
    if images is None:
        note = f"held out of training; other images of {', '.join(vocab.sets)} were learned"
        names = [f"{number:04d} {record.label}" for number, (record, _) in enumerate(samples)]
        images = dict(zip(names, resized(samples, *(size or pipe.native_size)), strict=True))
    if output is None and page is None:
        scores = score_reconstruction(pipe, list(images.values()), passes=passes, all_passes=all_passes)
        return echo_scores({"model": choice.name, **scores}, as_json)
    settings = evaluate_files.pair_settings(photographs, photograph_count)
    found = reconstruct(pipe, images, settings, passes=passes, all_passes=all_passes)
    about = {"kind": "reconstruction", "model": choice.name, "contamination": note, **found.scores}
    evaluate_files.write_report(
        f"Reconstruction by {choice.name}",
        found.table,
        {**about, "backgrounds": settings.background_names},
        lambda name: [found.images[name], images[name]],
        output,
        page,
    )
    return echo_scores({"model": choice.name, **found.scores}, as_json, output, page)


@eval_command.command("generation", short_help="Score what is generated for training captions.")
@vocabulary_options
@option(
    "Evaluation data", "--subjects", type=int, help="Number of the groups' subjects.  [default: the model's]"
)
@option("Evaluation data", "--captions", type=int, default=200, show_default=True, help="Number of images.")
@option("Sampling", "--batch-size", type=int, default=20, show_default=True, help="Images sampled together.")
@option(
    "Sampling",
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the first caption; the others count up from it.",
)
@STEPS
@GUIDANCE
@option("Output", "--sheet", type=PATH, help="Image to write: a sheet of samples with their captions.")
@option(
    "Models",
    "--aesthetic",
    metavar="FILE",
    help="ONNX model that gives an image, laid over white, one number.",
)
@option(
    "Models", "--clip", metavar="FOLDER", help="CLIP model of transformers; compares images with captions."
)
@option(
    "Models", "--features", metavar="MODEL", help=f"KID and Frechet distance by {evaluate_files.FEATURES}."
)
@evaluate_files.PHOTOGRAPHS
@evaluate_files.PHOTOGRAPH_COUNT
@model_options
@OUTPUT
@PAGE
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
    aesthetic: str | None,
    clip: str | None,
    features: str | None,
    photographs: str | None,
    photograph_count: int,
    choice: ModelChoice,
    output: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Generate images for training captions, and judge them.

    top1 and top5 are the shares of captions whose subject is the nearest, or among the five nearest, of the
    training images. Below them stand the shares of clear, partial and opaque pixels, of images with
    clear corners, and the width of edges in pixels, of the generated and of the training images. The JSON and
    the page hold fringe, dirty alpha, hidden colour and fidelity of each image besides.
    """
    from pellucid.evaluation.eval_data import read_samples
    from pellucid.training.data.subjects import default_images

    evaluate_files.check_outputs(output, page, sheet=sheet)
    vocab = model_vocabulary(choice.name, vocabulary, sets=sets, groups=groups, subjects=subjects)
    samples = read_samples(vocab)
    records = [record for record, _ in samples]
    chosen = default_images(records, vocab.groups, vocab.subjects, vocab.first_subjects)
    pipe = choice.load()
    pipe.pipeline.set_progress_bar_config(disable=True)  # one bar, over batches
    from pellucid.evaluation.generation import sample_sheet, score_generation

    found = score_generation(
        pipe,
        [samples[index] for index in chosen],
        captions=captions,
        seed=seed,
        batch_size=batch_size,
        num_inference_steps=steps,
        guidance_scale=guidance,
    )
    scores: dict[str, object] = {"model": choice.name, **found.scores}
    if sheet is not None:
        write_sheet(sample_sheet(found), sheet)
    if features is not None:
        from pellucid.evaluation.features import load_features

        scores["sets"] = found.distances(load_features(features))
    if output is not None or page is not None or clip is not None or aesthetic is not None:
        settings = evaluate_files.pair_settings(photographs, photograph_count)
        table, models = _image_scores(found, settings, clip, aesthetic)
        scores |= models
        about = {
            "kind": "generation",
            "seed": seed,
            "contamination": f"the model has learned the images of {', '.join(vocab.sets)}",
            "backgrounds": settings.background_names,
        }
        title = f"Generation by {choice.name}"
        evaluate_files.write_report(title, table, {**about, **scores}, found.cases, output, page)
    echo_scores(scores, as_json, output, page, sheet)


@eval_command.command("speed", short_help="Measure seconds and memory for an image.")
@option(
    "Sampling", "--prompt", default="a glass bottle of honey", show_default=True, help="What to generate."
)
@option(
    "Sampling",
    "--runs",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Images timed after the first, which is timed by itself.",
)
@size_option()
@option("Sampling", "--steps", type=click.IntRange(1), help="Denoising steps.  [default: the model's]")
@passes_option("Sampling")
@model_options
@SCORES_OUTPUT
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
    """Time loading and generating, an image at a time, and measure the peak memory."""
    from pellucid.pipelines.arguments import check_passes

    evaluate_files.check_outputs(output)
    check_passes(passes)
    height, width = size or (None, None)
    from pellucid.evaluation.speed import score_speed

    scores = score_speed(
        # not called here: loading is timed, too
        choice.load,
        prompt=prompt,
        runs=runs,
        height=height,
        width=width,
        num_inference_steps=steps,
        passes=passes,
    )
    values = {"model": choice.name, **scores}
    if output is not None:
        write_scores(values, output)
    echo_scores(values, as_json, output)


def _image_scores(
    found: "Generation", settings: "PairSettings", clip: str | None, aesthetic: str | None
) -> "tuple[ScoreTable, dict[str, object]]":
    """Scores each image, and returns the means of the models that were named beside."""
    from pellucid.evaluation.features import OnnxFeatures
    from pellucid.evaluation.fidelity import ClipFidelity

    fidelity = None if clip is None else ClipFidelity(clip)
    judge = None if aesthetic is None else OnnxFeatures(Path(aesthetic))
    table = found.table(settings, fidelity, judge)
    named = {"clip": fidelity, "aesthetic": judge}
    means: dict[str, object] = {
        name: {model.name: table.summary()[name].plain()} for name, model in named.items() if model
    }
    return table, means
