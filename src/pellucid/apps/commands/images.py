"""`show`, `pad`, `composite`, `convert`: work on images alone, without a model."""

import json
from collections.abc import Callable, Sequence
from functools import partial, wraps
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

import click

from pellucid.apps.commands.batches import Batch, batch_options
from pellucid.apps.commands.inputs import Inputs, beside, layer_name, reads_images, stem_of
from pellucid.apps.commands.layer_edits import Placement, placement_options, stacked
from pellucid.apps.commands.names import write_result
from pellucid.apps.commands.options import JSON, PATH, Command, check_target
from pellucid.apps.commands.outputs import output_option
from pellucid.apps.commands.placing import Placing, placing_options
from pellucid.apps.sections import SectionedCommand, option
from pellucid.apps.terminal import printable

if TYPE_CHECKING:
    from pellucid.scene.formats.registry import Document
    from pellucid.scene.layer import Layer
    from pellucid.scene.scene import Scene


def _output(default: str) -> Callable[[Command], Command]:
    text = f"File to write, whose extension chooses the format; or -.  [default: {default}]"
    return output_option(text, "png")


def _report(as_json: bool, path: Path, **facts: object) -> None:
    click.echo(json.dumps({"path": str(path), **facts}, ensure_ascii=False) if as_json else str(path))


@click.command(name="show", cls=SectionedCommand)
@click.argument("image", type=PATH)
@reads_images
@JSON
def show_command(image: Path, inputs: Inputs, as_json: bool) -> None:
    """Show what is inside IMAGE: size, alpha, prompt, seed, model, and its layers, top first."""
    from pellucid.files.foreign_metadata import read_foreign
    from pellucid.scene.flatten import alpha_histogram

    document = inputs.document(image)
    kind, scene = document.format, document.scene
    counts = alpha_histogram(scene.layers, scene.height, scene.width)
    clear, opaque = float(counts[0]) / counts.sum(), float(counts[-1]) / counts.sum()
    facts: dict[str, object] = {
        "path": str(image),
        "format": kind,
        "height": scene.height,
        "width": scene.width,
        "transparent": round(clear, 4),
        "partial": round(1 - clear - opaque, 4),
        "opaque": round(opaque, 4),
    }
    facts |= _frame_facts(document, inputs.frame)
    # what other programs wrote is read where Pellucid wrote nothing
    facts |= scene.provenance.as_dict() if scene.provenance else read_foreign(document.texts)
    # top first, as the panels of layers in other programs list them
    layers = [_describe_layer(layer) for layer in reversed(scene.layers)]
    if as_json:
        click.echo(json.dumps({**facts, "layers": layers, **inputs.said()}, ensure_ascii=False))
        return
    facts.pop("durations_ms", None)
    for name, value in facts.items():
        is_share = name in ("transparent", "partial", "opaque")
        click.echo(printable(f"{name}: {value:.2%}" if is_share else f"{name}: {value}"))
    if document.durations_ms:
        click.echo(f"durations: {_format_durations(document.durations_ms)}")
        return
    # an image file is one layer, of which everything is said above
    for layer in layers if len(layers) > 1 or kind in ("PSD", "ORA", "ZIP") else []:
        click.echo(printable(_format_layer(layer)))


def _frame_facts(document: "Document", frame: int | None) -> dict[str, object]:
    if frame is not None:
        return {"frame": frame, "frames": document.frames}
    durations_ms = list(document.durations_ms)
    return {"frames": len(durations_ms), "durations_ms": durations_ms} if durations_ms else {}


def _format_durations(durations_ms: Sequence[int]) -> str:
    """Returns the durations of frames, those of neighbours that are alike once: `100 ms x 3, 50 ms`."""
    runs = [(duration, len(list(run))) for duration, run in groupby(durations_ms)]
    return ", ".join(f"{duration} ms" + (f" x {count}" if count > 1 else "") for duration, count in runs)


class _LayerFacts(TypedDict):
    """What --json says of a layer."""

    name: str
    height: int
    width: int
    top: int
    left: int
    opacity: float
    visible: bool
    blend_mode: str
    clipped: bool
    masked: bool
    groups: list[str]
    provenance: NotRequired[dict[str, object]]


def _describe_layer(layer: "Layer") -> _LayerFacts:
    facts: _LayerFacts = {
        "name": layer.name,
        "height": layer.image.shape[0],
        "width": layer.image.shape[1],
        "top": layer.offset[0],
        "left": layer.offset[1],
        "opacity": round(layer.opacity, 4),
        "visible": layer.visible,
        "blend_mode": layer.blend_mode,
        "clipped": layer.clipped,
        "masked": layer.mask is not None,
        "groups": [group.name for group in layer.groups],
    }
    if layer.provenance is not None:
        facts["provenance"] = layer.provenance.as_dict()
    return facts


def _format_layer(facts: _LayerFacts) -> str:
    """Returns a line about a layer: its groups and name, its size, position, opacity and blending."""
    name = " / ".join([*facts["groups"], facts["name"]])
    words = f"layer: {name}  {facts['width']}x{facts['height']} at {facts['left']},{facts['top']}"
    unusual = [
        (facts["opacity"] < 1, f"{facts['opacity']:.0%}"),
        (facts["blend_mode"] != "normal", facts["blend_mode"]),
        (facts["clipped"], "clipped"),
        (facts["masked"], "masked"),
        (not facts["visible"], "hidden"),
    ]
    return "  ".join([words, *(word for is_so, word in unusual if is_so)])


