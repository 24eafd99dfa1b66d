"""Every way of making layers, as a row of data: what is attached, what enters, what comes out.

A new mode is a row here and its files in the catalogue, not a pipeline class. Rows with conditions or with
several frames describe the layer modes; those without are the single transparent layer.
"""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import InputError

Family = Literal["mini", "sd15", "sdxl"]
Entry = Literal["attention-hint", "channel-concat"]
Offset = Literal["posterior_std", "additive"]
LatentInput = Literal["raw", "scaled"]


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
    """Catalogue name."""
    alpha_decoder: str
    """Catalogue name."""
    offset: Offset = "posterior_std"
    offset_multiplier: float = 1.0
    latent_input: LatentInput = "raw"
    """Which latent the alpha decoder was trained to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Settings that the model's authors recommend; a call's own settings win."""

    num_inference_steps: int = 20
    guidance_scale: float = 7.0
    scheduler: str | None = None
    """A name of `pellucid.pipelines.schedulers`; None keeps the model's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way of making layers."""

    title: str
    family: Family
    adapter: str
    """Catalogue name of what is added to the UNet."""
    codec: Codec
    frames: int = 1
    """Pictures sampled together as one group."""
    conditions: tuple[Condition, ...] = ()
    outputs: tuple[Output, ...] = (Output(role="foreground", transparent=True),)
    sampling: Sampling = Sampling()


SD15 = Codec(
    offset_encoder="layer_sd15_vae_transparent_encoder",
    alpha_decoder="layer_sd15_vae_transparent_decoder",
    latent_input="scaled",
)
SDXL = Codec(
    offset_encoder="vae_transparent_encoder", alpha_decoder="vae_transparent_decoder", latent_input="scaled"
)
SDXL_DIFFUSERS = Codec(
    offset_encoder="ld_diffusers_sdxl_vae_transparent_encoder",
    alpha_decoder="ld_diffusers_sdxl_vae_transparent_decoder",
    offset_multiplier=300.0,
)
MINI = Codec(offset_encoder="mini_offset_encoder", alpha_decoder="mini_alpha_decoder")
MINI_SAMPLING = Sampling(guidance_scale=2.5)
SDXL_SAMPLING = Sampling(guidance_scale=6.0, scheduler="dpm++-2m-sde-karras")
SD15_SAMPLING = Sampling(guidance_scale=7.0, scheduler="dpm++-2m-karras")

MODES: dict[str, Mode] = {
    "mini": Mode(
        title="one transparent layer, embedded model",
        family="mini",
        adapter="mini_adapter",
        codec=MINI,
        sampling=MINI_SAMPLING,
    ),
    "sd15-attn": Mode(
        title="one transparent layer, attention",
        family="sd15",
        adapter="layer_sd15_transparent_attn",
        codec=SD15,
        sampling=SD15_SAMPLING,
    ),
    "sdxl-attn": Mode(
        title="one transparent layer, attention LoRA",
        family="sdxl",
        adapter="layer_xl_transparent_attn",
        codec=SDXL,
        sampling=SDXL_SAMPLING,
    ),
    "sdxl-conv": Mode(
        title="one transparent layer, all weights but attention's",
        family="sdxl",
        adapter="layer_xl_transparent_conv",
        codec=SDXL,
        sampling=SDXL_SAMPLING,
    ),
    "sdxl-attn-offsets": Mode(
        title="one transparent layer, attention weights as differences",
        family="sdxl",
        adapter="ld_diffusers_sdxl_attn",
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
