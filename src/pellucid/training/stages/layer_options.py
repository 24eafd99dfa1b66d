"""Options of stage `layers`: scenes, and what of them is generated and seen."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pellucid.errors import ConfigError
from pellucid.pipelines.modes import Role
from pellucid.training.stages.pipeline_options import (
    TRANSPARENT,
    AdapterFormat,
    FrozenPipelineOptions,
    Method,
    check_file_name,
)
from pellucid.training.validation import check_range

if TYPE_CHECKING:
    from pellucid.data.layer_composition import Arrangement  # loads OpenCV


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
        # the range of each number is checked above; which of the two is larger is not
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
    """Layer that is shown, clean: to a UNet's attentions, or beside a transformer's latents. Empty shows
    none."""
    base_adapter: str = TRANSPARENT
    """Name of the adapter of `init` that is merged first. Empty is the plain denoiser."""
    rank: int = 256
    """Rank of each layer's LoRAs; of a transformer also the features by which layers see each other."""
    name: str = "joint"
    """Name of the file in `adapter/`, without its ending."""
    bits: Literal[16, 8] = 16
    """Bits of a value in the file: half precision, or 8, which Pellucid alone reads."""

    def __post_init__(self) -> None:
        SceneOptions.__post_init__(self)
        check_range(self, ("rank",), 1)
        check_file_name(self.name)
        if self.hint_role:
            _check_roles([self.hint_role])
        # a layer that is shown clean cannot be made at the same time
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
    """Name of the adapter of `init` that is merged first. Empty is the plain denoiser. Left out, it
    is `transparent` for a foreground and the plain denoiser for others."""
    method: Method | None = None
    """Which parameters train; the first layer, which grows, always does. Left out, it is `outside-attention`
    for a UNet and `lora` for a transformer."""
    rank: int = 256
    """Rank of LoRAs."""
    trainable: str | None = None
    """Regular expression that narrows what other methods than `lora` train. Left out, `locon` trains all but
    the first layer, which trains whole, and other methods are not narrowed."""
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
        check_file_name(self.file_name)

    @property
    def file_name(self) -> str:
        """Returns the file's name without its ending."""
        return self.name or "-".join((*self.condition_roles, "to", *self.roles))

    @property
    def merged_adapter(self) -> str:
        """Returns the name of the adapter that is merged first, empty for the plain denoiser."""
        usual = TRANSPARENT if self.roles == ("foreground",) else ""
        return usual if self.base_adapter is None else self.base_adapter

    def pattern(self, method: str, first: str) -> str:
        """Returns the regular expression that narrows what trains; `first` is the layer that grows."""
        usual = f"^(?!{re.escape(first)})" if method == "locon" else ""
        return usual if self.trainable is None else self.trainable


def _check_roles(roles: tuple[str, ...] | list[str]) -> None:
    allowed = get_args(Role)
    if not roles or any(role not in allowed for role in roles):
        raise ConfigError(
            f"Expected roles of {', '.join(allowed)}, got {list(roles)}. Name one or more of them."
        )
