"""`generate` and `vary`: pictures from a sentence, and from a picture and a sentence."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.apps.commands.options import (
    CLEAN,
    JSON,
    PATH,
    SIZE,
    ModelChoice,
    SamplingChoice,
    check_target,
    model_options,
    sampling_options,
)

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene

OUTPUT = click.option(
    "-o",
    "--output",
    type=PATH,
    help="File to write: .png, .webp, .avif, .tiff, .psd, .ora or .zip.  [default: named after PROMPT]",
)
MAX_NAME = 60


@click.command(name="generate")
@click.argument("prompt")
@OUTPUT
@SIZE
@click.option(
    "--hires",
    type=float,
    metavar="STRENGTH",
    help="Make it at the model's own size, enlarge, and repaint this much (try 0.4).",
)
@click.option("--control", type=PATH, help="Picture whose silhouette and edges the result takes (mini).")
@click.option(
    "--control-kind",
    type=click.Choice(["both", "silhouette", "edges"]),
    default="both",
    show_default=True,
    help="What of it.",
)
@click.option("--mend", is_flag=True, help="Make it again where the model painted a background of its own.")
@sampling_options
@model_options
@CLEAN
@JSON
def generate_command(
    prompt: str,
    output: Path | None,
    size: tuple[int, int] | None,
    hires: float | None,
    control: Path | None,
    control_kind: str,
    mend: bool,
    sampling: SamplingChoice,
    choice: ModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Make transparent pictures from PROMPT and print their paths."""
    from pellucid.files.images import read_rgba
    from pellucid.pipelines.arguments import check_size

    target = output or default_path(prompt)
    check_target(target)
    sampling.check(prompt, strength=1.0 if hires is None else hires)
    height, width = size or (None, None)
    if size is not None:
        check_size(*size)
    shape = None if control is None else read_rgba(control)
    pipe: Any = choice.load()
    extra = {"hires_strength": hires, "fix_background": mend, "control": shape, "control_kind": control_kind}
    scenes = pipe.generate([prompt], height=height, width=width, **extra, **sampling.arguments())
    save_and_report(scenes, target, clean=clean, as_json=as_json)


@click.command(name="vary")
@click.argument("picture", type=PATH)
@click.argument("prompt")
@OUTPUT
@click.option("--strength", type=float, default=0.6, show_default=True, help="0 keeps PICTURE, 1 ignores it.")
@sampling_options
@model_options
@CLEAN
@JSON
def vary_command(
    picture: Path,
    prompt: str,
    output: Path | None,
    strength: float,
    sampling: SamplingChoice,
    choice: ModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Repaint PICTURE after PROMPT, transparency included, and print the paths of what came."""
    from pellucid.files.images import read_rgba

    target = output or default_path(prompt)
    check_target(target)
    sampling.check(prompt, strength=strength)
    rgba = read_rgba(picture)
    scenes = choice.load().vary(rgba, [prompt], strength=strength, **sampling.arguments())
    save_and_report(scenes, target, clean=clean, as_json=as_json)


@click.command(name="upscale")
@click.argument("picture", type=PATH)
@click.argument("prompt", default="")
@OUTPUT
@click.option("--scale", type=float, default=2.0, show_default=True, help="Of each side.")
@click.option("--strength", type=float, help="How much is repainted; 0 nothing.  [default: the model's]")
@sampling_options
@model_options
@CLEAN
@JSON
def upscale_command(
    picture: Path,
    prompt: str,
    output: Path | None,
    scale: float,
    strength: float | None,
    sampling: SamplingChoice,
    choice: ModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Enlarge PICTURE, transparency included, and repaint it a little after PROMPT."""
    from pellucid.files.images import read_rgba

    target = output or default_path(f"{picture.stem} larger")
    check_target(target)
    sampling.check(prompt, strength=1.0 if strength is None else strength)
    rgba = read_rgba(picture)
    pipe = choice.load()
    scenes = pipe.upscale(rgba, [prompt], scale=scale, strength=strength, **sampling.arguments())
    save_and_report(scenes, target, clean=clean, as_json=as_json)


@click.command(name="inpaint")
@click.argument("picture", type=PATH)
@click.argument("mask", type=PATH)
@click.argument("prompt")
@OUTPUT
@click.option(
    "--strength", type=float, default=1.0, show_default=True, help="1 ignores what is under MASK now."
)
@sampling_options
@model_options
@CLEAN
@JSON
def inpaint_command(
    picture: Path,
    mask: Path,
    prompt: str,
    output: Path | None,
    strength: float,
    sampling: SamplingChoice,
    choice: ModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Repaint PICTURE where MASK is white, after PROMPT, and print the paths of what came."""
    from pellucid.files.images import read_rgba
    from pellucid.pipelines.inpainting import to_mask

    target = output or default_path(prompt)
    check_target(target)
    sampling.check(prompt, strength=strength)
    rgba, area = read_rgba(picture), read_rgba(mask)
    to_mask(area, rgba)
    pipe = choice.load()
    scenes = pipe.inpaint(rgba, area, [prompt], strength=strength, **sampling.arguments())
    save_and_report(scenes, target, clean=clean, as_json=as_json)


def default_path(prompt: str, ending: str = ".png") -> Path:
    """A file name out of the prompt's words that is free: `a-glass-bottle.png`, `a-glass-bottle-2.png`."""
    stem = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-_")[:MAX_NAME].strip("-_") or "picture"
    while len(stem.encode()) > 4 * MAX_NAME:
        stem = stem[:-1]
    path, number = Path(f"{stem}{ending}"), 1
    while path.exists() or numbered(path, 1).exists():
        number += 1
        path = Path(f"{stem}-{number}{ending}")
    return path


def numbered(path: Path, number: int) -> Path:
    """`honey.png` to `honey-001.png`."""
    return path.with_name(f"{path.stem}-{number:03d}{path.suffix}")


def write_all(scenes: "Scene | list[Scene]", target: Path) -> list[tuple[Path, "Scene"]]:
    """Saves one picture as `target`, several as numbered ones."""
    listed = scenes if isinstance(scenes, list) else [scenes]
    paths = [target] if len(listed) == 1 else [numbered(target, i) for i in range(1, len(listed) + 1)]
    return [(scene.save(path), scene) for path, scene in zip(paths, listed, strict=True)]


def save_and_report(scenes: "Scene | list[Scene]", target: Path, *, clean: bool, as_json: bool) -> None:
    """`write_all` and `report`, of cleaned pictures if that is wanted."""
    from pellucid.scene.cleanup import clean_scenes

    found, facts = clean_scenes(scenes if isinstance(scenes, list) else [scenes], wanted=clean)
    report(write_all(found, target), as_json, facts)


def report(
    written: Sequence[tuple[Path, "Scene"]], as_json: bool, more: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Prints paths, a line each, or everything as JSON, with `more` facts about each picture."""
    if not as_json:
        for path, _ in written:
            click.echo(path)
        return
    pictures = [
        {"path": str(path), "height": scene.height, "width": scene.width}
        | (scene.provenance.as_dict() if scene.provenance else {})
        | dict(facts)
        for (path, scene), facts in zip(written, more or [{}] * len(written), strict=True)
    ]
    click.echo(json.dumps({"pictures": pictures}, ensure_ascii=False))