@click.command(name="pad", cls=SectionedCommand)
@click.argument("images", type=PATH, nargs=-1, required=True)
@option(
    "Padding",
    "--keep-alpha",
    is_flag=True,
    help="Leave alpha and what is seen as they are, for game engines: filtered, edges then show no halo.",
)
@option("Padding", "--truncate", is_flag=True, help="Drop fractions of a level, as the released code does.")
@batch_options(
    "File to write, whose extension chooses the format; or -; or a folder.  "
    "[default: IMAGE's name, -padded.png]",
    in_folders=None,
)
def pad_command(images: tuple[Path, ...], keep_alpha: bool, truncate: bool, batch: Batch) -> None:
    """Extend the colour of IMAGES under their transparent pixels; the results are opaque.

    With --keep-alpha they stay transparent.
    """
    if keep_alpha and truncate:
        raise click.UsageError("--truncate is for opaque results. Leave it or --keep-alpha out.")
    from pellucid.rgba.compositing import opaque
    from pellucid.rgba.padding import extend_colour, pad_rgb
    from pellucid.rgba.quantization import to_bytes
    from pellucid.scene.scene import Scene

    def pad(image: Path, target: Path) -> tuple[Scene, dict[str, object]]:
        source = batch.inputs.open(image)
        if keep_alpha:
            extended = extend_colour(source.composite(), seen_from=1)
            return Scene.of(extended, name=layer_name(image), provenance=source.provenance), {}
        rgb = to_bytes(pad_rgb(source.composite()), truncate=truncate)
        return Scene.of(opaque(rgb), name=layer_name(image), provenance=source.provenance), {}

    batch.run(images, lambda image: beside(image, f"{stem_of(image)}-padded.png"), pad)


@click.command(name="composite", cls=SectionedCommand)
@click.argument("images", type=PATH, nargs=-1, required=True)
@_output("composite.png")
@option(
    "Composite",
    "--background",
    metavar="#RRGGBB",
    help="Opaque colour beneath; without it, transparency stays.",
)
@option("Composite", "--linear", is_flag=True, help="Mix in linear light instead of on sRGB values.")
@placement_options
@reads_images
@JSON
def composite_command(
    images: tuple[Path, ...],
    output: Path | None,
    background: str | None,
    linear: bool,
    placement: Placement,
    inputs: Inputs,
    as_json: bool,
) -> None:
    """Lay IMAGES over one another, bottom first, from the top left; .psd, .ora, .tiff keep layers.

    \b
    pellucid composite beach.jpg cat.png -o beach.psd --at 40,120 --opacity 80%
    """  # noqa: D301 - click keeps the lines after this character
    from pellucid.files.extensions import LAYERED, TIFF_ENDINGS
    from pellucid.scene.formats.merged import save_merged
    from pellucid.scene.scene import Scene
    from pellucid.scene.stacking import stack_scenes

    target = output or Path("composite.png")
    ending = target.suffix.lower()
    # a TIFF can be either: layers as pages, or one flattened page
    layered = ending in LAYERED or (ending in TIFF_ENDINGS and not (background or linear))
    if layered and (background or linear):
        raise click.UsageError(
            f"--background and --linear flatten; a {ending} keeps layers. Choose another extension."
        )
    check_target(target)
    placed, (height, width) = stacked(images, placement, inputs)
    if layered:
        layers = tuple(each.as_layer() for each in placed)
        save = Scene(layers=layers, height=height, width=width).save
    else:
        image = stack_scenes(placed, (height, width), background, linear=linear)
        save = partial(save_merged, image, provenance=None)
    target = write_result(target, save, named=output is not None)
    _report(as_json, target, height=height, width=width, layers=len(placed), **inputs.said())


def _last_is_target(command: Command) -> Command:
    """Takes the second of two paths as what is written, where there is no -o."""

    @wraps(command)
    def called(*, images: tuple[Path, ...], output: Path | None, **named: object) -> object:
        if output is None:
            if len(images) != 2:
                raise click.UsageError(
                    f"Expected IMAGE and TARGET, or images and -o, found {len(images)} paths."
                )
            images, output = images[:1], images[1]
        return command(images=images, output=output, **named)

    return called


@click.command(name="convert", cls=SectionedCommand)
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE TARGET | IMAGES... -o FOLDER/")
@_last_is_target
@placing_options
@batch_options(
    "Folder for the results, which are named after IMAGES; or a file, or -.",
    None,
    in_folders="png",
)
def convert_command(images: tuple[Path, ...], placing: Placing, batch: Batch) -> None:
    """Write IMAGE as TARGET, whose extension chooses the format; prompt and seed go along.

    Either may be -, standard input or output. Frames of an animation become layers of a .psd, .ora or .zip.
    With -o FOLDER/ there may be several IMAGES, and folders of them.

    \b
    pellucid convert drawings/ cat.psd -o web/ --format webp --trim
    """  # noqa: D301 - click keeps the lines after this character
    placing.check()

    def convert(image: Path, target: Path) -> "tuple[Scene, dict[str, object]]":
        scene = placing.apply(batch.inputs.open(image, target), target)
        return scene, {"layers": len(scene.layers)}

    batch.run(images, lambda image: image.with_suffix(".png"), convert)
