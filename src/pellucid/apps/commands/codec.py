"""`encode` and `decode`: a transparent image to its adjusted latent and back, without diffusion."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.full_size import FullModelChoice, full_model_options
from pellucid.apps.commands.inputs import Inputs, beside, reads_images, stem_of
from pellucid.apps.commands.options import (
    JSON,
    PATH,
    check_target,
    passes_option,
)
from pellucid.apps.commands.outputs import IMAGES, output_option
from pellucid.apps.sections import SectionedCommand, option

if TYPE_CHECKING:
    from torch import Tensor

TENSOR = "latent"
"""Name of the tensor in the .safetensors files."""


@click.command(name="encode", cls=SectionedCommand)
@click.argument("image", type=PATH)
@output_option("File to write, or -.  [default: IMAGE's name, .safetensors]", "safetensors", ())
@reads_images
@full_model_options
@JSON
def encode_command(
    image: Path,
    output: Path | None,
    inputs: Inputs,
    choice: FullModelChoice,
    as_json: bool,
) -> None:
    """Write the scaled, adjusted latent of IMAGE as .safetensors."""
    from safetensors.torch import save

    from pellucid.files.atomic import write_atomically

    target = output or beside(image, f"{stem_of(image)}.safetensors")
    check_target(target, image=False)
    rgba = inputs.flat(image)
    latent = choice.load().encode(rgba)
    # the size is cut off the decoded image again: latents are whole, images may not be
    size = {"height": str(rgba.shape[0]), "width": str(rgba.shape[1]), "model": choice.name}
    # safetensors takes tensors in one piece of memory, and notes that are texts
    write_atomically(target, save({TENSOR: latent.cpu().contiguous()}, metadata=size))
    facts = {"path": str(target), "shape": list(latent.shape)}
    click.echo(json.dumps({**facts, **inputs.said()}, ensure_ascii=False) if as_json else target)


@click.command(name="decode", cls=SectionedCommand)
@click.argument("latent", type=PATH)
@output_option("File to write, or -.  [default: LATENT's name, .png]", "png", IMAGES)
@passes_option("Decoding")
@full_model_options
@option(
    "Output",
    "--clean",
    is_flag=True,
    help="Repair dirty alpha, specks, pinholes and fringes before writing; --json then adds scores from "
    "before and after.",
)
@JSON
def decode_command(
    latent: Path,
    output: Path | None,
    passes: int | None,
    choice: FullModelChoice,
    clean: bool,
    as_json: bool,
) -> None:
    """Write the image that is in LATENT, a file of `pellucid encode`, with the model that made it."""
    from pellucid.files.images import write_image
    from pellucid.pipelines.arguments import check_passes
    from pellucid.scene.cleanup import clean_scenes
    from pellucid.scene.scene import Scene

    target = output or latent.with_suffix(".png")
    check_target(target)
    check_passes(passes)
    tensor, metadata = _read_latent(latent)
    # files by others say no size; all of the decoded image is shown then
    crop = None
    if {"height", "width"} <= set(metadata):
        crop = int(metadata["height"]), int(metadata["width"])
    pipe = choice.load(metadata.get("model", "mini"))  # another model would read noise in it
    rgba = pipe.decode(tensor.to(pipe.model.stock.device), passes=passes, crop=crop)
    # as a scene, so that cleaning and its report are those of all commands
    (scene,), scores = clean_scenes([Scene.of(rgba)], wanted=clean)
    write_image(scene.layers[0].image, target)
    facts = {"path": str(target), "height": rgba.shape[0], "width": rgba.shape[1], **dict(*scores)}
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else target)


def _read_latent(path: Path) -> "tuple[Tensor, dict[str, str]]":
    """Reads a file of `pellucid encode`: the latent and what is said of it."""
    from safetensors import SafetensorError, safe_open

    from pellucid.errors import FileError, first_line

    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(TENSOR), file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise FileError(
            f"Expected a latent in {path}, found: {first_line(error)}. Make one with `pellucid encode`."
        ) from None
