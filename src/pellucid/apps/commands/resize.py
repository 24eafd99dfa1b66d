"""`resize`: images made larger or smaller, brought into a box, or into the icons of a web site."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pellucid.apps.commands.batches import Batch, batch_options, named_like
from pellucid.apps.commands.inputs import expand_folders
from pellucid.apps.commands.options import PATH, gathered
from pellucid.apps.commands.placing import Placing, placing_options
from pellucid.apps.commands.runs import make_folder
from pellucid.apps.sections import SectionedCommand, option
from pellucid.errors import InputError, PellucidError
from pellucid.files.extensions import IN_LAYERS, LAYERED

if TYPE_CHECKING:
    from pellucid.rgba.types import AnyArray
    from pellucid.scene.scene import Scene

ICON_FILES = (("apple-touch-icon", 180), ("icon-192", 192), ("icon-512", 512))
FAVICON_SIDES = (16, 32, 48)


class Sides(click.ParamType[tuple[int | None, int | None]]):
    """Reads WxH, Wx or xH as (height, width), pixels; None is a side that follows in proportion."""

    name = "WxH"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int | None, int | None]:
        match = re.fullmatch(r"(\d{0,9})[xX×](\d{0,9})", str(value), re.ASCII)
        sides = [int(text) if text else None for text in match.groups()] if match else []
        if not any(sides) or 0 in sides:
            self.fail(f"expected 64x96, 64x or x96, found {value!r}.", param, ctx)
        return sides[1], sides[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resizing:
    """Values of `resizing_options`: how large results are."""

    size: tuple[int | None, int | None] | None
    scale: float | None
    proportions: Literal["fit", "crop", "stretch"]
    equal_scale: bool
    favicons: bool
    background: str

    def check(self, placing: Placing) -> None:
        """Refuses options that say nothing, or two things at once."""
        wishes = {
            "--size": self.size is not None,
            "--scale": self.scale is not None,
            "--fit": placing.fit is not None,
            "--favicons": self.favicons,
        }
        given = [name for name, is_given in wishes.items() if is_given]
        if len(given) != 1:
            raise click.UsageError(
                f"Expected one of {', '.join(wishes)}, found {' and '.join(given) or 'none'}."
            )
        if placing.margin is not None and given[0] in ("--size", "--scale"):
            raise click.UsageError("--margin is for --fit and --favicons. `pellucid convert` takes it alone.")
        if self.equal_scale and placing.fit is None:
            raise click.UsageError("--equal-scale is for --fit.")
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise InputError(f"Expected a --scale above 0, found {self.scale:g}. 2 doubles each side.")
        placing.check()

    def target_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the size of the result of an image, (height, width); for `size` and `scale`."""
        height, width = size
        if self.size is None:
            factors = [self.scale or 1.0] * 2
        else:
            known = [wanted / side for wanted, side in zip(self.size, size, strict=True) if wanted]
            factors = [known[0], known[-1]]
        return max(round(height * factors[0]), 1), max(round(width * factors[1]), 1)


resizing_options = gathered(
    "resizing",
    Resizing,
    (
        option(
            "Size", "--size", type=Sides(), help="Width and height, px; 800x or x600 keeps the proportions."
        ),
        option("Size", "--scale", type=float, metavar="FACTOR", help="Factor for both sides, such as 0.5."),
        option(
            "Size",
            "--proportions",
            type=click.Choice(["fit", "crop", "stretch"]),
            default="fit",
            show_default=True,
            help="Where --size has others than the image: fit shows all, with a clear border; crop fills the "
            "size and cuts what is over; stretch keeps none.",
        ),
        option(
            "Placing",
            "--equal-scale",
            is_flag=True,
            help="Let --fit scale all IMAGES alike, so that what is small beside others stays so.",
        ),
        option(
            "Icons",
            "--favicons",
            is_flag=True,
            help="Write the icons of a web site into the folder -o: favicon.ico and PNGs of 16, 32, 48, 180, "
            "192 and 512 px; --margin is meant of the largest.",
        ),
        option(
            "Icons",
            "--background",
            metavar="#RRGGBB",
            default="#ffffff",
            show_default=True,
            help="Colour beneath apple-touch-icon.png, which telephones would show on black.",
        ),
    ),
)
"""Adds the options of sizes; the command gets them as `resizing`."""


