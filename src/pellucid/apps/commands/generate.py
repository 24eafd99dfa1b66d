"""`generate`: transparent images from prompts.

A command checks all that can be checked without a model, reads its files, and only then loads the model:
imports and weights take seconds, and a mistyped option should be told at once.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.anywhere import AnywhereChoice, anywhere_options
from pellucid.apps.commands.finishing import finisher
from pellucid.apps.commands.full_size import Guides, guide_options
from pellucid.apps.commands.inputs import Inputs, reads_images
from pellucid.apps.commands.names import stem_from
from pellucid.apps.commands.options import (
    CLEAN,
    JSON,
    PATH,
    SamplingArguments,
    check_request,
    sampling_options,
    single_requests,
    size_option,
)
from pellucid.apps.commands.outputs import Destination, output_option
from pellucid.apps.commands.placing import Placing, placing_options
from pellucid.apps.commands.prompt_files import PromptRow, read_prompts
from pellucid.apps.commands.runs import SKIP_EXISTING, Job, plan_paths, run_jobs, unused_stem
from pellucid.apps.sections import SectionedCommand, option

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene

OUTPUT = output_option(
    "File to write: .png, .webp, .avif, .tiff, .ico, .psd, .ora, .zip, or -; or a folder.  "
    "[default: named after PROMPT]",
    "png",
    folders=True,
)


@click.command(name="generate", cls=SectionedCommand)
@click.argument("prompt", required=False)
@option(
    "Prompts",
    "--prompts",
    type=PATH,
    metavar="FILE",
    help="Make an image of each prompt of a file: one a line, or .csv, .json or .jsonl with prompt, seed, "
    "name, negative and size.",
)
@OUTPUT
@SKIP_EXISTING
@placing_options
@size_option()
@option(
    "Repainting",
    "--hires",
    type=float,
    metavar="STRENGTH",
    help="Make the image at the model's own size, enlarge it, and repaint it this much (try 0.4).",
)
@option(
    "Repainting",
    "--fix-background",
    is_flag=True,
    formerly=["--mend"],
    help="Check whether the model painted a background of its own, and make the image again if so.",
)
@option(
    "Control",
    "--control",
    type=PATH,
    metavar="IMAGE",
    help="Image whose silhouette and edges the result follows (mini).",
)
@option(
    "Control",
    "--control-kind",
    type=click.Choice(["both", "silhouette", "edges"]),
    default="both",
    show_default=True,
    help="What the result follows of it.",
)
@guide_options
@reads_images
@sampling_options
@anywhere_options
@CLEAN
@JSON
def generate_command(
    prompt: str | None,
    prompts: Path | None,
    output: Destination,
    skip_existing: bool,
    placing: Placing,
    size: tuple[int, int] | None,
    hires: float | None,
    control: Path | None,
    control_kind: str,
    fix_background: bool,
    guides: Guides,
    inputs: Inputs,
    sampling: SamplingArguments,
    choice: AnywhereChoice,
    clean: bool | None,
    as_json: bool,
) -> None:
    """Make transparent images from PROMPT, or from a file of prompts, and print their paths.

    Each is written as soon as it is ready.
    """
    from pellucid.pipelines.arguments import check_size

    rows = _rows(prompt, prompts, inputs)
    for row in rows:
        # without --hires nothing is repainted, and a strength of 1 passes
        check_request(row.prompt, sampling, strength=1.0 if hires is None else hires)
        if (asked := row.size or size) is not None:
            check_size(*asked)
    placing.check()
    guides.check()
    if choice.server is not None:
        guides.check_local()
    # names that are made up never replace a file
    fresh = output.path is None and not skip_existing
    stems = [row.name or (unused_stem if fresh else _stem)(row.prompt, output.ending) for row in rows]
    paths = plan_paths(stems, sampling["count"], output)
    control_image = None if control is None else inputs.flat(control)
    guide_images = guides.images(inputs)
    load = cache(lambda: guides.add(choice.load()))

    def makers(row: PromptRow) -> Iterator[Callable[[], "Scene"]]:
        height, width = row.size or size or (None, None)
        for request in single_requests(
            row.prompt, sampling, clean=clean, seed=row.seed, negative=row.negative
        ):
            yield lambda request=request: load().generate(
                [row.prompt],
                height=height,
                width=width,
                hires_strength=hires,
                fix_background=fix_background,
                control=control_image,
                control_kind=control_kind,
                pipeline_inputs=guides.pipeline_inputs(guide_images),
                **request,
            )[0]

    makes = [(row.prompt, make) for row in rows for make in makers(row)]
    jobs = [
        Job(source=text, path=path, make=make, replaces=output.path is not None and not output.is_folder)
        for path, (text, make) in zip(paths, makes, strict=True)
    ]
    run_jobs(
        jobs,
        finish=finisher(clean, placing),
        as_json=as_json,
        said=inputs.said,
        skip_existing=skip_existing,
        noting=inputs.noting,
    )


def _stem(prompt: str, _: str) -> str:
    return stem_from(prompt)


def _rows(prompt: str | None, prompts: Path | None, inputs: Inputs) -> list[PromptRow]:
    """Returns the prompts of the command line: one, or those of a file."""
    if (prompt is None) == (prompts is None):
        found = "neither" if prompt is None else "both"
        raise click.UsageError(f"Expected PROMPT or --prompts FILE, found {found}. Give one of them.")
    if prompts is None:
        return [PromptRow(prompt=prompt or "")]
    return read_prompts(inputs.read(prompts).content, str(prompts))
