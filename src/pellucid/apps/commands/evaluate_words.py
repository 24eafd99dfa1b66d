"""`eval words`: which words of prompts a model obeys."""

import sys
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
from pellucid.apps.commands.options import JSON, PATH, ModelChoice, model_options
from pellucid.apps.commands.runs import make_folder
from pellucid.apps.sections import SectionedCommand, option
from pellucid.progress import announce

if TYPE_CHECKING:
    from pellucid.evaluation.words.scores import WordScores

KINDS = ("colours", "materials", "effects", "counts", "pairs", "paraphrases")
"""As `pellucid.evaluation.words.questions.KINDS`, which takes seconds to import; a test compares them."""


@click.command("words", cls=SectionedCommand, short_help="Score which words of prompts a model obeys.")
@vocabulary_options
@option(
    "Questions",
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Only this kind; may be repeated.  [default: all]",
)
@option(
    "Questions",
    "--paraphrases",
    type=click.IntRange(1),
    default=300,
    show_default=True,
    help="How many keywords to ask for.",
)
@option("Sampling", "--batch-size", type=int, default=16, show_default=True, help="Images sampled together.")
@option("Sampling", "--seed", type=int, default=100, show_default=True, help="Seed of every image.")
@STEPS
@GUIDANCE
@option("Output", "--sheets", type=PATH, help="Folder for a sheet of every kind, framed green or red.")
@model_options
@SCORES_OUTPUT
@JSON
def words_command(
    sets: tuple[str, ...],
    groups: tuple[str, ...],
    vocabulary: Path | None,
    kinds: tuple[str, ...],
    paraphrases: int,
    batch_size: int,
    seed: int,
    steps: int | None,
    guidance: float | None,
    sheets: Path | None,
    choice: ModelChoice,
    output: Path | None,
    as_json: bool,
) -> None:
    """Ask for colours, materials, see-through things, counts, pairs and paraphrases, and measure the images.

    No model judges: a colour is told by hue and lightness, glass and smoke by alpha, a count by connected
    parts, a subject by the nearest training images. Pairs of words that training never showed together are
    counted apart. All of it is some 1,100 images.
    """
    from pellucid.evaluation.eval_data import read_samples
    from pellucid.training.data.subjects import default_images

    evaluate_files.check_outputs(output)
    if sheets is not None:
        make_folder(sheets)
    vocab = model_vocabulary(choice.name, vocabulary, sets=sets, groups=groups)
    samples = read_samples(vocab)
    plain = default_images(
        [record for record, _ in samples], vocab.groups, vocab.subjects, vocab.first_subjects
    )
    pipe = choice.load()
    pipe.pipeline.set_progress_bar_config(disable=True)  # one bar, over batches
    from pellucid.evaluation.words.known_images import KnownImages
    from pellucid.evaluation.words.questions import make_questions
    from pellucid.evaluation.words.scores import ask

    known = KnownImages(samples, plain)
    scores: dict[str, object] = {"model": choice.name, "seed": seed}
    written: list[Path | None] = [output]
    for kind in kinds or KINDS:
        answers = ask(
            pipe,
            make_questions(kind, known, paraphrases),
            seed=seed,
            batch_size=batch_size,
            num_inference_steps=steps,
            guidance_scale=guidance,
        )
        scores[kind] = found = answers.scores()
        if not as_json:
            announce(_line(kind, found), sys.stdout)
        if sheets is not None:
            written.append(sheets / f"{kind}.png")
            write_sheet(answers.sheet(), sheets / f"{kind}.png")
    if output is not None:
        write_scores(scores, output)
    if as_json:
        echo_scores(scores, as_json, *written)
        return
    for path in filter(None, written):
        click.echo(str(path))


def _line(kind: str, scores: "WordScores") -> str:
    """Returns a line of text: `colours: 410 of 432 obeyed; never shown together: 40 of 48`."""
    trained, held_out = scores["trained"], scores["held_out"]
    apart = f"; never shown together: {held_out['obeyed']} of {held_out['of']}" if held_out["of"] else ""
    return f"{kind}: {trained['obeyed']} of {trained['of']} obeyed{apart}"
