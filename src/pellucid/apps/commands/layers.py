"""`layers` and `split`: scenes of several layers, from prompts and from images."""

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from pellucid.apps.commands.anywhere import AnywhereChoice, anywhere_options
from pellucid.apps.commands.inputs import Inputs, reads_images, stem_of
from pellucid.apps.commands.layer_edits import LayerEdits, check_edits, edit_document, edit_options
from pellucid.apps.commands.names import default_path
from pellucid.apps.commands.options import (
    JSON,
    PATH,
    RAW,
    Place,
    SamplingArguments,
    check_request,
    check_target,
    sampling_options,
    size_option,
)
from pellucid.apps.commands.outputs import output_option
from pellucid.apps.commands.runs import write_scenes
from pellucid.apps.sections import SectionedCommand, option

if TYPE_CHECKING:
    from pellucid.pipelines.pipeline import TransparentPipeline
    from pellucid.scene.boxes import Box
    from pellucid.scene.scene import Scene

OUTPUT = output_option(
    "File to write: .psd, .ora, .tiff, .zip, or -; .png flattens; a folder takes the layers of FILE as "
    "PNGs.  [default: a .psd named after the text, or FILE's name, -edited]",
    "psd",
)
FIT = option(
    "Sampling",
    "--fit",
    type=click.Choice(["crop", "fit", "stretch"]),
    help="How a given image is brought to another size.  [default: crop; fit for --behind and --replace]",
)
ADAPTER_END = option(
    "Sampling",
    "--adapter-end",
    type=float,
    metavar="SHARE",
    formerly=["--stop-at"],
    help="Share of the steps after which the base model goes on without the adapter (Stable Diffusion XL).",
)


class _Shared(SamplingArguments):
    """Keywords of the pipeline that all ways to make a layer share."""

    composite: str | None
    adapter_end: float | None
    clean: bool


class _SizeArguments(TypedDict, total=False):
    """Keywords of the pipeline that --size and --fit set."""

    height: int
    width: int
    fit: str


@click.command(name="layers", cls=SectionedCommand)
@click.argument("file", type=PATH, required=False)
@option(
    "Layers to make",
    "--foreground",
    "foregrounds",
    metavar="TEXT",
    multiple=True,
    help="A transparent layer. Give several, lowest first: each is made to fit what is below it.",
)
@option("Layers to make", "--background", metavar="TEXT", help="The opaque layer below.")
@option("Layers to make", "--composite", metavar="TEXT", help="What all layers show together.")
@option("Layers you have", "--on", type=PATH, metavar="IMAGE", help="Make foregrounds for this background.")
@option(
    "Layers you have",
    "--behind",
    type=PATH,
    metavar="IMAGE",
    help="Make a background for this transparent image.",
)
@option(
    "Layers you have",
    "--add",
    type=PATH,
    metavar="FILE",
    help="Add the foregrounds to this image or document.",
)
@option(
    "Layers to make",
    "--box",
    "boxes",
    type=Place(),
    multiple=True,
    help="Part of the canvas in which a layer is made: one for each foreground made to fit what is below it.",
)
@edit_options
@OUTPUT
@size_option()
@FIT
@ADAPTER_END
@reads_images
@sampling_options
@anywhere_options
@RAW
@JSON
def layers_command(
    file: Path | None,
    foregrounds: tuple[str, ...],
    background: str | None,
    composite: str | None,
    on: Path | None,
    behind: Path | None,
    add: Path | None,
    boxes: "tuple[Box, ...]",
    edits: LayerEdits,
    output: Path | None,
    size: tuple[int, int] | None,
    fit: str | None,
    adapter_end: float | None,
    inputs: Inputs,
    sampling: SamplingArguments,
    choice: AnywhereChoice,
    keeps_raw: bool,
    as_json: bool,
) -> None:
    """Make a scene of layers, or edit the layers of FILE, and print its path.

    \b
    pellucid layers --foreground "a cat" --background "a beach" -o scene.psd
    pellucid layers --on beach.jpg --foreground "a cat" --foreground "a red umbrella"
    pellucid layers --behind cat.png --background "a beach"
    pellucid layers --add scene.psd --foreground "a ball" --box 200x200+40+300
    pellucid layers scene.psd --replace "a cat" dog.png --move "a ball" 20,35 --remove "a hat"
    pellucid layers scene.psd -o folder/
    """  # noqa: D301 - click keeps the lines after this character
    check_edits(file, edits, any((foregrounds, background, on, behind, add, boxes)))
    if file is not None:
        edit_document(file, edits, output, fit, inputs, as_json)
        return
    _check_what(foregrounds, background, on=on, behind=behind, add=add, size=size)
    target = output or default_path(", ".join([*foregrounds, *filter(None, [background])]), ".psd")
    check_target(target)
    for text in (*foregrounds, background or ""):
        check_request(text, sampling)
    # without an image the first foreground is made together with the background, on the whole canvas
    regions = _regions(boxes, len(foregrounds) - (on is None and add is None and behind is None))
    shared = _Shared(composite=composite, adapter_end=adapter_end, clean=not keeps_raw, **sampling)
    texts, size_arguments = list(foregrounds), _size_arguments(size, fit)
    source = on or behind
    image = None if source is None else inputs.flat(source)
    document = None if add is None else inputs.open(add)
    # last: texts, files and combinations are checked by now, and loading takes seconds
    pipe = choice.load()
    if document is not None:
        # one object several times is safe: a scene is frozen, and each added layer makes another
        scenes = [document] * sampling["count"]
    elif on is not None:
        # this one meets the image itself; the others are laid on the scene that it makes
        region, text = regions.pop(0), texts.pop(0)
        scenes = _as_list(pipe.foreground_on(image, [text], box=region, **size_arguments, **shared))
    elif behind is not None:
        scenes = _as_list(pipe.background_for(image, [str(background)], **size_arguments, **shared))
    else:
        # both layers are made at one size, so that nothing has to be fitted
        size_arguments.pop("fit", None)
        scenes = _as_list(pipe.joint([texts.pop(0)], [str(background)], **size_arguments, **shared))
    made = _add_layers(pipe, scenes, texts, regions, shared)
    write_scenes(
        made, target, replaces=output is not None, as_json=as_json, said=inputs.said, noting=inputs.noting
    )


