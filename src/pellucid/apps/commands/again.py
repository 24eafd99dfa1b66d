"""`again`: makes an image or document anew from its own metadata, the same or with changes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.finishing import finisher
from pellucid.apps.commands.full_size import FullModelChoice, full_model_options
from pellucid.apps.commands.inputs import Inputs, reads_images, stem_of
from pellucid.apps.commands.names import default_path
from pellucid.apps.commands.options import (
    JSON,
    PATH,
    SamplingArguments,
    Size,
    check_request,
    check_target,
    sampling_options,
    size_option,
)
from pellucid.apps.commands.outputs import output_option
from pellucid.apps.commands.placing import Placing
from pellucid.apps.commands.runs import write_scenes
from pellucid.apps.sections import SectionedCommand, option

if TYPE_CHECKING:
    from pellucid.files.metadata import GenerationMetadata
    from pellucid.scene.scene import Scene


@click.command(name="again", cls=SectionedCommand)
@click.argument("file", type=PATH)
@output_option("File to write: a document again for a document; or -.  [default: FILE's name, again]", "png")
@option("Changes", "--prompt", metavar="TEXT", help="Another text, for an image of one layer.")
@option(
    "Changes",
    "--control",
    type=PATH,
    metavar="IMAGE",
    help="The image that controlled FILE: no file keeps it.",
)
@size_option("Changes")
@reads_images
@sampling_options
@full_model_options
@JSON
def again_command(
    file: Path,
    output: Path | None,
    prompt: str | None,
    control: Path | None,
    size: tuple[int, int] | None,
    inputs: Inputs,
    sampling: SamplingArguments,
    choice: FullModelChoice,
    as_json: bool,
) -> None:
    """Make FILE anew from the prompt, seed and settings in it, and print the path.

    What is given as an option differs; nothing given, it is the same to the byte, on the same kind of machine
    and versions. It is told whether it is.

    \b
    pellucid again cat.png --seed 8 -o other-cat.png
    pellucid again scene.psd --steps 20
    """  # noqa: D301 - click keeps the lines after this character
    from pellucid.pipelines.again import Changes, make_again, recipe_of

    ending = file.suffix if file.suffix.lower() in WRITTEN else ".png"
    target = output or default_path(f"{stem_of(file)} again", ending)
    check_target(target)
    check_request(prompt or "", sampling)
    scene = inputs.open(file, Path("x.psd"))
    metadata = recipe_of(scene)
    height, width = size or (None, None)
    several = sampling["count"] > 1
    first = sampling["seed"] if sampling["seed"] is not None else metadata.seed
    pipe = _model(choice, metadata).load()
    finish = _finisher(metadata)
    results = [
        finish(
            make_again(
                pipe,
                scene,
                Changes(
                    prompt=prompt,
                    seed=(first or 0) + number if several else sampling["seed"],
                    negative_prompt=sampling["negative_prompt"],
                    num_inference_steps=sampling["num_inference_steps"],
                    guidance_scale=sampling["guidance_scale"],
                    scheduler=sampling["scheduler"],
                    passes=sampling["passes"],
                    height=height,
                    width=width,
                    control=None if control is None else inputs.flat(control),
                ),
            )
        )[0]
        for number in range(sampling["count"])
    ]
    same = _same(scene, results[0])
    if not as_json:
        changed = prompt, control, size, *(value for name, value in sampling.items() if name != "count")
        _tell(same, all(value is None for value in changed), metadata)
    write_scenes(
        results,
        target,
        replaces=output is not None,
        as_json=as_json,
        said=lambda: {**inputs.said(), "same": same},
        noting=inputs.noting,
    )


def _name_defaults() -> None:
    """Says of the options that other commands have too what their default is here."""
    for each in again_command.params:
        if isinstance(each, click.Option) and each.help is not None:
            for usual in ("random", "mini", "the model's"):
                each.help = each.help.replace(f"[default: {usual}]", "[default: FILE's]")


_name_defaults()
WRITTEN = (".png", ".webp", ".avif", ".tif", ".tiff", ".psd", ".ora", ".zip")
"""Endings that results may have; of others, such as .psb, the result is a PNG."""


def _model(choice: FullModelChoice, metadata: "GenerationMetadata") -> FullModelChoice:
    """Fills in what the options leave open: the model of the metadata, its adapter and its precision."""
    from dataclasses import replace

    from pellucid.pipelines.modes import MODES

    mode = MODES.get(metadata.mode or "")
    # a folder of the embedded kind has adapters of its own
    adapter = mode.name if mode and mode.family != "mini" and len(mode.outputs) == 1 else None
    dtype, device = (metadata.extra.get(name) for name in ("dtype", "device"))
    # left to the device where nobody chose it: float16 is for GPUs
    chosen = isinstance(dtype, str) and dtype != ("float32" if device == "cpu" else "float16")
    return replace(
        choice,
        model=choice.model or metadata.model,
        adapter=choice.adapter or adapter,
        dtype=str(dtype) if chosen and choice.dtype == "auto" else choice.dtype,
    )


def _finisher(metadata: "GenerationMetadata") -> "Callable[[Scene], tuple[Scene, Mapping[str, object]]]":
    """Returns what cleans and places an image as its file says that it was."""
    extra = metadata.extra
    margin, fit = extra.get("margin"), extra.get("fit_canvas")
    placing = Placing(
        trim=extra.get("trim") is True,
        margin=margin if isinstance(margin, int) else None,
        fit=Size().convert(fit, None, None) if isinstance(fit, str) else None,
    )
    return finisher(extra.get("clean") is True, placing)


def _same(old: "Scene", new: "Scene") -> bool:
    """Tells whether two scenes look the same, to the byte."""
    if (old.height, old.width) != (new.height, new.width):
        return False
    return bool((old.composite() == new.composite()).all())


def _tell(same: bool, unchanged: bool, metadata: "GenerationMetadata") -> None:
    from pellucid import __version__

    if same:
        click.echo("The same as FILE, to the byte.", err=True)
    elif unchanged:
        made = metadata.version or "another version"
        why = f"FILE was made by Pellucid {made}, and this is {__version__}." if made != __version__ else ""
        click.echo(
            f"Differs from FILE. {why or 'It was edited since, or made on another kind of machine.'}",
            err=True,
        )
