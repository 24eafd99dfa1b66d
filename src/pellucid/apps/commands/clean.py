"""`clean`: repairs and counts defects of alpha and of the colour of edges."""

import json
from pathlib import Path

import click

from pellucid.apps.commands.inputs import Inputs, beside, is_pipe_name, reads_images, stem_of
from pellucid.apps.commands.options import JSON, PATH, check_target
from pellucid.apps.commands.outputs import output_option
from pellucid.apps.sections import SectionedCommand, option
from pellucid.apps.terminal import printable


@click.command(name="clean", cls=SectionedCommand)
@click.argument("image", type=PATH)
@output_option("File to write, or -.  [default: IMAGE's name, -clean]", "png")
@option(
    "Alpha",
    "--noise-threshold",
    formerly=["--dirt"],
    type=int,
    default=8,
    show_default=True,
    help="Alpha within this many levels of 0 or 255 becomes 0 or 255; 0 changes none.",
)
@option(
    "Alpha",
    "--speckle-share",
    formerly=["--small"],
    type=float,
    default=1e-4,
    show_default=True,
    help="Largest speck to remove and hole to fill, as a share of the image; 0 leaves them.",
)
@option(
    "Colour of edges",
    "--foreground",
    type=click.Choice(["auto", "estimate", "keep"]),
    default="auto",
    show_default=True,
    help="auto takes out one background colour if it explains the edges; estimate lets pymatting estimate "
    "their colour, from a photograph that is still there under transparent pixels (its first use compiles "
    "for half a minute); keep changes nothing.",
)
@option(
    "Colour of edges",
    "--background",
    metavar="#RRGGBB",
    help="Colour that is mixed into the edges.  [default: measured, if there is one]",
)
@option(
    "Opaque pixels",
    "--rim",
    type=click.Choice(["keep", "shrink", "defringe"]),
    default="keep",
    show_default=True,
    help="Opaque pixels at the edge that show the background: shrink takes them away, defringe gives them "
    "the colour further inside.",
)
@option(
    "Opaque pixels",
    "--rim-width",
    type=int,
    metavar="PX",
    help="Width of that rim.  [default: measured where the background is known, else 1]",
)
@option(
    "Opaque pixels",
    "--holes",
    "open_holes",
    is_flag=True,
    help="Make enclosed areas of the colour of --background transparent.",
)
@reads_images
@JSON
def clean_command(
    image: Path,
    output: Path | None,
    noise_threshold: int,
    speckle_share: float,
    foreground: str,
    background: str | None,
    rim: str,
    rim_width: int | None,
    open_holes: bool,
    inputs: Inputs,
    as_json: bool,
) -> None:
    """Clean IMAGE, each layer of it, say what was done, and print the path.

    --json adds scores from before and after.
    """
    from pellucid.rgba.cleanup import Cleaning
    from pellucid.scene.cleanup import clean_scene

    target = output or default_path(image)
    check_target(target)
    chosen = Cleaning(
        noise_threshold=noise_threshold,
        speckle_share=speckle_share,
        foreground=foreground,
        background=background,
        rim=rim,
        rim_width=rim_width,
        open_holes=open_holes,
    )
    scene, scores = clean_scene(inputs.open(image, target), chosen)
    with inputs.noting():
        scene.save(target)
    facts = {"path": str(target), "height": scene.height, "width": scene.width}
    facts |= {"layers": [score.as_dict() for score in scores]}
    for each in () if as_json else scores:
        # not on stdout, where scripts read the path
        click.echo(f"{printable(each.name)}: {each.done.words()}", err=True)
    click.echo(json.dumps({**facts, **inputs.said()}, ensure_ascii=False) if as_json else target)


def default_path(image: Path) -> Path:
    """Returns the name of the cleaned file: `x.psd` becomes `x-clean.psd`."""
    from pellucid.files.images import FORMATS, READ_ONLY

    # what is only read has its result in a PNG
    ending = image.suffix.lower()
    is_png = FORMATS.get(ending) in READ_ONLY or ending == ".psb" or is_pipe_name(image)
    return beside(image, f"{stem_of(image)}-clean{'.png' if is_png else image.suffix}")
