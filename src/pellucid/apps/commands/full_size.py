"""Options for full-size models: what is added to them, and how they fit into the memory that there is."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.inputs import Inputs
from pellucid.apps.commands.options import MODEL_OPTIONS, PATH, ModelChoice, gathered, quieten_libraries
from pellucid.apps.sections import option
from pellucid.apps.terminal import tell
from pellucid.errors import InputError

if TYPE_CHECKING:
    from pellucid.pipelines.pipeline import TransparentPipeline
    from pellucid.rgba.types import RGBA8

OPTIONAL = ("accelerate", "peft")
"""Packages that an ordinary call does not import, for the time that it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullModelChoice(ModelChoice):
    """Values of `full_model_options`: which model, what is added to it, and where it computes."""

    loras: tuple[str, ...]
    vae: str | None
    offload: str
    tiling: bool
    attention_slicing: bool
    compiles: bool
    verbose: bool

    def load(self, usual: str = "mini") -> "TransparentPipeline":
        """Loads the chosen model with all that was asked for, or the `usual` one if none was named."""
        from pellucid.apps.fast_imports import lean_imports

        needed = OPTIONAL if self.loras or self.offload != "none" or self.model is not None else ()
        with lean_imports(needed):
            quieten_libraries()
            from pellucid.pipelines.extras import Lora, add_loras
            from pellucid.pipelines.loading import load

            pipe = load(
                usual if self.model is None else self.model,
                adapter=self.adapter,
                device=self.device,
                dtype=self.dtype,
                offload=self.offload,
                vae=self.vae,
                read_prompts=not self.literal,
            )
            if self.loras:
                add_loras(pipe, tuple(Lora.parse(text) for text in self.loras))
        pipe.model.reader.tell = tell
        if self.tiling:
            pipe.enable_tiling()
        if self.attention_slicing:
            _switch_on(pipe.pipeline, "enable_attention_slicing", "--attention-slicing")
        if self.compiles:
            pipe.denoiser.compile()
        if self.verbose:
            stock = pipe.model.stock
            click.echo(
                f"{pipe.model.name} on {stock.device}, {str(stock.dtype).removeprefix('torch.')}, "
                f"adapter {pipe.model.single.name}, offload {self.offload}",
                file=sys.stderr,
            )
        return pipe


def _switch_on(part: object, method: str, word: str) -> None:
    """Calls a method of diffusers that not every model has: the embedded one is small enough without."""
    if not hasattr(part, method):
        raise InputError(f"Expected a model that knows {word}, found a {type(part).__name__}. Leave it out.")
    getattr(part, method)()


OFFLOAD = option(
    "Memory",
    "--offload",
    type=click.Choice(["none", "model", "group", "sequential"]),
    default="none",
    show_default=True,
    help="Keep in main memory what does not compute: parts, layers, or single weights.",
)
FULL_MODEL_OPTIONS = (
    *MODEL_OPTIONS,
    option(
        "Model",
        "--lora",
        "loras",
        metavar="FILE[:WEIGHT]",
        multiple=True,
        help="A community LoRA, beside the transparent adapter; several add up.",
    ),
    option("Model", "--vae", metavar="MODEL", help="Another VAE: a folder, a file, or a hub id."),
    OFFLOAD,
    option("Memory", "--tiling", is_flag=True, help="Decode large images tile by tile."),
    option("Memory", "--attention-slicing", is_flag=True, help="Compute attention in slices."),
    option(
        "Memory",
        "--compile",
        "compiles",
        is_flag=True,
        help="Compile the denoiser: slow once, then faster.",
    ),
    option(
        "Output",
        "-v",
        "--verbose",
        is_flag=True,
        help="Say on stderr which model computes where, and how.",
    ),
)
full_model_options = gathered("choice", FullModelChoice, FULL_MODEL_OPTIONS)
"""Adds the options of a model of any size; the command gets them as `choice`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guides:
    """Values of `guide_options`: a ControlNet or an IP-Adapter, and the image that each is shown."""

    controlnet: str | None
    control_image: Path | None
    control_scale: float
    ip_adapter: str | None
    ip_adapter_image: Path | None
    ip_adapter_scale: float

    def check(self) -> None:
        """Refuses a guide without its image, and an image without its guide."""
        for name, guide, image in (
            ("controlnet", self.controlnet, self.control_image),
            ("ip-adapter", self.ip_adapter, self.ip_adapter_image),
        ):
            shown = "control-image" if name == "controlnet" else "ip-adapter-image"
            if (guide is None) != (image is None):
                raise click.UsageError(f"--{name} and --{shown} belong together. Give both.")

    def check_local(self) -> None:
        """Refuses guides for a model on a server, which has none of them."""
        if self.controlnet is not None or self.ip_adapter is not None:
            raise click.UsageError("Guides belong to models of this machine. Leave them or --server out.")

    def images(self, inputs: Inputs) -> "dict[str, RGBA8]":
        """Reads the images, by the name under which a stock pipeline takes each."""
        named = {"image": self.control_image, "ip_adapter_image": self.ip_adapter_image}
        return {name: inputs.flat(path) for name, path in named.items() if path is not None}

    def add(self, pipe: "TransparentPipeline") -> "TransparentPipeline":
        """Returns the model with its guides."""
        if self.controlnet is not None:
            from pellucid.pipelines.extras import add_controlnet

            pipe = add_controlnet(pipe, self.controlnet)
        if self.ip_adapter is not None:
            from pellucid.pipelines.extras import add_ip_adapter

            add_ip_adapter(pipe, self.ip_adapter, self.ip_adapter_scale)
        return pipe

    def pipeline_inputs(self, images: "Mapping[str, RGBA8]") -> dict[str, object] | None:
        """Returns what the stock pipeline is called with: images on black, where maps have nothing."""
        if not images:
            return None
        from PIL import Image

        from pellucid.scene.scene import Scene

        inputs: dict[str, object] = {
            name: Image.fromarray(Scene.of(rgba).composite("#000000")[..., :3])
            for name, rgba in images.items()
        }
        return inputs | ({"controlnet_conditioning_scale": self.control_scale} if "image" in images else {})


guide_options = gathered(
    "guides",
    Guides,
    (
        option("Guides", "--controlnet", metavar="MODEL", help="A ControlNet: a folder or a hub id."),
        option("Guides", "--control-image", type=PATH, metavar="IMAGE", help="What the ControlNet is shown."),
        option(
            "Guides",
            "--control-scale",
            type=float,
            default=1.0,
            show_default=True,
            help="How much that counts.",
        ),
        option("Guides", "--ip-adapter", metavar="FILE", help="An IP-Adapter: a file, here or on a hub."),
        option("Guides", "--ip-adapter-image", type=PATH, metavar="IMAGE", help="What it is shown."),
        option(
            "Guides",
            "--ip-adapter-scale",
            type=float,
            default=0.6,
            show_default=True,
            help="How much that counts.",
        ),
    ),
)
"""Adds a ControlNet and an IP-Adapter; the command gets them as `guides`."""