@click.command(name="split", cls=SectionedCommand)
@click.argument("image", type=PATH)
@click.argument("prompt", default="")
@option(
    "Layer you have", "--background", type=PATH, metavar="LAYER", help="The background, without foreground."
)
@option("Layer you have", "--foreground", type=PATH, metavar="LAYER", help="The transparent foreground.")
@OUTPUT
@size_option()
@FIT
@ADAPTER_END
@reads_images
@sampling_options
@anywhere_options
@RAW
@JSON
def split_command(
    image: Path,
    prompt: str,
    background: Path | None,
    foreground: Path | None,
    output: Path | None,
    size: tuple[int, int] | None,
    fit: str | None,
    adapter_end: float | None,
    inputs: Inputs,
    sampling: SamplingArguments,
    choice: AnywhereChoice,
    keeps_raw: bool,
    as_json: bool,
) -> None:
    """Take IMAGE apart, given one of its layers; PROMPT says what the other one shows."""
    if (background is None) == (foreground is None):
        raise click.UsageError("Give one of --background and --foreground: the layer that you have.")
    target = output or default_path(f"{stem_of(image)} layers", ".psd")
    check_target(target)
    check_request(prompt, sampling)
    composite, given = inputs.flat_all(image, *filter(None, (background, foreground)))
    scenes = choice.load().split(
        composite,
        [prompt],
        background=given if background else None,
        foreground=given if foreground else None,
        adapter_end=adapter_end,
        clean=not keeps_raw,
        **_size_arguments(size, fit),
        **sampling,
    )
    write_scenes(
        _as_list(scenes),
        target,
        replaces=output is not None,
        as_json=as_json,
        said=inputs.said,
        noting=inputs.noting,
    )


def _add_layers(
    pipe: "TransparentPipeline",
    scenes: "list[Scene]",
    texts: list[str],
    regions: "list[Box | None]",
    shared: _Shared,
) -> "list[Scene]":
    """Makes a further layer for each text on top of each scene, lowest first."""
    results: list[Scene] = []
    for number, scene in enumerate(scenes):
        seed = shared["seed"]
        # one scene at a time takes the seed that it would have in a batch, so that --count changes no image
        arguments = shared.copy()
        arguments["count"], arguments["seed"] = 1, None if seed is None else seed + number
        for text, region in zip(texts, regions, strict=True):
            scene = _as_list(pipe.add_layer(scene, [text], box=region, **arguments))[0]
        results.append(scene)
    return results


def _as_list(scenes: "Scene | list[Scene]") -> "list[Scene]":
    return scenes if isinstance(scenes, list) else [scenes]


def _check_what(
    foregrounds: tuple[str, ...], background: str | None, *, size: object, **images: Path | None
) -> None:
    """Refuses combinations that make no scene, before anything is loaded."""
    named = [name for name, path in images.items() if path is not None]
    if len(named) > 1:
        raise click.UsageError(f"Give one of --{' and --'.join(named)}.")
    kind = named[0] if named else "joint"
    # with --behind the image is the foreground; further ones may go on top of it
    if kind != "behind" and not foregrounds:
        raise click.UsageError("Say what the layer shows with --foreground TEXT.")
    if kind in ("joint", "behind") and background is None:
        raise click.UsageError("Say what lies below with --background TEXT, or give an image with --on.")
    if kind in ("on", "add") and background is not None:
        raise click.UsageError(f"--{kind} brings its own background. Leave --background out.")
    if kind == "add" and size is not None:
        raise click.UsageError("--add keeps the document's size. Leave --size out.")


def _size_arguments(size: tuple[int, int] | None, fit: str | None) -> _SizeArguments:
    """Leaves out what was not given: the defaults of `fit` differ from method to method."""
    arguments = _SizeArguments()
    if size is not None:
        arguments["height"], arguments["width"] = size
    if fit is not None:
        arguments["fit"] = fit
    return arguments


def _regions(boxes: "tuple[Box, ...]", count: int) -> "list[Box | None]":
    """Returns a box for each of `count` layers that are made on what is below them; None for no --box."""
    if boxes and len(boxes) != count:
        raise click.UsageError(
            f"Expected a --box for each of {count} foregrounds that are made on what is below them, "
            f"found {len(boxes)}. The first one is not, without --on and --add."
        )
    return list(boxes) or [None] * count