@click.command(name="resize", cls=SectionedCommand)
@click.argument("images", type=PATH, nargs=-1, required=True)
@resizing_options
@placing_options
@batch_options("File to write, -, or a folder.  [default: IMAGE's name, -resized]")
def resize_command(images: tuple[Path, ...], resizing: Resizing, placing: Placing, batch: Batch) -> None:
    """Make IMAGES, files or folders, larger or smaller; colour under clear pixels never shows.

    Documents are laid flat.

    \b
    pellucid resize photo.png --size 800x
    pellucid resize icons/ --fit 512x512 --margin 32 --equal-scale -o set/
    pellucid resize logo.png --favicons -o site/
    """  # noqa: D301 - click keeps the lines after this character
    resizing.check(placing)
    if resizing.favicons:
        _write_favicons(images, resizing, placing, batch)
        return
    found = expand_folders(images)
    scale = _common_scale(found, placing, batch) if resizing.equal_scale else None

    def resize(image: Path, target: Path) -> "tuple[Scene, dict[str, object]]":
        from pellucid.rgba.placing import fit_visible, trim
        from pellucid.rgba.resizing import fit_rgba
        from pellucid.scene.placing import laid_flat

        scene = batch.inputs.open(image, target)
        _refuse_layers(scene, target)
        pixels = scene.composite()
        if placing.fit is not None:
            return laid_flat(scene, fit_visible(pixels, *placing.fit, placing.margin or 0, scale)), {}
        pixels = trim(pixels) if placing.trim else pixels
        size = resizing.target_size(pixels.shape[:2])
        batch.inputs.check_size(*size)
        return laid_flat(scene, fit_rgba(pixels, *size, resizing.proportions)), {}

    batch.run(images, _default_name, resize)


def _default_name(image: Path) -> Path:
    named = named_like(image, "resized")
    # results are flat
    return named.with_suffix(".png") if named.suffix.lower() in LAYERED else named


def _refuse_layers(scene: "Scene", target: Path) -> None:
    if len(scene.layers) > 1 and target.suffix.lower() in IN_LAYERS:
        raise InputError(
            f"Expected one layer to resize, found {len(scene.layers)}, which {target} would keep. Write a "
            ".png instead."
        )


def _common_scale(found: Sequence[Path], placing: Placing, batch: Batch) -> float:
    """Returns the largest factor with which all images fit; those that cannot be read are told later."""
    from pellucid.rgba.placing import common_scale

    canvas = placing.fit
    if canvas is None:
        return 1.0
    factors: list[float] = []
    for image in found:
        try:
            factors.append(common_scale([batch.inputs.flat(image)], *canvas, placing.margin or 0))
        except PellucidError:
            continue
    return min(factors, default=1.0)


def _write_favicons(images: Sequence[Path], resizing: Resizing, placing: Placing, batch: Batch) -> None:
    """Writes the icons of a web site and prints their paths, or JSON."""
    from pellucid.files.atomic import write_atomically
    from pellucid.files.icon_writing import encode_icon
    from pellucid.files.images import encode_image
    from pellucid.rgba.compositing import parse_colour
    from pellucid.rgba.placing import fit_square
    from pellucid.scene.scene import Scene

    found = expand_folders(images)
    folder = batch.output.path
    if len(found) != 1 or folder is None or not batch.output.is_folder:
        raise click.UsageError("--favicons makes the icons of one image in a folder, such as -o site/")
    # for its errors alone, before any work
    parse_colour(resizing.background)
    scene = batch.inputs.open(found[0])
    rgba, margin = scene.composite(), 0 if placing.trim and placing.margin is None else placing.margin

    def png(side: int) -> "AnyArray":
        return fit_square(rgba, side, margin)

    contents = {"favicon.ico": encode_icon(rgba, FAVICON_SIDES, margin)}
    for side in FAVICON_SIDES:
        contents[f"favicon-{side}x{side}.png"] = encode_image(png(side), metadata=scene.provenance)
    for name, side in ICON_FILES:
        icon = Scene.of(png(side))
        pixels = icon.composite(resizing.background if name == "apple-touch-icon" else None)
        contents[f"{name}.png"] = encode_image(pixels, metadata=scene.provenance)
    make_folder(folder)
    written: list[str] = []
    for name, content in contents.items():
        if not (batch.skip_existing and (folder / name).exists()):
            write_atomically(folder / name, content)
            written.append(str(folder / name))
    if batch.as_json:
        rows = [{"path": path} for path in written]
        click.echo(json.dumps({"pictures": rows, **batch.inputs.said()}, ensure_ascii=False))
    else:
        click.echo("\n".join(written))
