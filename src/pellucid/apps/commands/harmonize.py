"""`harmonize`: a foreground of one's own on a background of one's own, with matching light and a shadow."""

from dataclasses import replace
from pathlib import Path

import click

from pellucid.apps.commands.inputs import Inputs, layer_name, reads_images, stem_of
from pellucid.apps.commands.layer_edits import Opacity, Point, tell_unseen
from pellucid.apps.commands.names import write_document
from pellucid.apps.commands.options import JSON, PATH, check_target
from pellucid.apps.commands.outputs import output_option
from pellucid.apps.sections import SectionedCommand, option


@click.command(name="harmonize", cls=SectionedCommand)
@click.argument("foreground", type=PATH)
@click.argument("background", type=PATH)
@output_option(
    "File to write: .psd, .ora or .zip keep the layers.  [default: both names, .psd]",
    "psd",
)
@option("Place", "--at", type=Point(), help="Column and row of FOREGROUND.  [default: low in the middle]")
@option("Place", "--scale", type=float, help="Factor for FOREGROUND's sides.  [default: 1, or what fits]")
@option(
    "Light",
    "--light",
    type=Opacity(),
    default="0.6",
    show_default=True,
    help="How far colours move towards those around, 0 to 1 or 0% to 100%; 0 leaves the layer out.",
)
@option(
    "Light",
    "--shadow",
    type=Opacity(),
    default="0.6",
    show_default=True,
    help="Opacity of the shadow where it stands; 0 leaves the layer out.",
)
@reads_images
@JSON
def harmonize_command(
    foreground: Path,
    background: Path,
    output: Path | None,
    at: tuple[int, int] | None,
    scale: float | None,
    light: float,
    shadow: float,
    inputs: Inputs,
    as_json: bool,
) -> None:
    """Lay FOREGROUND on BACKGROUND with matching light and a soft shadow, and print the path.

    Both changes are layers of their own, which can be turned off or down in Photoshop, Krita and GIMP.

    \b
    pellucid harmonize cat.png beach.jpg -o scene.psd --at 120,80 --scale 0.5
    """  # noqa: D301 - click keeps the lines after this character
    from pellucid.scene.harmonizing import harmonize

    target = output or Path(f"{stem_of(foreground)}-on-{stem_of(background)}.psd")
    check_target(target)
    below, above = inputs.open(background), inputs.open(foreground)
    if len(below.layers) == 1:
        below = replace(below, layers=(replace(below.layers[0], name=layer_name(background)),))
    if len(above.layers) == 1:
        above = replace(above, layers=(replace(above.layers[0], name=layer_name(foreground)),))
    place = None if at is None else (at[1], at[0])
    scene = harmonize(above, below, at=place, scale=scale, light=light, shadow=shadow)
    # the light on it is clipped to it
    thing = next(layer for layer in reversed(scene.layers) if not layer.clipped)
    tell_unseen(foreground, thing.offset, thing.image.shape[:2], (scene.height, scene.width))
    write_document(target, scene, inputs, named=output is not None, as_json=as_json)
