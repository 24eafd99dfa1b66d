"""Options of every stage: the `[stage.model]` tables of a recipe as frozen dataclasses.

They lie beside the stages but load no torch, so that `pellucid train STAGE --help` can list them at once. The
text under a field is what that help prints.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args, get_type_hints

from pellucid.errors import ConfigError
from pellucid.pipelines.modes import Role
from pellucid.training.validation import (
    check_choices,
    check_names,
    check_range,
    check_types,
    field_names,
    parameter_names,
)

if TYPE_CHECKING:
    from pellucid.data.layer_composition import Arrangement  # loads OpenCV

Table = Mapping[str, object]
"""Constructor arguments of a network, by name."""
Method = Literal["full", "conv", "outside-attention", "lora", "locon"]
AdapterFormat = Literal["diffusers", "released", "merged"]
TRANSPARENT = "transparent"
"""Name of the adapter of single layers in a model's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeOptions:
    """`[vae.model]`: the new VAE."""

    block_out_channels: tuple[int, ...] = (3, 12, 96, 192)
    """Channels at 1, 1/2, 1/4 … of the image's size. Folded levels must have 3, 12, 48 …"""
    folded_levels: int = 2
    """Levels that are folded pixels (pixel unshuffle), without convolutions. 0 folds none."""
    layers_per_block: int = 2
    """Residual blocks at each level that has convolutions."""
    latent_channels: int = 16
    """Channels of a latent."""

    def __post_init__(self) -> None:
        check_range(self, ("block_out_channels", "layers_per_block", "latent_channels"), 1)
        check_range(self, ("folded_levels",), 0, len(self.block_out_channels) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderOptions:
    """`[autoencoder.model]`: offset encoder and alpha decoder over the frozen VAE of `init`.

    Latent channels and pixels a latent are the VAE's; what the network tables leave out follows from it.
    """

    offset_encoder: Table = field(default_factory=dict)
    """Constructor arguments of `OffsetEncoder`: `widths`, `fold`."""
    alpha_decoder: Table = field(default_factory=dict)
    """Constructor arguments of `AlphaDecoder`: `widths`, `fold`, `latent_level`, `attention_levels` …"""
    discriminator: Table = field(default_factory=dict)
    """Constructor arguments of `PatchDiscriminator`: `width`, `norm_num_groups`."""
    latent_noise: float = 0.0
    """Most noise that is added to latents before they are decoded, in standard deviations. 0 adds none."""
    start: Literal["new", "init"] = "new"
    """`new` for random weights, `init` to go on from the networks in the folder `init`."""
    trainable: str = ""
    """Regular expression of the parameters that train. Empty trains all. Without `offset_encoder`, diffusion
    models that were trained on these latents stay right."""
    alpha_encoding: Literal["offset", "channels", "inflated"] = "offset"
    """What carries alpha: an `offset` of the VAE's latent (the paper), further `channels` after the untouched
    latent, or a four-channel VAE whose weights are `inflated` from this one and train whole."""
    extra_channels: int = 4
    """Latent channels that `alpha_encoding = "channels"` adds."""
    orientation_augmentation: bool = False
    """Whether the alpha decoder sees images and latents in all eight orientations, one a step. Without it the
    median of eight passes is worse than one pass."""
    distill: bool = False
    """Whether one pass of the decoder in `init` learns the median of its eight passes instead."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_range(self, ("latent_noise",), 0)
        check_range(self, ("extra_channels",), 1)
        _check_networks(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationOptions(AutoencoderOptions):
    """`[autoencoder.model]` with `distill = true`: the alpha decoder of `init` becomes its own student."""

    distill: bool = True
    """Set here; false trains a codec in the usual way."""
    start: Literal["new", "init"] = "init"
    """Always `init`: the teacher's weights are the student's first ones."""
    trainable: str = "^alpha_decoder"
    """Regular expression of the parameters that train; the offset encoder stays as it is."""

    def __post_init__(self) -> None:
        AutoencoderOptions.__post_init__(self)
        if self.start != "init":
            raise ConfigError('Expected start = "init" with distill, got "new". Remove one of them.')


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
    caption_dropout: float = 0.1
    """Share of captions that are replaced by the empty one, 0 to 1."""

    def __post_init__(self) -> None:
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
class BaseOptions(TextImageOptions):
    """`[base.model]`: a new UNet that learns opaque images."""

    unet: Table = field(default_factory=dict)
    """Constructor arguments of diffusers' `UNet2DConditionModel`, where `init` has no UNet yet."""
    trainable: str = ""
    """Regular expression of the parameters that train. Empty trains all."""

    def __post_init__(self) -> None:
        TextImageOptions.__post_init__(self)
        if self.unet:
            from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

            # names alone: diffusers' annotations are narrower than what it takes
            check_names(self.unet, parameter_names(UNet2DConditionModel), where="[base.model.unet]")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TransparentOptions(PlacedImageOptions):
    """`[transparent.model]`: an adapter with which a frozen pipeline paints transparent images."""

    method: Method = "lora"
    """Which parameters train; docs/training.md has the table."""
    rank: int = 256
    """Rank of LoRAs."""
    trainable: str = ""
    """Regular expression that narrows what other methods than `lora` train. Empty narrows nothing."""
    format: AdapterFormat = "diffusers"
    """Names in the file: diffusers', the `released` files', or `merged` differences of whole matrices."""
    name: str = TRANSPARENT
    """Name of the file in `adapter/`, without its ending."""
    bits: Literal[16, 8] = 16
    """Bits of a value in the file: half precision, or 8, which Pellucid alone reads."""

    def __post_init__(self) -> None:
        PlacedImageOptions.__post_init__(self)
        check_range(self, ("rank",), 1)
        _check_file_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlOptions(PlacedImageOptions):
    """`[control.model]`: a T2I-Adapter over a frozen UNet."""

    base_adapter: str = TRANSPARENT
    """Name of the adapter of `init` that is merged first. Empty is the plain UNet."""
    adapter_type: str = "light_adapter"
    """T2IAdapter's own: its architecture."""
    num_res_blocks: int = 2
    """T2IAdapter's own: residual blocks a level."""

    def __post_init__(self) -> None:
        PlacedImageOptions.__post_init__(self)
        check_range(self, ("num_res_blocks",), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions(FrozenPipelineOptions):
    """What stages of layers have in common: scenes of a transparent image on a background."""

    roles: tuple[str, ...] = ("foreground", "background")
    """Layers that are generated, in batch order: `foreground`, `background`, `composite`."""
    scenes: int = 4096
    """How many scenes are placed and cached."""
    pairing_strength: float = 0.0
    """Semantic pairing: a background is drawn with a chance of e to the power of this times the cosine of
    both captions, so whales come on seas. 0 draws at random. Needs a text encoder whose first state stands
    for the sentence, such as BERT."""
    scale: tuple[float, float] = (0.45, 0.85)
    """Side of a foreground over the canvas's, the least and the most, 0.05 to 1."""
    baseline_position: tuple[float, float] = (0.72, 0.97)
    """Where its lowest pixel lies, as shares of the canvas's height, the least and the most."""
    crop_allowance: float = 0.125
    """Share of its side that may be cut off at the left, the right and the top, 0 to 1."""
    shadow_share: float = 0.5
    """Share of solid foregrounds that throw a shadow, in their own layer, 0 to 1."""
    relighting_strength: float = 0.0
    """How far a foreground takes the colour of what is behind it, 0 to 1. 0 leaves it as it is."""

    def __post_init__(self) -> None:
        FrozenPipelineOptions.__post_init__(self)
        check_range(self, ("scenes",), 1)
        check_range(self, ("pairing_strength",), 0, 100)
        check_range(self, ("crop_allowance", "shadow_share", "relighting_strength"), 0, 1)
        check_range(self, ("scale",), 0.05, 1)
        check_range(self, ("baseline_position",), 0, 1)
        for name in ("scale", "baseline_position"):
            if getattr(self, name)[0] > getattr(self, name)[1]:
                raise ConfigError(
                    f"Expected {name} as the least and the most, got {getattr(self, name)}. Swap them."
                )
        _check_roles(self.roles)

    def arrangement(self) -> "Arrangement":
        """Returns how foregrounds are put on backgrounds."""
        from pellucid.data.layer_composition import Arrangement

        return Arrangement(
            scale=self.scale,
            stands_at=self.baseline_position,
            overhang=self.crop_allowance,
            shadow_share=self.shadow_share,
            light=self.relighting_strength,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JointLayersOptions(SceneOptions):
    """`[layers.model]` without `condition_roles`: layers of one scene that attend to each other."""

    hint_role: str = ""
    """Layer that the attentions are shown, clean. Empty shows none."""
    base_adapter: str = TRANSPARENT
    """Name of the adapter of `init` that is merged first. Empty is the plain UNet."""
    rank: int = 256
    """Rank of each layer's LoRAs."""
    name: str = "joint"
    """Name of the file in `adapter/`, without its ending."""
    bits: Literal[16, 8] = 16
    """Bits of a value in the file: half precision, or 8, which Pellucid alone reads."""

    def __post_init__(self) -> None:
        SceneOptions.__post_init__(self)
        check_range(self, ("rank",), 1)
        _check_file_name(self.name)
        if self.hint_role:
            _check_roles([self.hint_role])
        if self.hint_role in self.roles:
            raise ConfigError(
                f"Expected a hint_role that is none of the roles {list(self.roles)}, got {self.hint_role!r}. "
                "Take it out of `roles`, or show another layer."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalLayersOptions(SceneOptions):
    """`[layers.model]` with `condition_roles`: one layer, made while others are seen as further channels."""

    condition_roles: tuple[str, ...]
    """Layers that are seen, in the order of their channels."""
    roles: tuple[str, ...] = ("foreground",)
    """The one layer that is generated."""
    base_adapter: str | None = None
    """Name of the adapter of `init` that is merged first. Empty is the plain UNet. Left out, it is
    `transparent` for a foreground and the plain UNet for others."""
    method: Method = "outside-attention"
    """Which parameters train; the first convolution, which grows, always does."""
    rank: int = 256
    """Rank of LoRAs."""
    trainable: str | None = None
    """Regular expression that narrows what other methods than `lora` train. Left out, `locon` trains all but
    the first convolution, which trains whole, and other methods are not narrowed."""
    format: AdapterFormat = "diffusers"
    """Names in the file: diffusers', the `released` files', or `merged` differences of whole matrices."""
    name: str = ""
    """Name of the file in `adapter/`, without its ending. Empty joins the roles: `A-to-B`."""
    bits: Literal[16, 8] = 16
    """Bits of a value in the file: half precision, or 8, which Pellucid alone reads."""

    def __post_init__(self) -> None:
        SceneOptions.__post_init__(self)
        check_range(self, ("rank",), 1)
        _check_roles(self.condition_roles)
        if len(self.roles) != 1 or self.roles[0] in self.condition_roles:
            raise ConfigError(
                f"Expected one role that is not among the condition_roles {list(self.condition_roles)}, got "
                f"{list(self.roles)}. Name one other layer in `roles`."
            )
        _check_file_name(self.file_name)

    @property
    def file_name(self) -> str:
        """Returns the file's name without its ending."""
        return self.name or "-".join((*self.condition_roles, "to", *self.roles))

    @property
    def merged_adapter(self) -> str:
        """Returns the name of the adapter that is merged first, empty for the plain UNet."""
        usual = TRANSPARENT if self.roles == ("foreground",) else ""
        return usual if self.base_adapter is None else self.base_adapter

    @property
    def pattern(self) -> str:
        """Returns the regular expression that narrows what trains."""
        usual = "^(?!conv_in)" if self.method == "locon" else ""
        return usual if self.trainable is None else self.trainable


ModelOptions = (
    VaeOptions
    | AutoencoderOptions
    | BaseOptions
    | TransparentOptions
    | ControlOptions
    | JointLayersOptions
    | ConditionalLayersOptions
)


def options_of_stage(stage: str, table: Table) -> type[ModelOptions]:
    """Returns the dataclass of a stage's `model` table; two stages have another one for some tables."""
    if stage == "autoencoder":
        return DistillationOptions if table.get("distill") else AutoencoderOptions
    if stage == "layers":
        return ConditionalLayersOptions if "condition_roles" in table else JointLayersOptions
    kinds: dict[str, type[ModelOptions]] = {
        "vae": VaeOptions,
        "base": BaseOptions,
        "transparent": TransparentOptions,
        "control": ControlOptions,
    }
    return kinds[stage]


def read_options(stage: str, table: Table) -> ModelOptions:
    """Returns the options that a `model` table holds.

    Args:
        stage: of the recipe.
        table: names and plain values.

    Raises:
        ConfigError: an unknown name, a value of another type, out of range, or none of the choices.
    """
    kind, where = options_of_stage(stage, table), f"[{stage}.model]"
    check_names(table, field_names(kind), where=where)
    return kind(**check_types(table, get_type_hints(kind), where=where))  # pyright: ignore[reportArgumentType]


def _check_roles(roles: tuple[str, ...] | list[str]) -> None:
    known = get_args(Role)
    if not roles or any(role not in known for role in roles):
        raise ConfigError(
            f"Expected roles of {', '.join(known)}, got {list(roles)}. Name one or more of them."
        )


def _check_file_name(name: str) -> None:
    # a name with a slash would leave the folder that a stage exports into
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise ConfigError(
            f"Expected name to be a file's name, got {name!r}. Use letters, digits and hyphens."
        )


def _check_networks(options: AutoencoderOptions) -> None:
    """Refuses arguments that the networks' constructors do not take."""
    if not (options.offset_encoder or options.alpha_decoder or options.discriminator):
        return
    from pellucid.models.alpha_decoder import AlphaDecoder
    from pellucid.models.discriminator import PatchDiscriminator
    from pellucid.models.offset_encoder import OffsetEncoder

    networks = {
        "offset_encoder": OffsetEncoder,
        "alpha_decoder": AlphaDecoder,
        "discriminator": PatchDiscriminator,
    }
    for name, network in networks.items():
        table, where = getattr(options, name), f"[autoencoder.model.{name}]"
        check_names(table, parameter_names(network), where=where)
        check_types(table, get_type_hints(network.__init__), where=where)
