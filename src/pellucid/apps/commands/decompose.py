"""`decompose`: an image taken apart into layers, by a model that makes layers itself."""

from pathlib import Path

import click

from pellucid.apps.commands.inputs import Inputs, reads_images, stem_of
from pellucid.apps.commands.names import write_document
from pellucid.apps.commands.options import JSON, PATH, check_target
from pellucid.apps.commands.outputs import output_option
from pellucid.apps.sections import SectionedCommand, option


@click.command(name="decompose", cls=SectionedCommand)
@click.argument("image", type=PATH)
@output_option("File to write: .psd, .ora or .zip keep the layers.  [default: IMAGE's name, .psd]", "psd")
@option("Model", "--model", required=True, help="Folder or hub id of a Qwen-Image-Layered model.")
@option("Model", "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@option("Model", "--dtype", default="auto", show_default=True, help="auto, float32, float16 or bfloat16.")
@option("Sampling", "--layers", type=int, default=4, show_default=True, help="How many layers, 1 to 20.")
@option("Sampling", "--prompt", help="What the image shows.  [default: the model describes it itself]")
@option("Sampling", "--seed", type=int, help="The same seed gives the same layers.  [default: random]")
@option("Sampling", "--steps", type=int, default=50, show_default=True, help="Denoising steps.")
@option("Sampling", "--guidance", type=float, default=4.0, show_default=True, help="1 turns guidance off.")
@option(
    "Sampling",
    "--resolution",
    type=int,
    metavar="640|1024",
    default=640,
    show_default=True,
    help="Side of the square whose number of pixels the model works at.",
)
@reads_images
@JSON
def decompose_command(
    image: Path,
    output: Path | None,
    model: str,
    device: str,
    dtype: str,
    layers: int,
    prompt: str | None,
    seed: int | None,
    steps: int,
    guidance: float,
    resolution: int,
    inputs: Inputs,
    as_json: bool,
) -> None:
    """Take IMAGE apart into transparent layers, and print the path of the document.

    \b
    pellucid decompose poster.png -o poster.psd --model Qwen/Qwen-Image-Layered --layers 5
    """  # noqa: D301 - click keeps the lines after this character
    target = output or Path(f"{stem_of(image)}-layers.psd")
    check_target(target)
    # read first: loading takes minutes
    whole = inputs.open(image).composite()
    from pellucid.pipelines.loading import load_stock_pipeline
    from pellucid.pipelines.native_layers import check_decomposition, decompose
    from pellucid.pipelines.placement import choose_device, dtype_for, move

    check_decomposition(layers, resolution, steps, guidance)
    where = choose_device(device)
    pipeline = load_stock_pipeline(model, dtype_for(model, dtype, where))
    move(pipeline, where)
    scene = decompose(
        pipeline,
        whole,
        layers=layers,
        prompt=prompt,
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=guidance,
        resolution=resolution,
    )
    write_document(target, scene, inputs, named=output is not None, as_json=as_json)
