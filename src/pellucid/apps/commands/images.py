"""`show`, `pad`, `composite`, `convert`: what can be done with pictures alone, without a model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.apps.commands.options import JSON, PATH, Command, check_target

if TYPE_CHECKING:
    from pellucid.scene.layer import Layer


def _output(default: str) -> Command:
    text = f"File to write; its ending chooses the format.  [default: {default}]"
    return click.option("-o", "--output", type=PATH, help=text)


def _report(as_json: bool, path: Path, **facts: object) -> None:
    click.echo(json.dumps({"path": str(path), **facts}, ensure_ascii=False) if as_json else str(path))


@click.command(name="show")
@click.argument("picture", type=PATH)
@JSON
def show_command(picture: Path, as_json: bool) -> None:
    """Show what is inside PICTURE: size, alpha, prompt, seed, model, and its layers, top first."""
    from pellucid.scene.formats.registry import open_document

    kind, scene = open_document(picture)
    alpha = scene.composite()[..., 3]
    facts: dict[str, Any] = {
        "path": str(picture),
        "format": kind,
        "height": scene.height,
        "width": scene.width,
        "transparent": round(float((alpha == 0).mean()), 4),
        "partial": round(float(((alpha > 0) & (alpha < 255)).mean()), 4),
        "opaque": round(float((alpha == 255).mean()), 4),
    }
    if scene.provenance is not None:
        facts |= scene.provenance.as_dict()
    layers = [_facts_of(layer) for layer in reversed(scene.layers)]
    if as_json:
        click.echo(json.dumps({**facts, "layers": layers}, ensure_ascii=False))
        return
    for name, value in facts.items():
        click.echo(
            f"{name}: {value:.2%}" if name in ("transparent", "partial", "opaque") else f"{name}: {value}"
        )
    for facts in layers if len(layers) > 1 or kind in ("PSD", "ORA", "ZIP") else []:
        click.echo(_line_of(facts))


def _facts_of(layer: "Layer") -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": layer.name,
        "height": layer.image.shape[0],
        "width": layer.image.shape[1],
        "top": layer.offset[0],
        "left": layer.offset[1],
        "opacity": round(layer.opacity, 4),
        "visible": layer.visible,
        "groups": [group.name for group in layer.groups],
    }
    if layer.provenance is not None:
        facts["provenance"] = layer.provenance.as_dict()
    return facts


def _line_of(facts: dict[str, Any]) -> str:
    """A layer in a line: where it is in the groups, its size, place, opacity."""
    name = " / ".join([*facts["groups"], facts["name"]])
    words = f"layer: {name}  {facts['width']}x{facts['height']} at {facts['left']},{facts['top']}"
    hidden = "" if facts["visible"] else "  hidden"
    return words + (f"  {facts['opacity']:.0%}" if facts["opacity"] < 1 else "") + hidden


@click.command(name="pad")
@click.argument("picture", type=PATH)
@_output("PICTURE's name, -padded.png")
@click.option("--truncate", is_flag=True, help="Drop fractions of a level, as the released code does.")
@JSON
def pad_command(picture: Path, output: Path | None, truncate: bool, as_json: bool) -> None:
    """Extend the colour of PICTURE under its transparent pixels; the result is opaque."""
    import numpy as np

    from pellucid.files.images import read_picture
    from pellucid.rgba.padding import pad_rgb
    from pellucid.rgba.quantization import to_bytes
    from pellucid.scene.scene import Scene

    target = output or picture.with_name(f"{picture.stem}-padded.png")
    check_target(target)
    found = read_picture(picture)
    rgb = to_bytes(pad_rgb(found.rgba), truncate=truncate)
    opaque = np.dstack([rgb, np.full_like(rgb[..., 0], 255)])
    Scene.of(opaque, name=picture.stem, provenance=found.provenance).save(target)
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
    """Lay PICTURES over one another, bottom first, from the top left; .psd, .ora, .tiff keep layers."""
    from pellucid.files.extensions import LAYERED, TIFF_ENDINGS
    from pellucid.files.images import read_rgba, write_picture
    from pellucid.scene.layer import Layer
    from pellucid.scene.scene import Scene

    target = output or Path("composite.png")
    ending = target.suffix.lower()
    layered = ending in LAYERED or (ending in TIFF_ENDINGS and not (background or linear))
    if layered and (background or linear):
        raise click.UsageError(
            f"--background and --linear flatten; a {ending} keeps layers. Choose another ending."
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

    check_target(target)
    scene = Scene.open(picture)
    scene.save(target)
    _report(as_json, target, height=scene.height, width=scene.width, layers=len(scene.layers))
