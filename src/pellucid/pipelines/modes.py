"""Every way of making layers, as a row of data: what is attached, what enters, what comes out.

A new mode is a row here and its files in the catalog, not a pipeline class. What users ask for, such as
"joint", is a task: one mode, or several in a row of which each may show its layers to the next.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pellucid.errors import InputError

Family = Literal[
    "mini", "sd15", "sd21", "sdxl", "kolors",
    "sd3", "flux", "pixart-alpha", "pixart-sigma", "hunyuan-dit", "cogview3", "lumina",
    "flux2", "flux2-klein", "qwen-image", "z-image", "sana", "chroma", "aura-flow", "lumina2", "cogview4",
    "hidream", "hunyuan-image", "ovis-image", "bria", "wan",
    "ernie-image", "longcat-image", "krea2", "kandinsky5", "bria-fibo", "bria-fibo2", "nucleus-image",
    "prx", "dreamlite", "dreamlite-mobile", "sana-sprint",
]  # fmt: skip
"""A row of `pellucid.pipelines.families`, or "mini", which is of Stable Diffusion's class."""
Entry = Literal["attention-hint", "channel-concat"]
Role = Literal["foreground", "background", "composite"]
Task = Literal[
    "foreground", "joint", "foreground_on", "background_for", "split_foreground", "split_background"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """An image that the model is shown."""

    role: Role
    """Which of the scene's images."""
    entry: Entry
    """How it reaches the denoiser: a hint to a UNet's attentions, or clean latents beside its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One layer that a mode samples."""

    role: Role
    """Name of its layer; "composite" is a reference, not a layer."""
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

    # the authors' settings for Stable Diffusion 1.5 (docs/released-format.md, modes of the release)
    num_inference_steps: int = 20
    guidance_scale: float = 7.0
    scheduler: str | None = None
    """A name of `pellucid.pipelines.schedulers`; None keeps the model's own."""
    # all orientations, as the release decodes (docs/released-format.md, decoding)
    passes: int = 8
    """Views that the alpha decoder takes the median of; above 1 if it was trained in all orientations."""
    upscale_strength: float = 0.35
    """How much `upscale` repaints."""
    fixed_resolution: bool = False
    """Whether the model knows its own size only: images of others are made there and resampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way of making layers."""

    name: str
    """What users type, and what results say."""
    title: str
    family: Family
    adapter: str | Path | tuple[str | Path, ...] | None
    """What is added to the UNet: catalog name, a path inside the package, or a `Path` to any file; several go
    on top of one another."""
    codec: Codec | None = None
    """None where a codec must be given."""
    conditions: tuple[Condition, ...] = ()
    outputs: tuple[Output, ...] = (Output(role="foreground", transparent=True),)
    """Layers in the order of the batch; several are sampled together and attend to each other."""
    adapter_end: float = 1.0
    """Share of the noise schedule during which the adapter is active; the base UNet finishes without it, as
    with a ControlNet's `control_guidance_end`. 1 keeps the adapter to the last step."""
    sampling: Sampling = Sampling()

    @property
    def source(self) -> str | Path | tuple[str | Path, ...] | None:
        """Returns the adapter as `pellucid.weights` can locate it."""
        if isinstance(self.adapter, tuple):
            return tuple(resolve_source(part) if isinstance(part, str) else part for part in self.adapter)
        return resolve_source(self.adapter) if isinstance(self.adapter, str) else self.adapter


# Conventions belong to files: the command line's multiplier with the other repository's encoder is wrong by
# a factor of 300 (docs/released-format.md, offset encoder).
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
# 10, 14 and 20 steps are as faithful; more passes are worse, and repainting squares round things at sizes
# that the model has not learned (docs/log.md, 2026-11-23).
MINI_SAMPLING = Sampling(
    num_inference_steps=12,
    guidance_scale=2.5,
    scheduler="dpm++-2m",
    passes=1,
    upscale_strength=0.0,
    fixed_resolution=True,
)
# The authors' settings (docs/released-format.md, modes of the release).
SDXL_SAMPLING = Sampling(guidance_scale=6.0, scheduler="dpm++-2m-sde-karras")
SD15_SAMPLING = Sampling(guidance_scale=7.0, scheduler="dpm++-2m-karras")

FOREGROUND = Output(role="foreground", transparent=True)
BACKGROUND = Output(role="background", transparent=False)
COMPOSITE = Output(role="composite", transparent=False)
SDXL_STAGE_TWO = Sampling(guidance_scale=6.0, scheduler="euler-a")
"""The authors warn of DPM solvers for the second of two steps."""

ROWS: tuple[Mode, ...] = (
    Mode(
        name="mini",
        title="one transparent layer, embedded model",
        family="mini",
        adapter="mini/adapter/transparent.safetensors",
        codec=MINI,
        sampling=MINI_SAMPLING,
    ),
    Mode(
        name="sd15-attn",
        title="one transparent layer, attention",
        family="sd15",
        adapter="sd15-attn",
        codec=SD15,
        sampling=SD15_SAMPLING,
    ),
    Mode(
        name="sdxl-attn",
        title="one transparent layer, attention LoRA",
        family="sdxl",
        adapter="sdxl-attn",
        codec=SDXL,
        sampling=SDXL_SAMPLING,
    ),
    Mode(
        name="sdxl-conv",
        title="one transparent layer, all weights but attention's",
        family="sdxl",
        adapter="sdxl-conv",
        codec=SDXL,
        sampling=SDXL_SAMPLING,
    ),
    Mode(
        name="sdxl-attn-merged",
        title="one transparent layer, attention weights as differences",
        family="sdxl",
        adapter="sdxl-attn-merged",
        codec=SDXL_DIFFUSERS,
        # the released command line's, whose stored outputs it meets (docs/decisions/008-exact-sampler.md)
        sampling=Sampling(num_inference_steps=25, scheduler="dpm++-2m-karras-exact"),
    ),
    Mode(
        name="mini-opaque",
        title="one opaque image, embedded model",
        family="mini",
        # the plain model, which learned opaque images
        adapter=None,
        codec=MINI,
        outputs=(BACKGROUND,),
        sampling=MINI_SAMPLING,
    ),
    Mode(
        name="sd15-joint",
        title="foreground, background and composite together",
        family="sd15",
        adapter="sd15-joint",
        codec=SD15,
        # the file's order: it has LoRAs for each layer by number
        outputs=(FOREGROUND, BACKGROUND, COMPOSITE),
        sampling=SD15_SAMPLING,
    ),
    Mode(
        name="sd15-fg2bg",
        title="foreground to background and composite",
        family="sd15",
        adapter="sd15-fg2bg",
        codec=SD15,
        conditions=(Condition(role="foreground", entry="attention-hint"),),
        outputs=(BACKGROUND, COMPOSITE),
        sampling=SD15_SAMPLING,
    ),
    Mode(
        name="sd15-bg2fg",
        title="background to foreground and composite",
        family="sd15",
        adapter="sd15-bg2fg",
        codec=SD15,
        conditions=(Condition(role="background", entry="attention-hint"),),
        outputs=(FOREGROUND, COMPOSITE),
        sampling=SD15_SAMPLING,
    ),
    Mode(
        name="sdxl-fg2ble",
        title="foreground to composite",
        family="sdxl",
        adapter="sdxl-fg2ble",
        codec=SDXL,
        conditions=(Condition(role="foreground", entry="channel-concat"),),
        outputs=(COMPOSITE,),
        sampling=SDXL_SAMPLING,
    ),
    Mode(
        name="sdxl-bg2ble",
        title="background to composite",
        family="sdxl",
        adapter="sdxl-bg2ble",
        codec=SDXL,
        conditions=(Condition(role="background", entry="channel-concat"),),
        outputs=(COMPOSITE,),
        sampling=SDXL_SAMPLING,
    ),
    Mode(
        name="sdxl-fgble2bg",
        title="foreground and composite to background",
        family="sdxl",
        adapter="sdxl-fgble2bg",
        codec=SDXL,
        conditions=(
            # in the file's order: their channels follow the latent's in the first convolution
            Condition(role="foreground", entry="channel-concat"),
            Condition(role="composite", entry="channel-concat"),
        ),
        outputs=(BACKGROUND,),
        # the authors' value for this model (docs/released-format.md, end of the adapter)
        adapter_end=0.5,
        sampling=SDXL_STAGE_TWO,
    ),
    Mode(
        name="sdxl-bgble2fg",
        title="background and composite to foreground",
        family="sdxl",
        adapter="sdxl-bgble2fg",
        codec=SDXL,
        conditions=(
            Condition(role="background", entry="channel-concat"),
            Condition(role="composite", entry="channel-concat"),
        ),
        outputs=(FOREGROUND,),
        sampling=SDXL_STAGE_TWO,
    ),
)
MODES = {mode.name: mode for mode in ROWS}
"""Public name -> mode. Sources: docs/released-format.md d.4 and e."""

TASKS: dict[Family, dict[Task, tuple[str, ...]]] = {
    # no split where no model for it was released: `split` is arithmetic then
    "mini": {
        "foreground": ("mini",),
        "joint": ("mini", "mini-opaque"),
        "foreground_on": ("mini",),
        "background_for": ("mini-opaque",),
    },
    "sd15": {
        "foreground": ("sd15-attn",),
        "joint": ("sd15-joint",),
        "foreground_on": ("sd15-bg2fg",),
        "background_for": ("sd15-fg2bg",),
    },
    "sdxl": {
        "foreground": ("sdxl-attn",),
        # each step is shown what the steps before it made, so the order is the method
        "joint": ("sdxl-attn", "sdxl-fg2ble", "sdxl-fgble2bg"),
        "foreground_on": ("sdxl-bg2ble", "sdxl-bgble2fg"),
        "background_for": ("sdxl-fg2ble", "sdxl-fgble2bg"),
        "split_foreground": ("sdxl-bgble2fg",),
        "split_background": ("sdxl-fgble2bg",),
    },
}
"""Family -> task -> modes one after another. SDXL has no joint model, so its layers are made in turn; the
embedded model's layers are made without seeing each other, unless its folder has adapters of its own."""


def tasks_for(single: Mode) -> dict[Task, tuple[Mode, ...]]:
    """Returns the modes of each task of a family, with `single` for its single transparent layer."""
    names = TASKS.get(single.family)
    if names is None:  # no released files: what the given codec and adapter make
        return {"foreground": (single,)}
    # the caller's own single layer also takes its place within tasks of several steps
    usual = names["foreground"][0]
    return {
        task: tuple(single if name == usual else MODES[name] for name in rows) for task, rows in names.items()
    }


def find_mode(name: str) -> Mode:
    """Returns the row of that name.

    Raises:
        InputError: there is none.
    """
    if name not in MODES:
        raise InputError(f"No adapter is called {name!r}. Choose one of {', '.join(MODES)}, or give a file.")
    return MODES[name]


def resolve_source(name: str) -> str:
    """Returns what `pellucid.weights` can locate: a catalog name, or the path of a file in the package."""
    # no name of the catalog has a slash, and every path in the package has one
    return str(files("pellucid") / name) if "/" in name else name
