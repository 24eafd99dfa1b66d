"""`generate` and `vary`: pictures from a sentence, and from a picture and a sentence."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pellucid.pipelines.attach import TransparentPipeline
    from pellucid.scene.scene import Scene

PATH = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])
MODEL_OPTIONS = (
    click.option("--model", default="mini", show_default=True, help="mini, a folder, or a hub id."),
    click.option("--adapter", help="Mode's name or .safetensors file; the model's usual one if left out."),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps."),
    click.option("--dtype", help="float32, float16 or bfloat16; float32 on a CPU if left out."),
)
SAMPLING_OPTIONS = (
    click.option("-o", "--output", type=PATH, help="File to write; .png, .webp, .avif, .tiff or .zip."),
    click.option("--seed", type=int, help="Same seed, same picture; drawn if left out."),
    click.option("--count", type=int, default=1, show_default=True, help="How many pictures."),
    click.option("--steps", type=int, help="Denoising steps; the model's own if left out."),
    click.option("--guidance", type=float, help="How closely to follow the text; 1 is off."),
    click.option("--negative", help="What not to show."),
    click.option("--scheduler", help="Sampler: dpm++-2m-karras, euler-a, unipc, ddim …"),
    click.option(
        "--passes",
        type=click.IntRange(1, 8),
        default=8,
        show_default=True,
        help="Views for alpha: 1, 2, 4, 8.",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON object instead of paths."),
)
MAX_NAME = 60


class Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT to (height, width)."""

    name = "WxH"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        found = re.fullmatch(r"(\d+)[xX×](\d+)", str(value))
        if found is None:
            self.fail(f"expected WIDTHxHEIGHT such as 64x96, found {value!r}.", param, ctx)
        return int(found[2]), int(found[1])


def with_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator out of several, listed in --help in that order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def load_model(model: str, adapter: str | None, device: str, dtype: str | None) -> "TransparentPipeline":
    """The model that the options name."""
    from pellucid.apps.startup import lean_imports

    with lean_imports():
        from pellucid.pipelines.load import load

        return load(model, adapter=adapter, device=device, dtype=dtype)


@click.command(name="generate")
@click.argument("prompt")
@click.option("--size", type=Size(), help="Any size in pixels; the model's own if left out.")
@with_options(*SAMPLING_OPTIONS, *MODEL_OPTIONS)
def generate_command(
    prompt: str,
    size: tuple[int, int] | None,
    output: Path | None,
    seed: int | None,
    count: int,
    steps: int | None,
    guidance: float | None,
    negative: str | None,
    scheduler: str | None,
    passes: int,
    as_json: bool,
    model: str,
    adapter: str | None,
    device: str,
    dtype: str | None,
) -> None:
    """Make transparent pictures from PROMPT and print their paths."""
    target = output or default_path(prompt)
    check_target(target)
    height, width = size or (None, None)
    scenes = load_model(model, adapter, device, dtype).generate(
        [prompt],
        count=count,
        seed=seed,
        negative_prompt=negative,
        height=height,
        width=width,
        num_inference_steps=steps,
        guidance_scale=guidance,
        scheduler=scheduler,
        passes=passes,
    )
    report(write_all(scenes, target), as_json)


@click.command(name="vary")
@click.argument("picture", type=PATH)
@click.argument("prompt")
@click.option("--strength", type=float, default=0.6, show_default=True, help="0 keeps PICTURE, 1 ignores it.")
@with_options(*SAMPLING_OPTIONS, *MODEL_OPTIONS)
def vary_command(
    picture: Path,
    prompt: str,
    strength: float,
    output: Path | None,
    seed: int | None,
    count: int,
    steps: int | None,
    guidance: float | None,
    negative: str | None,
    scheduler: str | None,
    passes: int,
    as_json: bool,
    model: str,
    adapter: str | None,
    device: str,
    dtype: str | None,
) -> None:
    """Repaint PICTURE after PROMPT, transparency included."""
    from pellucid.rgba.io import read_rgba

    target = output or default_path(prompt)
    check_target(target)
    rgba = read_rgba(picture)
    scenes = load_model(model, adapter, device, dtype).vary(
        rgba,
        [prompt],
        strength=strength,
        count=count,
        seed=seed,
        negative_prompt=negative,
        num_inference_steps=steps,
        guidance_scale=guidance,
        scheduler=scheduler,
        passes=passes,
    )
    report(write_all(scenes, target), as_json)


def default_path(prompt: str) -> Path:
    """A file name out of the prompt's words that is free: `a-glass-bottle.png`, `a-glass-bottle-2.png`."""
    stem = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-_")[:MAX_NAME].strip("-_") or "picture"
    while len(stem.encode()) > 4 * MAX_NAME:
        stem = stem[:-1]
    path, number = Path(f"{stem}.png"), 1
    while path.exists() or numbered(path, 1).exists():
        number += 1
        path = Path(f"{stem}-{number}.png")
    return path


def numbered(path: Path, number: int) -> Path:
    """`honey.png` to `honey-001.png`."""
    return path.with_name(f"{path.stem}-{number:03d}{path.suffix}")


def check_target(target: Path) -> None:
    """Refuses, before any work, a folder that is not there or an ending that cannot be written."""
    from pellucid.errors import FileError
    from pellucid.rgba.io import format_of

    if target.suffix.lower() != ".zip":
        format_of(target)
    if not target.parent.is_dir():
        raise FileError(f"Expected a folder {target.parent}, found none. Make it first.")


def write_all(scenes: "Scene | list[Scene]", target: Path) -> list[tuple[Path, "Scene"]]:
    """Saves one picture as `target`, several as numbered ones."""
    listed = scenes if isinstance(scenes, list) else [scenes]
    paths = [target] if len(listed) == 1 else [numbered(target, i) for i in range(1, len(listed) + 1)]
    return [(scene.save(path), scene) for path, scene in zip(paths, listed, strict=True)]


def report(written: Sequence[tuple[Path, "Scene"]], as_json: bool) -> None:
    """Prints paths, a line each, or everything as JSON."""
    if not as_json:
        for path, _ in written:
            click.echo(path)
        return
    pictures = [
        {"path": str(path), "height": scene.height, "width": scene.width}
        | (scene.provenance.as_dict() if scene.provenance else {})
        for path, scene in written
    ]
    click.echo(json.dumps({"pictures": pictures}, ensure_ascii=False))
