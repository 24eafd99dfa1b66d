"""Every known published checkpoint as data; some sizes are predictions.

Source: docs/released-format.md a.1.
"""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import WeightsError

V1 = "LayerDiffusion/layerdiffusion-v1"
# A commit and not a branch: the hashes below are of its files.
V1_REVISION = "e337e9d7a0f2a6fee6c3580374327380f88d065b"
DIFFUSERS = "lllyasviel/LayerDiffuse_Diffusers"
V1_LICENCE = "not stated in the code; a third party lists Apache-2.0"
DIFFUSERS_LICENCE = "not stated in the code"

Kind = Literal["offset_encoder", "alpha_decoder", "lora", "weight_deltas", "attention_sharing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One file."""

    name: str
    """What users type."""
    repo: str
    """Model repository on the hub."""
    file: str
    """File in it."""
    base: Literal["sdxl", "sd15"]
    """Base model."""
    kind: Kind
    """What is inside."""
    tensors: int
    """How many tensors."""
    bytes: int | None = None
    """Size where known."""
    bytes_certain: bool = False
    """False if the size is a prediction, which `verify` reports but does not enforce."""
    sha256: str = ""
    """First 16 hex digits, or empty where unknown."""
    frames: int = 1
    """Layers of one scene that the file generates together."""
    in_channels: int = 4
    """Input channels of the UNet once applied."""
    control: bool = False
    """Whether a hint image is a condition."""
    offset_multiplier: float = 1.0
    """For the offset encoder's output."""
    latent_input: Literal["raw", "scaled"] = "scaled"
    """Latents that the alpha decoder reads."""

    @property
    def revision(self) -> str | None:
        """Returns the commit that the hash belongs to."""
        return V1_REVISION if self.repo == V1 else None

    @property
    def convention(self) -> str:
        """Returns the name in `models.autoencoder.CONVENTIONS`, which says how latents are joined."""
        return "forge" if self.repo == V1 else "cli"

    @property
    def licence(self) -> str:
        """Returns what is known of the weights' licence."""
        return V1_LICENCE if self.repo == V1 else DIFFUSERS_LICENCE


def _xl(
    name: str, file: str, kind: Kind, tensors: int, size: int, sha256: str, **more: int | bool
) -> Checkpoint:
    return Checkpoint(
        name=name, repo=V1, file=f"{file}.safetensors", base="sdxl", kind=kind, tensors=tensors, bytes=size,
        sha256=sha256, in_channels=int(more.get("in_channels", 4)),
        bytes_certain=bool(more.get("certain", True)),
    )  # fmt: skip


def _sd15(name: str, file: str, tensors: int, size: int, sha256: str, **more: int) -> Checkpoint:
    return Checkpoint(
        name=name, repo=V1, file=f"{file}.safetensors", base="sd15", kind="attention_sharing",
        tensors=tensors, bytes=size, sha256=sha256, frames=int(more.get("frames", 1)),
        control=bool(more.get("control", False)),
        bytes_certain=bool(more.get("certain", False)),
    )  # fmt: skip


CATALOG: tuple[Checkpoint, ...] = (
    _xl("sdxl-attn", "layer_xl_transparent_attn", "lora", 1120, 743_352_688, "b7919c5b4837fb64"),
    _xl("sdxl-conv", "layer_xl_transparent_conv", "weight_deltas", 1252, 3_619_745_776, "5ee958d80dcd515f"),
    _xl(
        "sdxl-fg2ble", "layer_xl_fg2ble", "weight_deltas", 206, 701_981_624, "50a29851ad56308f",
        in_channels=8,
    ),
    _xl(
        "sdxl-bg2ble", "layer_xl_bg2ble", "weight_deltas", 206, 701_981_624, "2901d1353cc4ca76",
        in_channels=8, certain=False,
    ),
    _xl(
        "sdxl-fgble2bg", "layer_xl_fgble2bg", "weight_deltas", 206, 702_004_664, "179a61fdcdb149af",
        in_channels=12, certain=False,
    ),
    _xl(
        "sdxl-bgble2fg", "layer_xl_bgble2fg", "weight_deltas", 206, 702_004_664, "1688f0c17447f746",
        in_channels=12, certain=False,
    ),
    Checkpoint(
        name="sdxl-encoder", repo=V1, file="vae_transparent_encoder.safetensors", base="sdxl",
        kind="offset_encoder", tensors=18,
    ),
    _xl("sdxl-decoder", "vae_transparent_decoder", "alpha_decoder", 538, 208_266_320, "59dc8feefe40d26b"),
    Checkpoint(
        name="sd15-encoder", repo=V1, file="layer_sd15_vae_transparent_encoder.safetensors", base="sd15",
        kind="offset_encoder", tensors=18,
    ),
    Checkpoint(
        name="sd15-decoder", repo=V1, file="layer_sd15_vae_transparent_decoder.safetensors", base="sd15",
        kind="alpha_decoder", tensors=538, bytes=208_266_320, bytes_certain=True, sha256="6df4712dfbb37832",
    ),
    _sd15("sd15-attn", "layer_sd15_transparent_attn", 640, 350_266_608, "cc9ee87452bf1ccd", certain=True),
    _sd15("sd15-joint", "layer_sd15_joint", 1152, 554_404_208, "2cc81c33c1a786bd", frames=3),
    _sd15("sd15-fg2bg", "layer_sd15_fg2bg", 1180, 562_982_312, "5bade856ec3e55d6", frames=2, control=True),
    _sd15("sd15-bg2fg", "layer_sd15_bg2fg", 1180, 562_982_312, "8367f976da1cc427", frames=2, control=True),
    Checkpoint(
        name="sdxl-attn-merged", repo=DIFFUSERS, file="ld_diffusers_sdxl_attn.safetensors", base="sdxl",
        kind="weight_deltas", tensors=560, bytes=1_910_453_328,
    ),
    Checkpoint(
        name="sdxl-encoder-300", repo=DIFFUSERS, file="ld_diffusers_sdxl_vae_transparent_encoder.safetensors",
        base="sdxl", kind="offset_encoder", tensors=18, offset_multiplier=300.0, latent_input="raw",
    ),
    Checkpoint(
        name="sdxl-decoder-raw", repo=DIFFUSERS, file="ld_diffusers_sdxl_vae_transparent_decoder.safetensors",
        base="sdxl", kind="alpha_decoder", tensors=538, latent_input="raw",
    ),
)  # fmt: skip


def named(name: str) -> Checkpoint | None:
    """Looks up the checkpoint of exactly that name; None where there is none."""
    return next((row for row in CATALOG if row.name == name), None)


def find(name: str) -> Checkpoint | None:
    """Looks up the checkpoint of that name or of that whole file name; None where there is none."""
    return named(name) or next((row for row in CATALOG if row.file == name), None)


def get(name: str) -> Checkpoint:
    """Looks up the checkpoint of that name or of that whole file name.

    Raises:
        WeightsError: there is none.
    """
    if (row := find(name)) is None:
        raise WeightsError(f"No checkpoint is called {name!r}. List them with `pellucid models list`.")
    return row
