"""Options that stages of diffusion models share: noise, frozen pipeline, captioned images."""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import ConfigError
from pellucid.training.validation import check_choices, check_range

Method = Literal["full", "conv", "outside-attention", "lora", "locon"]
AdapterFormat = Literal["diffusers", "released", "merged"]
TRANSPARENT = "transparent"
"""Name of the adapter of single layers in a model's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseOptions:
    """How latents are noised, and how their errors are weighted."""

    timesteps: Literal["uniform", "logit-normal", "mode"] = "uniform"
    """Distribution of noise levels."""
    logit_mean: float = 0.0
    """Of `logit-normal`; above 0 draws more noise."""
    logit_std: float = 1.0
    """Of `logit-normal`."""
    mode_scale: float = 1.29
    """Of `mode` (Esser et al. 2024, section 3.1)."""
    shift: float | None = None
    """Flow matching's shift towards noise, for larger images. Left out, it is the scheduler's."""
    min_snr_gamma: float = 5.0
    """Gamma of the weight min(snr, gamma) (Hang et al. 2023). 0 weights all levels alike. Flow matching has
    no such weight."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_range(self, ("logit_mean",), -100, 100)
        check_range(self, ("logit_std", "mode_scale", "min_snr_gamma"), 0)
        check_range(self, ("shift",), 1e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenPipelineOptions(NoiseOptions):
    """What stages of diffusion models have in common."""

    codec: str | None = None
    """Released mode, such as `sdxl-attn`, whose RGBA autoencoder gives the adjusted latents. Left out, it is
    the one in the folder's `rgba`."""
    cache: bool = False
    """Whether latents and text states are kept on disk for the next run."""
    # guidance subtracts what the model makes of the empty caption, so it must learn that, too
    caption_dropout: float = 0.1
    """Share of captions that are replaced by the empty one, 0 to 1."""

    def __post_init__(self) -> None:
        # by name: `slots=True` makes a second class, of which super() without arguments knows nothing
        NoiseOptions.__post_init__(self)
        check_range(self, ("caption_dropout",), 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextImageOptions(FrozenPipelineOptions):
    """What stages of single images have in common."""

    opaque_share: float = 0.2
    """How often another background or placement than the first is drawn, 0 to 1."""
    style_mix: float = 0.0
    """Share of images in another style than a subject's default one, 0 to 1. 0 leaves those out."""

    def __post_init__(self) -> None:
        FrozenPipelineOptions.__post_init__(self)
        check_range(self, ("opaque_share", "style_mix"), 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedImageOptions(TextImageOptions):
    """What stages have in common that learn transparent images, or opaque ones in their place."""

    opaque: bool = False
    """Whether opaque images are learned: all of them, and not one a subject."""
    placements: int = 1
    """Ways in which each image lies on the canvas: as it is, then mirrored, smaller and moved."""

    def __post_init__(self) -> None:
        TextImageOptions.__post_init__(self)
        check_range(self, ("placements",), 1)


def check_file_name(name: str) -> None:
    """Refuses a name that would leave the folder that a stage exports into.

    Raises:
        ConfigError: it is empty, hidden, or has a separator of paths.
    """
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise ConfigError(
            f"Expected name to be a file's name, got {name!r}. Use letters, digits and hyphens."
        )
