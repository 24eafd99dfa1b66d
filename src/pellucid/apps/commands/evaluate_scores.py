"""What commands that score a model share: its vocabulary, and how scores are printed and written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.options import FILE, PATH, Command
from pellucid.apps.sections import option

if TYPE_CHECKING:
    from pellucid.evaluation.eval_data import Vocabulary
    from pellucid.rgba.types import AnyArray

SCORES_OUTPUT = option(
    "Output", "-o", "--output", type=PATH, help="JSON file to write the scores to as well."
)
STEPS = option("Sampling", "--steps", type=int, help="Denoising steps.  [default: the model's]")
GUIDANCE = option(
    "Sampling", "--guidance", type=float, help="How closely to follow the text.  [default: the model's]"
)


def vocabulary_options(command: Command) -> Command:
    """Declares which images a model is judged by, and what it was trained on."""
    options = (
        option(
            "Evaluation data",
            "--set",
            "sets",
            multiple=True,
            metavar="NAME",
            help="Set of `pellucid data pull` or a shard's path; may be repeated.  [default: the model's]",
        ),
        option(
            "Evaluation data",
            "--group",
            "groups",
            multiple=True,
            metavar="NAME",
            help="Group of images, such as food; may be repeated.  [default: the model's]",
        ),
        option(
            "Evaluation data",
            "--vocabulary",
            type=FILE,
            help="JSON that says what the model was trained on.  [default: vocabulary.json beside it]",
        ),
    )
    for add in reversed(options):  # decorators apply from the last to the first
        command = add(command)
    return command


def model_vocabulary(
    model: str,
    file: Path | None,
    *,
    sets: tuple[str, ...],
    groups: tuple[str, ...],
    subjects: int | None = None,
) -> "Vocabulary":
    """Reads the vocabulary that options name, or the one beside the model; see `read_vocabulary`."""
    from pellucid.apps.fast_imports import lean_imports
    from pellucid.evaluation.eval_data import read_vocabulary

    # whichever imports diffusers first decides what comes along, and here that is before `load`
    with lean_imports():
        from pellucid.pipelines.loading import model_folder
    return read_vocabulary(file or model_folder(model), sets=sets, groups=groups, subjects=subjects)


def write_sheet(sheet: "AnyArray", path: Path) -> None:
    """Writes uint8 (h, w, 3) as an opaque image."""
    from pellucid.files.images import write_image
    from pellucid.rgba.compositing import opaque

    write_image(opaque(sheet), path)


def write_scores(scores: Mapping[str, object], path: Path) -> None:
    """Writes scores as JSON."""
    from pellucid.files.atomic import write_atomically

    write_atomically(path, (json.dumps(scores, indent=1, ensure_ascii=False) + "\n").encode())


def echo_scores(scores: Mapping[str, object], as_json: bool, *written: Path | None) -> None:
    """Prints the scores, and the paths of what was written."""
    from pellucid.evaluation.report import table

    paths = [str(path) for path in written if path is not None]
    if as_json:
        click.echo(json.dumps({**scores, "written": paths}, ensure_ascii=False))
    else:
        click.echo("\n".join([table(scores), *paths]))
