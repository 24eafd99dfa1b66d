"""`encode` and `decode`: a transparent picture to its adjusted latent and back, without diffusion."""

import json
from pathlib import Path

import click

from pellucid.apps.commands.generate import MODEL_OPTIONS, PATH, check_target, load_model, with_options

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the path.")
OUTPUT = click.option("-o", "--output", type=PATH, help="File to write.")
TENSOR = "latent"


@click.command(name="encode")
@click.argument("picture", type=PATH)
@OUTPUT
@JSON
@with_options(*MODEL_OPTIONS)
def encode_command(
    picture: Path,
    output: Path | None,
    as_json: bool,
    model: str,
    adapter: str | None,
    device: str,
    dtype: str | None,
) -> None:
    """Write the scaled, adjusted latent of PICTURE as .safetensors."""
    from safetensors.torch import save

    from pellucid.rgba.atomic import write_atomically
    from pellucid.rgba.io import read_rgba

    target = output or picture.with_suffix(".safetensors")
    rgba = read_rgba(picture)
    latent = load_model(model, adapter, device, dtype).encode(rgba)
    size = {"height": str(rgba.shape[0]), "width": str(rgba.shape[1]), "model": model}
    write_atomically(target, save({TENSOR: latent.cpu().contiguous()}, metadata=size))
    facts = {"path": str(target), "shape": list(latent.shape)}
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else target)


@click.command(name="decode")
@click.argument("latent", type=PATH)
@OUTPUT
@click.option(
    "--passes", type=click.IntRange(1, 8), default=8, show_default=True, help="Views for alpha: 1, 2, 4, 8."
)
@JSON
@with_options(*MODEL_OPTIONS)
def decode_command(
    latent: Path,
    output: Path | None,
    passes: int,
    as_json: bool,
    model: str,
    adapter: str | None,
    device: str,
    dtype: str | None,
) -> None:
    """Write the picture that is in LATENT, a file of `pellucid encode`."""
    from safetensors import SafetensorError, safe_open

    from pellucid.errors import FileError
    from pellucid.rgba.io import write_picture

    target = output or latent.with_suffix(".png")
    check_target(target)
    try:
        with safe_open(latent, framework="pt") as file:
            tensor, about = file.get_tensor(TENSOR), file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise FileError(
            f"Expected a latent in {latent}, found: {error}. Make one with `pellucid encode`."
        ) from None
    crop = (int(about["height"]), int(about["width"])) if {"height", "width"} <= set(about) else None
    pipe = load_model(model, adapter, device, dtype)
    rgba = pipe.decode(tensor.to(pipe.pipeline.unet.device), passes=passes, crop=crop)
    write_picture(rgba, target)
    facts = {"path": str(target), "height": rgba.shape[0], "width": rgba.shape[1]}
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else target)
