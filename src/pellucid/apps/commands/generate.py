"""`generate`, `vary`, `upscale` and `inpaint`: single images from a prompt, or from an image and a prompt.

A command checks all that can be checked without a model, reads its files, and only then loads the model:
imports and weights take seconds, and a mistyped option should be told at once.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.inputs import Inputs, reads_images, stem_of
from pellucid.apps.commands.options import (
    CLEAN,
    JSON,
    PATH,
    ModelChoice,
    SamplingArguments,
    check_request,
    check_target,
    model_options,
    sampling_options,
    size_option,
)
from pellucid.apps.commands.outputs import output_option
from pellucid.apps.sections import SectionedCommand, option

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene

OUTPUT = output_option(
    "File to write: .png, .webp, .avif, .tiff, .psd, .ora, .zip, or -.  [default: named after PROMPT]", "png"
)
MAX_NAME = 60
"""Longest stem of a file name that is made from a prompt, characters; prompts can be whole paragraphs."""


@click.command(name="generate", cls=SectionedCommand)
@click.argument("prompt")
@OUTPUT
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
@reads_images
@sampling_options
@model_options
@CLEAN
@JSON
def generate_command(
    prompt: str,
    output: Path | None,
    size: tuple[int, int] | None,
    hires: float | None,
    control: Path | None,
    control_kind: str,
    fix_background: bool,
    inputs: Inputs,
    sampling: SamplingArguments,
    choice: ModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Make transparent images from PROMPT and print their paths."""
    from pellucid.pipelines.arguments import check_size

    target = output or default_path(prompt)
    check_target(target)
    # without --hires nothing is repainted, and a strength of 1 passes
    check_request(prompt, sampling, strength=1.0 if hires is None else hires)
    height, width = size or (None, None)
    if size is not None:
        check_size(*size)
    control_image = None if control is None else inputs.flat(control)
    scenes = choice.load().generate(
        [prompt],
        height=height,
        width=width,
        hires_strength=hires,
        fix_background=fix_background,
        control=control_image,
        control_kind=control_kind,
        **sampling,
    )
    save_and_report(scenes, target, clean=clean, as_json=as_json, said=inputs.said())


