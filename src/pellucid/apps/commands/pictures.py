"""`show`, `pad`, `composite`, `convert`: what can be done with pictures alone, without a model."""

import json
from pathlib import Path
from typing import Any

import click

from pellucid.apps.commands.options import JSON, PATH, Command, check_target


def _output(default: str) -> Command:
    text = f"File to write; its ending chooses the format.  [default: {default}]"
    return click.option("-o", "--output", type=PATH, help=text)


def _report(as_json: bool, path: Path, **facts: object) -> None:
    click.echo(json.dumps({"path": str(path), **facts}, ensure_ascii=False) if as_json else str(path))


@click.command(name="show")
@click.argument("picture", type=PATH)
@JSON
def show_command(picture: Path, as_json: bool) -> None:
    """Show what is inside PICTURE: size, alpha, prompt, seed, model."""
    from pellucid.rgba.io import read_picture

    found = read_picture(picture)
    alpha = found.rgba[..., 3]
    facts: dict[str, Any] = {
        "path": str(picture),
        "format": found.format,
        "height": alpha.shape[0],
        "width": alpha.shape[1],
        "transparent": round(float((alpha == 0).mean()), 4),
        "partial": round(float(((alpha > 0) & (alpha < 255)).mean()), 4),
        "opaque": round(float((alpha == 255).mean()), 4),
    }
    if found.provenance is not None:
        facts |= found.provenance.as_dict()
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        click.echo(
            f"{name}: {value:.2%}" if name in ("transparent", "partial", "opaque") else f"{name}: {value}"
        )


@click.command(name="pad")
@click.argument("picture", type=PATH)
@_output("PICTURE's name, -padded.png")
@click.option("--truncate", is_flag=True, help="Drop fractions of a level, as the released code does.")
@JSON
def pad_command(picture: Path, output: Path | None, truncate: bool, as_json: bool) -> None:
    """Extend the colour of PICTURE under its transparent pixels; the result is opaque."""
    import numpy as np

    from pellucid.rgba.io import read_picture, write_picture
    from pellucid.rgba.padding import pad_rgb
    from pellucid.rgba.quantization import to_bytes

    target = output or picture.with_name(f"{picture.stem}-padded.png")
    check_target(target)
    found = read_picture(picture)
    rgb = to_bytes(pad_rgb(found.rgba), truncate=truncate)
    write_picture(np.dstack([rgb, np.full_like(rgb[..., 0], 255)]), target, metadata=found.provenance)
    _report(as_json, target, height=rgb.shape[0], width=rgb.shape[1])


@click.command(name="composite")
@click.argument("pictures", type=PATH, nargs=-1, required=True)
@_output("composite.png")
@click.option(
    "--background", metavar="#RRGGBB", help="Opaque colour beneath; without it, transparency stays."
)
@click.option("--linear", is_flag=True, help="Mix in linear light instead of on sRGB values.")
@JSON
def composite_command(
    pictures: tuple[Path, ...], output: Path | None, background: str | None, linear: bool, as_json: bool
) -> None:
    """Lay PICTURES over one another, bottom first, from the top left corner."""
    from pellucid.rgba.io import read_rgba, write_picture
    from pellucid.scene.scene import Layer, Scene

    target = output or Path("composite.png")
    layered = target.suffix.lower() == ".zip"
    if layered and (background or linear):
        raise click.UsageError(
            "--background and --linear flatten; a .zip keeps layers. Choose another ending."
        )
    check_target(target)
    layers = tuple(Layer(image=read_rgba(picture), name=picture.stem) for picture in pictures)
    height, width = (max(layer.image.shape[axis] for layer in layers) for axis in (0, 1))
    scene = Scene(layers=layers, height=height, width=width)
    if layered:
        scene.save(target)
    else:
        write_picture(scene.composite(background, linear=linear), target)
    _report(as_json, target, height=height, width=width, layers=len(layers))


@click.command(name="convert")
@click.argument("picture", type=PATH)
@click.argument("target", type=PATH)
@JSON
def convert_command(picture: Path, target: Path, as_json: bool) -> None:
    """Write PICTURE as TARGET, whose ending chooses the format; prompt and seed go along."""
    from pellucid.scene.scene import Scene

    scene = Scene.open(picture)
    scene.save(target)
    _report(as_json, target, height=scene.height, width=scene.width, layers=len(scene.layers))
