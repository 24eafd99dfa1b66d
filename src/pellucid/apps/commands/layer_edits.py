"""Edits of layers from the command line: `layers FILE --replace`, `--move` and others, `composite --at`."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

import click

from pellucid.apps.commands.inputs import Inputs, beside, layer_name, stem_of
from pellucid.apps.commands.names import write_result
from pellucid.apps.commands.options import PATH, check_target, gathered
from pellucid.apps.sections import option
from pellucid.apps.terminal import tell

if TYPE_CHECKING:
    from pellucid.rgba.blend_modes import BlendMode
    from pellucid.scene.scene import Scene
    from pellucid.scene.stacking import PlacedScene

T = TypeVar("T")
SECTION = "Layers to edit"
NORMAL: "BlendMode" = "normal"


class Point(click.ParamType[tuple[int, int]]):
    """Reads X,Y as (left, top), pixels of the canvas; both may be negative."""

    name = "X,Y"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        match = re.fullmatch(r"\s*([+-]?\d{1,9})\s*,\s*([+-]?\d{1,9})\s*", str(value), re.ASCII)
        if match is None:
            self.fail(f"expected X,Y such as 10,-4, found {value!r}.", param, ctx)
        return int(match[1]), int(match[2])


class Opacity(click.ParamType[float]):
    """Reads an opacity: 0.5 or 50%."""

    name = "VALUE"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            number = float("nan")
        if not 0 <= number <= 1:
            self.fail(f"expected 0 to 1, or 0% to 100%, found {value!r}.", param, ctx)
        return number


class Blend(click.ParamType["BlendMode"]):
    """Reads the name of a blend mode, whose words may be joined by "-" or "_"."""

    name = "MODE"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> "BlendMode":
        from pellucid.scene.layer import MODES

        mode = str(value).lower().replace("-", "_")
        if mode not in MODES:
            self.fail(f"expected {', '.join(MODES)}, found {value!r}.", param, ctx)
        return cast("BlendMode", mode)


class LayerEdits(TypedDict):
    """Values of `edit_options`."""

    replacements: tuple[tuple[str, Path], ...]
    removals: tuple[str, ...]
    moves: tuple[tuple[str, tuple[int, int]], ...]
    renamings: tuple[tuple[str, str], ...]
    opacities: tuple[tuple[str, float], ...]
    order: tuple[str, ...]
    whole_canvas: bool


edit_options = gathered(
    "edits",
    LayerEdits,
    (
        option(
            SECTION,
            "--replace",
            "replacements",
            type=(str, PATH),
            multiple=True,
            metavar="NAME IMAGE",
            help="Put IMAGE in the place of a layer of FILE, fitted into its rectangle; its looks stay.",
        ),
        option(
            SECTION, "--remove", "removals", multiple=True, metavar="NAME", help="Take a layer or group out."
        ),
        option(
            SECTION,
            "--move",
            "moves",
            type=(str, Point()),
            multiple=True,
            metavar="NAME X,Y",
            help="Move a layer or group to this column and row.",
        ),
        option(
            SECTION,
            "--rename",
            "renamings",
            type=(str, str),
            multiple=True,
            metavar="OLD NEW",
            help="Call a layer or group otherwise.",
        ),
        option(
            SECTION,
            "--opacity",
            "opacities",
            type=(str, Opacity()),
            multiple=True,
            metavar="NAME VALUE",
            help="Set the opacity of a layer or group, 0 to 1 or 0% to 100%.",
        ),
        option(
            SECTION,
            "--order",
            multiple=True,
            metavar="NAMES",
            help="Names, lowest first, between commas or in several options: these layers share their places "
            "out in this order.",
        ),
        option(
            SECTION,
            "--whole-canvas",
            is_flag=True,
            help="With a folder to write: each image as large as the canvas, its layer in its place.",
        ),
    ),
)
"""Adds the options that edit a document; the command gets them as `edits`."""


class Placement(TypedDict):
    """Values of `placement_options`: the last value belongs to the last image, and so on downwards."""

    places: tuple[tuple[int, int], ...]
    opacities: tuple[float, ...]
    blend_modes: "tuple[BlendMode, ...]"


placement_options = gathered(
    "placement",
    Placement,
    (
        option(
            "Composite",
            "--at",
            "places",
            type=Point(),
            multiple=True,
            help="Column and row of an image; the canvas is then the lowest image's. Several belong to the "
            "uppermost images, in their order; so do those of --opacity and --blend.",
        ),
        option(
            "Composite",
            "--opacity",
            "opacities",
            type=Opacity(),
            multiple=True,
            help="0 to 1, or 0% to 100%.",
        ),
        option(
            "Composite",
            "--blend",
            "blend_modes",
            type=Blend(),
            multiple=True,
            help="How colours meet what is below: normal, multiply, screen, overlay, soft_light and others.",
        ),
    ),
)
"""Adds the options that place images over one another; the command gets them as `placement`."""


def stacked(
    images: Sequence[Path], placement: Placement, inputs: Inputs
) -> "tuple[list[PlacedScene], tuple[int, int]]":
    """Returns images to be laid over one another, bottom first, where and as the options say, and the canvas.

    Raises:
        click.UsageError: more values than images.
    """
    from pellucid.scene.stacking import PlacedScene

    count = len(images)
    places = _for_each(placement["places"], (0, 0), count, "--at")
    opacities = _for_each(placement["opacities"], 1.0, count, "--opacity")
    modes: list[BlendMode] = _for_each(placement["blend_modes"], NORMAL, count, "--blend")
    placed = [
        PlacedScene(scene, layer_name(path), (top, left), opacity, mode)
        for path, scene, (left, top), opacity, mode in zip(
            images, inputs.open_all(*images), places, opacities, modes, strict=True
        )
    ]
    # whoever places things on an image wants that image's size
    canvas = [each.scene for each in (placed[:1] if placement["places"] else placed)]
    height, width = max(scene.height for scene in canvas), max(scene.width for scene in canvas)
    for path, each in zip(images, placed, strict=True):
        tell_unseen(path, each.offset, (each.scene.height, each.scene.width), (height, width))
    return placed, (height, width)


def tell_unseen(path: Path, place: tuple[int, int], size: tuple[int, int], canvas: tuple[int, int]) -> None:
    """Tells of an image that was laid wholly outside a canvas.

    Args:
        path: of the image.
        place: its (top, left), px.
        size: its (height, width), px.
        canvas: (height, width), px.
    """
    if not all(-own < at < whole for at, own, whole in zip(place, size, canvas, strict=True)):
        tell(f"{path} lies wholly outside the canvas of {canvas[1]}x{canvas[0]}, and is not seen.")


def _for_each(values: Sequence[T], default: T, count: int, name: str) -> list[T]:
    if len(values) > count:
        raise click.UsageError(
            f"Expected at most one {name} for each of {count} images, found {len(values)}."
        )
    return [*[default] * (count - len(values)), *values]


def check_edits(file: Path | None, edits: LayerEdits, made: bool) -> None:
    """Refuses edits without a document, and a document with layers to make."""
    if file is None and any(edits.values()):
        raise click.UsageError("Name the FILE whose layers are to be edited.")
    if file is not None and made:
        raise click.UsageError(
            "FILE is edited and nothing is made. To make layers on it, give it with --add FILE."
        )


def edit_document(
    file: Path, edits: LayerEdits, output: Path | None, fit: str | None, inputs: Inputs, as_json: bool
) -> None:
    """Applies the edits to FILE, writes the document, or its layers into a folder, and prints the paths."""
    from pellucid.files.extensions import LAYERED

    if output is None and not any(edits.values()):
        raise click.UsageError("Say what to change, such as --move NAME X,Y, or where to write with -o.")
    ending = file.suffix if file.suffix.lower() in LAYERED else ".psd"
    target = output or beside(file, f"{stem_of(file)}-edited{ending}")
    is_folder = target.is_dir() or not target.suffix
    if not is_folder:
        check_target(target)
    scene = _edited(inputs.open(file, Path("x.psd")), edits, fit or "fit", inputs)
    size = {"height": scene.height, "width": scene.width}
    if is_folder:
        paths = scene.save_layers(target, whole_canvas=edits["whole_canvas"])
    else:
        target = write_result(target, scene.save, named=output is not None)
        paths = (target,)
    if as_json:
        shared = {"layers": [layer.name for layer in reversed(scene.layers)], **inputs.said()}
        rows = [{"path": str(path)} for path in paths]
        facts = {"path": str(target), **size, **shared} | ({"files": rows} if is_folder else {})
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    for path in paths:
        click.echo(path)


def _edited(scene: "Scene", edits: LayerEdits, fit: str, inputs: Inputs) -> "Scene":
    """Applies edits so that the names of all of them are those in the file, whatever the order of options."""
    from pellucid.scene.editing import find
    from pellucid.scene.layer import Layer

    start = scene
    for name, (left, top) in edits["moves"]:
        scene = scene.move(name, left=left, top=top)
    for name, opacity in edits["opacities"]:
        scene = scene.with_opacity(name, opacity)
    new_names: dict[str, str] = {}
    for name, path in edits["replacements"]:
        source = inputs.open(path)
        old = find(start.layers, name)
        # under the old name, which other options ask for; its own comes last
        made = Layer(image=source.composite(), name=old.name, provenance=source.provenance)
        scene, new_names[name] = scene.replace(name, made, fit=fit), layer_name(path)
    order = [name for value in edits["order"] for name in _split_names(start, value)]
    scene = scene.reorder(order) if order else scene
    if edits["removals"]:
        scene = scene.without(*(_lasting_name(start, name) for name in edits["removals"]))
    for name, new in (new_names | dict(edits["renamings"])).items():
        scene = scene.rename(_lasting_name(start, name), new)
    return scene


def _split_names(scene: "Scene", value: str) -> list[str]:
    """Returns one name, or several between commas; prompts that layers are named after may have commas."""
    from pellucid.scene.editing import path_of

    known = {name for layer in scene.layers for name in (layer.name, path_of(layer))}
    parts, names = value.split(","), list[str]()
    while parts:
        # the longest run of parts that is a name
        length = next((n for n in range(len(parts), 0, -1) if ",".join(parts[:n]).strip() in known), 1)
        names.append(",".join(parts[:length]).strip())
        parts = parts[length:]
    return names


def _lasting_name(scene: "Scene", name: str) -> str:
    """Returns a name that still means the same layer when others have moved: "#2" counts them."""
    from pellucid.scene.editing import find

    node = find(scene.layers, name)
    alike = [layer for layer in scene.layers if layer.name == node.name]
    return node.name if len(alike) <= 1 else name
