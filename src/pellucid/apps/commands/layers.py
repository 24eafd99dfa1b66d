"""`layers` and `split`: scenes of several layers from sentences and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.apps.commands.generate import default_path, report, write_all
from pellucid.apps.commands.options import (
    JSON,
    PATH,
    SIZE,
    ModelChoice,
    Place,
    SamplingChoice,
    check_target,
    model_options,
    sampling_options,
)

if TYPE_CHECKING:
    from pellucid.scene.boxes import Box
    from pellucid.scene.scene import Scene

OUTPUT = click.option(
    "-o",
    "--output",
    type=PATH,
    help="File to write: .psd, .ora, .tiff or .zip; .png flattens.  [default: a .psd named after the text]",
)
FIT = click.option(
    "--fit",
    type=click.Choice(["crop", "fit", "stretch"]),
    help="How pictures meet another size.  [default: crop; fit for --behind]",
)
STOP_AT = click.option(
    "--stop-at",
    type=float,
    metavar="SHARE",
    help="Let the plain model finish after this share of the steps (Stable Diffusion XL).",
)
COMPOSITE = click.option("--composite", metavar="TEXT", help="What all layers show together.")


@click.command(name="layers")
@click.option(
    "--foreground",
    "foregrounds",
    metavar="TEXT",
    multiple=True,
    help="A transparent layer. Give several, lowest first: each sees what is below it.",
)
@click.option("--background", metavar="TEXT", help="The opaque layer below.")
@COMPOSITE
@click.option("--on", type=PATH, metavar="IMAGE", help="Make the foregrounds for this background.")
@click.option("--behind", type=PATH, metavar="IMAGE", help="Make a background for this transparent picture.")
@click.option("--add", type=PATH, metavar="FILE", help="Add the foregrounds to this picture or document.")
@click.option(
    "--box",
    "boxes",
    type=Place(),
    multiple=True,
    help="Part of the canvas that a layer is made for: one for each foreground that sees what is below it.",
)
@OUTPUT
@SIZE
@FIT
@STOP_AT
@sampling_options
@model_options
@JSON
def layers_command(
    foregrounds: tuple[str, ...],
    background: str | None,
    composite: str | None,
    on: Path | None,
    behind: Path | None,
    add: Path | None,
    boxes: "tuple[Box, ...]",
    output: Path | None,
    size: tuple[int, int] | None,
    fit: str | None,
    stop_at: float | None,
    sampling: SamplingChoice,
    choice: ModelChoice,
    as_json: bool,
) -> None:
    """Make a scene of layers and print its path.

    \b
    pellucid layers --foreground "a cat" --background "a beach" -o scene.psd
    pellucid layers --on beach.jpg --foreground "a cat" --foreground "a red umbrella"
    pellucid layers --behind cat.png --background "a beach"
    pellucid layers --add scene.psd --foreground "a ball" --box 200x200+40+300
    """  # noqa: D301 - click keeps the lines after this character
    _check_what(foregrounds, background, on=on, behind=behind, add=add, size=size)
    target = output or default_path(", ".join([*foregrounds, *filter(None, [background])]), ".psd")
    check_target(target)
    for text in (*foregrounds, background or ""):
        sampling.check(text)
    placed = _places(boxes, len(foregrounds) - (on is None and add is None and behind is None))
    first = _opened(on or behind) if add is None else _document(add)
    arguments, texts = {**sampling.arguments(), "adapter_end": stop_at}, list(foregrounds)
    sized = _sized(size, fit)
    pipe: Any = choice.load()
    if add is not None:
        scenes: list[Scene] = [first] * sampling.count
    elif on is not None:
        box = placed.pop(0)
        scenes = pipe.foreground_on(first, [texts.pop(0)], composite=composite, box=box, **sized, **arguments)
    elif behind is not None:
        scenes = pipe.background_for(first, [background], composite=composite, **sized, **arguments)
    else:
        sized.pop("fit", None)
        scenes = pipe.joint([texts.pop(0)], [background], composite, **sized, **arguments)
    grown: list[Scene] = []
    for i, scene in enumerate(scenes):
        seed = None if sampling.seed is None else sampling.seed + i
        options = {**arguments, "composite": composite, "count": 1, "seed": seed}
        for text, box in zip(texts, placed, strict=True):
            scene = pipe.add_layer(scene, [text], box=box, **options)[0]
        grown.append(scene)
    report(write_all(grown, target), as_json)


@click.command(name="split")
@click.argument("picture", type=PATH)
@click.argument("prompt", default="")
@click.option("--background", type=PATH, metavar="IMAGE", help="PICTURE without its foreground.")
@click.option("--foreground", type=PATH, metavar="IMAGE", help="PICTURE's transparent layer.")
@OUTPUT
@SIZE
@FIT
@STOP_AT
@sampling_options
@model_options
@JSON
def split_command(
    picture: Path,
    prompt: str,
    background: Path | None,
    foreground: Path | None,
    output: Path | None,
    size: tuple[int, int] | None,
    fit: str | None,
    stop_at: float | None,
    sampling: SamplingChoice,
    choice: ModelChoice,
    as_json: bool,
) -> None:
    """Take PICTURE apart, given one of its layers; PROMPT says what the other one shows."""
    if (background is None) == (foreground is None):
        raise click.UsageError("Give one of --background and --foreground: the layer that you have.")
    target = output or default_path(f"{picture.stem} layers", ".psd")
    check_target(target)
    sampling.check(prompt)
    whole, part = _opened(picture), _opened(background or foreground)
    known = {"background": part} if foreground is None else {"foreground": part}
    pipe: Any = choice.load()
    scenes = pipe.split(
        whole, [prompt], **known, **_sized(size, fit), adapter_end=stop_at, **sampling.arguments()
    )
    report(write_all(scenes, target), as_json)


def _check_what(
    foregrounds: tuple[str, ...], background: str | None, *, size: object, **pictures: Path | None
) -> None:
    """Refuses combinations that make no scene, before anything is loaded."""
    given = [name for name, path in pictures.items() if path is not None]
    if len(given) > 1:
        raise click.UsageError(f"Give one of --{' and --'.join(given)}.")
    kind = given[0] if given else "joint"
    if kind != "behind" and not foregrounds:
        raise click.UsageError("Say what the layer shows with --foreground TEXT.")
    if kind in ("joint", "behind") and background is None:
        raise click.UsageError("Say what lies below with --background TEXT, or give a picture with --on.")
    if kind in ("on", "add") and background is not None:
        raise click.UsageError(f"--{kind} brings its own background. Leave --background out.")
    if kind == "add" and size is not None:
        raise click.UsageError("--add keeps the document's size. Leave --size out.")


def _opened(path: Path | None) -> Any:  # noqa: ANN401 - a picture, or nothing
    return None if path is None else _document(path).composite()


def _document(path: Path) -> "Scene":
    from pellucid.scene.scene import Scene

    return Scene.open(path)


def _sized(size: tuple[int, int] | None, fit: str | None) -> dict[str, Any]:
    sizes = {} if size is None else {"height": size[0], "width": size[1]}
    return sizes if fit is None else {**sizes, "fit": fit}


def _places(boxes: "tuple[Box, ...]", wanted: int) -> "list[Box | None]":
    """A box for each layer that is made on what is below it; None where none was given."""
    if boxes and len(boxes) != wanted:
        raise click.UsageError(
            f"Expected a --box for each of {wanted} foregrounds that are made on what is below them, "
            f"found {len(boxes)}. The first one is not, without --on and --add."
        )
    return list(boxes) or [None] * wanted
