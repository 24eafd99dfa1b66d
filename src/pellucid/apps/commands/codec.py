"""`encode` and `decode`: a transparent picture to its adjusted latent and back, without diffusion."""

import json
from pathlib import Path

import click

from pellucid.apps.commands.options import CLEAN, JSON, PASSES, PATH, ModelChoice, check_target, model_options

TENSOR = "latent"


@click.command(name="encode")
@click.argument("picture", type=PATH)
@click.option("-o", "--output", type=PATH, help="File to write.  [default: PICTURE's name, .safetensors]")
@model_options
@JSON
def encode_command(
    picture: Path,
    output: Path | None,
    choice: ModelChoice,
    as_json: bool,
) -> None:
    """Write the scaled, adjusted latent of PICTURE as .safetensors."""
    from safetensors.torch import save

    from pellucid.files.atomic import write_atomically
    from pellucid.files.images import read_rgba

    target = output or picture.with_suffix(".safetensors")
    check_target(target, picture=False)
    rgba = read_rgba(picture)
    latent = choice.load().encode(rgba)
    size = {"height": str(rgba.shape[0]), "width": str(rgba.shape[1]), "model": choice.name}
    write_atomically(target, save({TENSOR: latent.cpu().contiguous()}, metadata=size))
    facts = {"path": str(target), "shape": list(latent.shape)}
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else target)


@click.command(name="decode")
@click.argument("latent", type=PATH)
@click.option("-o", "--output", type=PATH, help="File to write.  [default: LATENT's name, .png]")
@PASSES
@model_options
@CLEAN
@JSON
def decode_command(
    latent: Path,
    output: Path | None,
    passes: int | None,
    choice: ModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Write the picture that is in LATENT, a file of `pellucid encode`, by the model that made it."""
    from safetensors import SafetensorError, safe_open

    from pellucid.errors import FileError
    from pellucid.files.images import write_picture
    from pellucid.pipelines.arguments import check_passes
    from pellucid.scene.cleanup import clean_scenes
    from pellucid.scene.scene import Scene

    target = output or latent.with_suffix(".png")
    check_target(target)
    check_passes(passes)
    try:
        with safe_open(latent, framework="pt") as file:
            tensor, about = file.get_tensor(TENSOR), file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise FileError(
            f"Expected a latent in {latent}, found: {error}. Make one with `pellucid encode`."
        ) from None
    crop = (int(about["height"]), int(about["width"])) if {"height", "width"} <= set(about) else None
    pipe = choice.load(about.get("model", "mini"))  # a latent means something to its own model alone
    rgba = pipe.decode(tensor.to(pipe.model.stock.device), passes=passes, crop=crop)
    (scene,), more = clean_scenes([Scene.of(rgba)], wanted=clean)
    write_picture(scene.layers[0].image, target)
    facts = {"path": str(target), "height": rgba.shape[0], "width": rgba.shape[1], **dict(*more)}
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else target)
