"""Options of every stage: the `[stage.model]` tables of a recipe as frozen dataclasses.

They lie beside the stages but load no torch, so that `pellucid train STAGE --help` can list them at once. The
text under a field is what that help prints.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pellucid.errors import ConfigError
from pellucid.training.stages.layer_options import ConditionalLayersOptions, JointLayersOptions
from pellucid.training.stages.pipeline_options import (
    TRANSPARENT,
    AdapterFormat,
    Method,
    PlacedImageOptions,
    TextImageOptions,
    check_file_name,
)
from pellucid.training.validation import (
    check_choices,
    check_names,
    check_range,
    check_types,
    field_names,
    parameter_names,
)

Table = Mapping[str, object]
"""Constructor arguments of a network, by name."""


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
        if self.upscale > 1 and self.alpha_encoding == "inflated":
            raise ConfigError(
                "Expected no upscale with alpha_encoding inflated, whose decoder is the VAE's. Remove one."
            )

    @property
    def upscale(self) -> int:
        """Returns how many times larger each side of a decoded image is than the VAE's."""
        upscale = self.alpha_decoder.get("upscale", 1)
        return upscale if isinstance(upscale, int) else 1


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
    base_adapter: str = ""
    """Name of the adapter of `init` that is merged first, under the one that is trained. Empty is none."""
    init_adapter: str = ""
    """Adapter file from which training goes on, by the same method, rank and format. Empty begins anew."""
    bits: Literal[16, 8] = 16
    """Bits of a value in the file: half precision, or 8, which Pellucid alone reads."""

    def __post_init__(self) -> None:
        PlacedImageOptions.__post_init__(self)
        check_range(self, ("rank",), 1)
        check_file_name(self.name)
        if self.base_adapter == self.name:
            raise ConfigError(
                f"Expected another name than that of the adapter below, got {self.name!r} for both. "
                "Change model.name."
            )


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


ModelOptions = (
    VaeOptions
    | AutoencoderOptions
    | BaseOptions
    | TransparentOptions
    | ControlOptions
    | JointLayersOptions
    | ConditionalLayersOptions
)


def options_class(stage: str, table: Table) -> type[ModelOptions]:
    """Returns the dataclass of a stage's `model` table; two stages have another one for some tables."""
    # two stages have a second dataclass, and one field of the table says which is meant
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
    kind, where = options_class(stage, table), f"[{stage}.model]"
    check_names(table, field_names(kind), where=where)
    return kind(**check_types(table, kind, where=where))  # pyright: ignore[reportArgumentType]


def _check_networks(options: AutoencoderOptions) -> None:
    """Refuses arguments that the networks' constructors do not take."""
    # networks are imported only to check tables that a recipe has: `--help` has none
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
        # by the constructor's annotations, so that a network's options are written down once
        check_types(table, network.__init__, where=where)
