"""`sheet`: many images on one, for a game engine with an atlas, or for people with their names."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from pellucid.apps.commands.inputs import Inputs, expand_folders, layer_name, reads_images
from pellucid.apps.commands.options import JSON, PATH, Size, check_target
from pellucid.apps.commands.outputs import output_option
from pellucid.apps.sections import SectionedCommand, option
from pellucid.errors import FileError
from pellucid.files.names import named_after
from pellucid.progress import track

if TYPE_CHECKING:
    from pellucid.rgba.sprite_sheets import Grid, Sprite
    from pellucid.rgba.types import AnyArray


class _Named(NamedTuple):
    """A sprite under the name that programs find it by."""

    name: str
    sprite: "Sprite"
    duration_ms: int | None


@click.command(name="sheet", cls=SectionedCommand)
@click.argument("images", type=PATH, nargs=-1, required=True)
@output_option("File to write.  [default: sheet.png]", "png", ("png", "webp", "avif", "tiff"))
@option(
    "Output",
    "--atlas",
    type=PATH,
    help="JSON that says where each image lies.  [default: the sheet's name, .json]",
)
@option("Sheet", "--columns", type=click.IntRange(1), help="Cells in a row.  [default: about square]")
@option(
    "Sheet",
    "--cell",
    type=Size(),
    help="Size of a cell, px; larger images are reduced to it.  [default: that of the largest image]",
)
@option("Sheet", "--trim", is_flag=True, help="Cut away what is wholly clear around each image first.")
@option(
    "Sheet",
    "--padding",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="PX",
    help="Clear pixels on every side of each cell, so that neighbours never bleed into one another.",
)
@option("Sheet", "--power-of-two", is_flag=True, help="Make each side 2, 4, 8 … pixels, clear what is over.")
@option(
    "Sheet",
    "--labels",
    is_flag=True,
    help="Draw a contact sheet for people: on a checkerboard, the name beneath each, and no atlas.",
)
@reads_images
@JSON
def sheet_command(
    images: tuple[Path, ...],
    output: Path | None,
    atlas: Path | None,
    columns: int | None,
    cell: tuple[int, int] | None,
    trim: bool,
    padding: int,
    power_of_two: bool,
    labels: bool,
    inputs: Inputs,
    as_json: bool,
) -> None:
    """Lay IMAGES, files or folders, on one sheet in even cells, with a JSON atlas that game engines read.

    Frames of an animation have a cell each; documents are laid flat.

    \b
    pellucid sheet sprites/ -o sprites.png --trim --padding 2
    pellucid sheet photos/ -o overview.png --labels --cell 256x256
    """  # noqa: D301 - click keeps the lines after this character
    if labels and (atlas is not None or power_of_two):
        raise click.UsageError("--labels draws for people. Leave out --atlas and --power-of-two, or it.")
    target = output or Path("sheet.png")
    wanted = atlas is not None
    atlas = None if labels else (atlas or target.with_suffix(".json"))
    check_target(target)
    if atlas is not None:
        check_target(atlas, image=False)
        if named_after(target.name) != target.name:
            raise FileError(
                f"Expected a name that is text, for the atlas, found {target.name!r}. Choose another."
            )
        _spare_other_json(atlas, wanted=wanted)
    found = _without_results(images, target, atlas)
    sprites = _read(found, inputs, trim, cell)
    sizes = [each.sprite.image.shape[:2] for each in sprites]
    cell = cell or (max(height for height, _ in sizes), max(width for _, width in sizes))
    from pellucid.rgba.sprite_sheets import Grid, draw_sheet
    from pellucid.scene.scene import Scene

    grid = Grid.of(len(sprites), cell, columns=columns, padding=padding, power_of_two=power_of_two)
    inputs.check_size(*grid.size)
    sheet = _contact_sheet(sprites, grid) if labels else draw_sheet([each.sprite for each in sprites], grid)
    Scene.of(sheet, name=layer_name(target)).save(target)
    if atlas is not None:
        _write_atlas(sprites, grid, target, atlas)
    facts = {
        "height": sheet.shape[0],
        "width": sheet.shape[1],
        "columns": grid.columns,
        "images": len(sprites),
    }
    _report(as_json, target, atlas, {**facts, "cell": list(cell), **inputs.said()})


def _spare_other_json(atlas: Path, *, wanted: bool) -> None:
    """Raises FileError where a name that nobody gave is that of something else, such as a package.json."""
    if wanted or not atlas.exists():
        return
    try:
        content = json.loads(atlas.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    if not (isinstance(content, dict) and {"frames", "meta"} <= content.keys()):
        raise FileError(
            f"Expected {atlas} free for the atlas, found a file of another kind. Name one with --atlas."
        )


def _report(as_json: bool, target: Path, atlas: Path | None, facts: dict[str, object]) -> None:
    if as_json:
        beside = {"atlas": str(atlas)} if atlas else {}
        click.echo(json.dumps({"path": str(target), **beside, **facts}, ensure_ascii=False))
        return
    for path in (target, atlas):
        if path is not None:
            click.echo(str(path))


def _without_results(images: Sequence[Path], target: Path, atlas: Path | None) -> list[Path]:
    """Returns the images to lay on a sheet; that of an earlier run in a folder is no image of it.

    Raises:
        FileError: the sheet or its atlas would be written over one of the images, or over one another.
    """
    results = {path.resolve(): path for path in (target, atlas) if path is not None}
    if atlas is not None and len(results) < 2:
        raise FileError(f"Expected two files to write, found {target} for both. Choose another --atlas.")
    for image in images:
        if image.resolve() in results:
            raise FileError(
                f"Expected results apart from the images, found {image} in both. Choose another -o."
            )
    found = [image for image in expand_folders(images) if image.resolve() not in results]
    if not found:
        raise FileError(f"Expected images for a sheet, found only the sheet {target}. Name other images.")
    return found


def _read(found: Sequence[Path], inputs: Inputs, trim: bool, cell: tuple[int, int] | None) -> list[_Named]:
    from pellucid.files.names import unique_stems
    from pellucid.rgba.sprite_sheets import make_sprites

    stems = unique_stems([layer_name(image) for image in found])
    sprites: list[_Named] = []
    pairs = list(zip(found, stems, strict=True))
    for image, stem in track(pairs, total=len(pairs), label="images", unit="image"):
        pixels, durations = _frames(image, inputs)
        names = [stem] if len(pixels) == 1 else [f"{stem}-{number + 1:03d}" for number in range(len(pixels))]
        sprites += map(_Named, names, make_sprites(pixels, trimmed=trim, largest=cell), durations)
    return sprites


def _frames(image: Path, inputs: Inputs) -> "tuple[list[AnyArray], Sequence[int | None]]":
    """Reads the images of a file, several of an animation, and how long each is shown, ms."""
    document = inputs.document(image)
    if not document.durations_ms:
        return [document.scene.composite()], [None]
    return [layer.image for layer in document.scene.layers], document.durations_ms


def _contact_sheet(sprites: Sequence[_Named], grid: "Grid") -> "AnyArray":
    """Draws sprites with their names, for people: uint8 (h, w, 4), opaque."""
    from pellucid.rgba.compositing import opaque
    from pellucid.rgba.preview import contact_sheet
    from pellucid.rgba.sprite_sheets import Grid, draw_sheet

    alone = Grid.of(1, grid.cell)
    rgb = contact_sheet(
        [draw_sheet([each.sprite], alone) for each in sprites],
        columns=grid.columns,
        labels=[each.name for each in sprites],
        gap_px=2 * grid.padding or 8,
    )
    return opaque(rgb)


def _write_atlas(sprites: Sequence[_Named], grid: "Grid", sheet: Path, atlas: Path) -> None:
    from pellucid.files.atlas import Frame, encode_atlas
    from pellucid.files.atomic import write_atomically

    frames: list[Frame] = []
    for index, (name, sprite, duration_ms) in enumerate(sprites):
        height, width = sprite.image.shape[:2]
        top, left = grid.place(index, (height, width))
        frames.append(
            Frame(name, top, left, height, width, sprite.source_size, sprite.source_offset, duration_ms)
        )
    # engines look for the sheet from where the atlas lies
    relative = Path(os.path.relpath(sheet, atlas.parent))
    write_atomically(atlas, encode_atlas(frames, relative.as_posix(), grid.size))
