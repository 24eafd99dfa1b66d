"""`clean`: repairs and counts defects of alpha and of the colour of edges."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.batches import Batch, batch_options, named_like
from pellucid.apps.commands.inputs import stem_of
from pellucid.apps.commands.options import PATH
from pellucid.apps.commands.placing import Placing, placing_options
from pellucid.apps.sections import SectionedCommand, option
from pellucid.apps.terminal import printable
from pellucid.progress import announce

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene


@click.command(name="clean", cls=SectionedCommand)
@click.argument("images", type=PATH, nargs=-1, required=True)
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
@placing_options
@batch_options("File to write, -, or a folder.  [default: IMAGE's name, -clean]")
def clean_command(
    images: tuple[Path, ...],
    noise_threshold: int,
    speckle_share: float,
    foreground: str,
    background: str | None,
    rim: str,
    rim_width: int | None,
    open_holes: bool,
    placing: Placing,
    batch: Batch,
) -> None:
    """Clean IMAGES, files or folders, each layer of them; say what was done, and print the paths.

    --json adds scores from before and after.
    """
    from pellucid.rgba.cleanup import Cleaning
    from pellucid.scene.cleanup import clean_scene

    placing.check()
    chosen = Cleaning(
        noise_threshold=noise_threshold,
        speckle_share=speckle_share,
        foreground=foreground,
        background=background,
        rim=rim,
        rim_width=rim_width,
        open_holes=open_holes,
    )

    def clean(image: Path, target: Path) -> "tuple[Scene, dict[str, object]]":
        scene, scores = clean_scene(batch.inputs.open(image, target), chosen)
        for each in () if batch.as_json else scores:
            # the only layer of an image is called as its file
            name = each.name if len(scores) == 1 or [*images] == [image] else f"{stem_of(image)}, {each.name}"
            # not on stdout, where scripts read the path
            announce(printable(f"{name}: {each.done.words()}"), sys.stderr)
        return placing.apply(scene, target), {"layers": [score.as_dict() for score in scores]}

    batch.run(images, lambda image: named_like(image, "clean"), clean)
