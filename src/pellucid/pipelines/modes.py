"""Every way of making layers, as a row of data: what is attached, what enters, what comes out.

A new mode is a row here and its files in the catalog, not a pipeline class. Rows with conditions or with
several frames describe the layer modes; those without are the single transparent layer.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from pellucid.errors import InputError

Family = Literal["mini", "sd15", "sdxl"]
Entry = Literal["attention-hint", "channel-concat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A picture that the model is shown."""

    role: str
    """"foreground", "background" or "composite"."""
    entry: Entry
    """How it reaches the UNet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One frame of the result."""

    role: str
    """Name of its layer."""
    transparent: bool
    """Whether the alpha decoder reads it; otherwise the VAE alone does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """The two networks around the frozen VAE, and the arithmetic that their files expect."""

    offset_encoder: str
    """Catalog name, or a path inside the package."""
    alpha_decoder: str
    """As above."""
    convention: str = "forge"
    """A name of `pellucid.models.autoencoder.CONVENTIONS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Settings that the model's authors recommend; a call's own settings win."""

    num_inference_steps: int = 20
    guidance_scale: float = 7.0
    scheduler: str | None = None
    """A name of `pellucid.pipelines.schedulers`; None keeps the model's own."""
    passes: int = 8
    """Views that the alpha decoder takes the median of; above 1 if it was trained in all orientations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way of making layers."""

    title: str
    family: Family
    adapter: str
    """What is added to the UNet: catalog name, or a path inside the package."""
    codec: Codec
    frames: int = 1
    """Pictures sampled together as one group."""
    conditions: tuple[Condition, ...] = ()
    outputs: tuple[Output, ...] = (Output(role="foreground", transparent=True),)
    sampling: Sampling = Sampling()


SD15 = Codec(
    offset_encoder="sd15-encoder",
    alpha_decoder="sd15-decoder",
)
SDXL = Codec(offset_encoder="sdxl-encoder", alpha_decoder="sdxl-decoder")
SDXL_DIFFUSERS = Codec(
    offset_encoder="sdxl-encoder-300",
    alpha_decoder="sdxl-decoder-raw",
    convention="cli",
)
MINI = Codec(
    offset_encoder="mini/rgba/offset_encoder", alpha_decoder="mini/rgba/alpha_decoder", convention="embedded"
)
MINI_SAMPLING = Sampling(num_inference_steps=12, guidance_scale=2.5, scheduler="dpm++-2m", passes=1)
SDXL_SAMPLING = Sampling(guidance_scale=6.0, scheduler="dpm++-2m-sde-karras")
SD15_SAMPLING = Sampling(guidance_scale=7.0, scheduler="dpm++-2m-karras")

MODES: dict[str, Mode] = {
    "mini": Mode(
        title="one transparent layer, embedded model",
        family="mini",
        adapter="mini/adapter/transparent.safetensors",
        codec=MINI,
        sampling=MINI_SAMPLING,
    ),
    "sd15-attn": Mode(
        title="one transparent layer, attention",
        family="sd15",
        adapter="sd15-attn",
        codec=SD15,
        sampling=SD15_SAMPLING,
    ),
    "sdxl-attn": Mode(
        title="one transparent layer, attention LoRA",
        family="sdxl",
        adapter="sdxl-attn",
        codec=SDXL,
        sampling=SDXL_SAMPLING,
    ),
    "sdxl-conv": Mode(
        title="one transparent layer, all weights but attention's",
        family="sdxl",
        adapter="sdxl-conv",
        codec=SDXL,
        sampling=SDXL_SAMPLING,
    ),
    "sdxl-attn-merged": Mode(
        title="one transparent layer, attention weights as differences",
        family="sdxl",
        adapter="sdxl-attn-merged",
        codec=SDXL_DIFFUSERS,
        sampling=Sampling(num_inference_steps=25, scheduler="dpm++-2m-karras"),
    ),
}
"""Public name -> mode. Sources: SPEC d.4 ("only transparent") and e."""


def mode_named(name: str) -> Mode:
    """Returns the row of that name.

    Raises:
        InputError: there is none.
    """
    if name not in MODES:
        raise InputError(f"No adapter is called {name!r}. Choose one of {', '.join(MODES)}, or give a file.")
    return MODES[name]


def source_of(name: str) -> str:
    """What `pellucid.weights` can locate: a catalog name as it is, a path inside the package in full."""
    return str(files("pellucid") / name) if "/" in name else name
