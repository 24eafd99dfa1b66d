"""`clean`: faults of alpha and of edge colour, mended and counted."""

import json
from pathlib import Path

import click

from pellucid.apps.commands.options import JSON, PATH, check_target


@click.command(name="clean")
@click.argument("picture", type=PATH)
@click.option("-o", "--output", type=PATH, help="File to write.  [default: PICTURE's name, -clean]")
@click.option(
    "--dirt",
    type=int,
    default=8,
    show_default=True,
    help="Levels off 0 or 255 at which alpha is snapped; 0 snaps none.",
)
@click.option(
    "--small",
    type=float,
    default=1e-4,
    show_default=True,
    help="Largest speck to remove and hole to fill, as a share of the picture; 0 leaves them.",
)
@click.option(
    "--foreground",
    type=click.Choice(["auto", "estimate", "keep"]),
    default="auto",
    show_default=True,
    help="Colour of edges: take out one background colour if it explains them; let pymatting estimate it "
    "(from a photograph still there under transparent pixels); or leave it.",
)
@click.option(
    "--background",
    metavar="#RRGGBB",
    help="Colour that is mixed into the edges.  [default: found, if there is one]",
)
@JSON
def clean_command(
    picture: Path,
    output: Path | None,
    dirt: int,
    small: float,
    foreground: str,
    background: str | None,
    as_json: bool,
) -> None:
    """Clean PICTURE, each layer of it, and print the path; with --json also scores before and after."""
    from pellucid.rgba.cleanup import Cleaning
    from pellucid.scene.cleanup import clean_scene
    from pellucid.scene.scene import Scene

    target = output or default_path(picture)
    check_target(target)
    chosen = Cleaning(dirt=dirt, small=small, foreground=foreground, background=background)
    scene, scores = clean_scene(Scene.open(picture), chosen)
    scene.save(target)
    facts = {"path": str(target), "height": scene.height, "width": scene.width}
    facts |= {"layers": [each.as_dict() for each in scores]}
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else target)


def default_path(picture: Path) -> Path:
    """`x.psd` to `x-clean.psd`; `.png` where a format is only read."""
    ending = ".png" if picture.suffix.lower() in (".jpg", ".jpeg", ".psb") else picture.suffix
    return picture.with_name(f"{picture.stem}-clean{ending}")