@click.command(name="vary", cls=SectionedCommand)
@click.argument("image", type=PATH)
@click.argument("prompt")
@OUTPUT
@option(
    "Repainting",
    "--strength",
    type=float,
    default=0.6,
    show_default=True,
    help="0 keeps IMAGE, 1 ignores it.",
)
@reads_images
@sampling_options
@model_options
@CLEAN
@JSON
def vary_command(
    image: Path,
    prompt: str,
    output: Path | None,
    strength: float,
    inputs: Inputs,
    sampling: SamplingArguments,
    choice: ModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Repaint IMAGE after PROMPT, transparency included, and print the paths of the results."""
    target = output or default_path(prompt)
    check_target(target)
    check_request(prompt, sampling, strength=strength)
    rgba = inputs.flat(image)
    scenes = choice.load().vary(rgba, [prompt], strength=strength, **sampling)
    save_and_report(scenes, target, clean=clean, as_json=as_json, said=inputs.said())


@click.command(name="upscale", cls=SectionedCommand)
@click.argument("image", type=PATH)
@click.argument("prompt", default="")
@OUTPUT
@option(
    "Repainting", "--scale", type=float, default=2.0, show_default=True, help="Factor for each side's length."
)
@option(
    "Repainting",
    "--strength",
    type=float,
    help="How much is repainted, 0 to 1; 0 only enlarges.  [default: the model's]",
)
@reads_images
@sampling_options
@model_options
@CLEAN
@JSON
def upscale_command(
    image: Path,
    prompt: str,
    output: Path | None,
    scale: float,
    strength: float | None,
    inputs: Inputs,
    sampling: SamplingArguments,
    choice: ModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Enlarge IMAGE, transparency included, and repaint it a little after PROMPT.

    Without PROMPT the one that IMAGE was made from is taken.
    """
    # named after the image, since PROMPT may be empty
    target = output or default_path(f"{stem_of(image)} larger")
    check_target(target)
    check_request(prompt, sampling, strength=1.0 if strength is None else strength)
    scene = inputs.open(image)
    text = prompt or (scene.provenance.prompt if scene.provenance else None) or ""
    scenes = choice.load().upscale(scene, [text], scale=scale, strength=strength, **sampling)
    save_and_report(scenes, target, clean=clean, as_json=as_json, said=inputs.said())


@click.command(name="inpaint", cls=SectionedCommand)
@click.argument("image", type=PATH)
@click.argument("mask", type=PATH)
@click.argument("prompt")
@OUTPUT
@option(
    "Repainting",
    "--strength",
    type=float,
    default=1.0,
    show_default=True,
    help="How much is repainted, 0 to 1; 1 ignores what is under MASK now.",
)
@reads_images
@sampling_options
@model_options
@CLEAN
@JSON
def inpaint_command(
    image: Path,
    mask: Path,
    prompt: str,
    output: Path | None,
    strength: float,
    inputs: Inputs,
    sampling: SamplingArguments,
    choice: ModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Repaint IMAGE where MASK is white, after PROMPT, and print the paths of the results."""
    from pellucid.pipelines.inpainting import to_mask

    target = output or default_path(prompt)
    check_target(target)
    check_request(prompt, sampling, strength=strength)
    rgba, area = inputs.flat_all(image, mask)
    # for its errors alone: the model makes the mask once more
    to_mask(area, rgba)
    pipe = choice.load()
    scenes = pipe.inpaint(rgba, area, [prompt], strength=strength, **sampling)
    save_and_report(scenes, target, clean=clean, as_json=as_json, said=inputs.said())


def default_path(prompt: str, extension: str = ".png") -> Path:
    """Returns an unused file name made from the prompt: `a-glass-bottle.png`, then `a-glass-bottle-2.png`."""
    # \w keeps the letters of all alphabets: a prompt may be in any language
    stem = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-_")[:MAX_NAME].strip("-_") or "picture"
    # file systems count bytes, at most 255, and a letter may have four
    while len(stem.encode()) > 4 * MAX_NAME:
        stem = stem[:-1]
    path, number = Path(f"{stem}{extension}"), 1
    # --count writes numbered files instead, which must not be overwritten either
    while path.exists() or numbered(path, 1).exists():
        number += 1
        path = Path(f"{stem}-{number}{extension}")
    return path


def numbered(path: Path, number: int) -> Path:
    """Adds a number to a file name: `honey.png` becomes `honey-001.png`."""
    # three digits, so that files in a folder sort as they were made
    return path.with_name(f"{path.stem}-{number:03d}{path.suffix}")


def write_all(scenes: "Sequence[Scene]", target: Path) -> list[tuple[Path, "Scene"]]:
    """Saves one scene as `target`, several as numbered files, and returns each with its path."""
    paths = [target] if len(scenes) == 1 else [numbered(target, i) for i in range(1, len(scenes) + 1)]
    return [(scene.save(path), scene) for path, scene in zip(paths, scenes, strict=True)]


def save_and_report(
    scenes: "Sequence[Scene]", target: Path, *, clean: bool, as_json: bool, said: Mapping[str, object]
) -> None:
    """Cleans the scenes if `clean` is set, saves them and prints their paths."""
    from pellucid.scene.cleanup import clean_scenes

    cleaned, scores = clean_scenes(scenes, wanted=clean)
    report(write_all(cleaned, target), as_json, said, scores)


def report(
    written: Sequence[tuple[Path, "Scene"]],
    as_json: bool,
    said: Mapping[str, object],
    scores: Sequence[Mapping[str, object]] = (),
) -> None:
    """Prints the paths, a line each, or one JSON object.

    Args:
        written: where each image is, and the image; its metadata goes into the JSON.
        as_json: whether to print JSON.
        said: of the inputs, for the JSON.
        scores: of each image.
    """
    if not as_json:
        for path, _ in written:
            click.echo(path)
        return
    cleanings: Sequence[Mapping[str, object]] = scores or [dict[str, object]()] * len(written)
    rows = [
        {"path": str(path), "height": scene.height, "width": scene.width}
        | (scene.provenance.as_dict() if scene.provenance else {})
        | dict(cleaning)
        for (path, scene), cleaning in zip(written, cleanings, strict=True)
    ]
    # a key of the first release, which scripts read
    click.echo(json.dumps({"pictures": rows, **said}, ensure_ascii=False))
