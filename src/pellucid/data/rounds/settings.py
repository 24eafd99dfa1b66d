"""Choices of a round, made when it begins and kept with it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from pellucid.errors import ConfigError
from pellucid.files.tables import is_list

Order = Literal["seed", "stratified", "uncertainty"]
Grouping = Literal["near-duplicate", "prompt", "none"]
REASONS = (
    "not the prompt",
    "background painted in",
    "halo or fringe",
    "holes in the subject",
    "cut off",
    "deformed",
    "text or watermark",
    "noise or blur",
    "other",
)
"""Why an image is refused; the page puts them on the keys 1 to 9."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSettings:
    """How many images a round has and how they are shown to people.

    The numbers of the paper (section 3.4, Fig. 3) are the defaults: 10,000 images, 1,000 kept, at twice the
    chance of being drawn in the next training. The shares are common practice for labels by several people.
    """

    samples: int = 10_000
    """Images to make."""
    keep: int = 1000
    """Images that people are asked to keep; a goal that the page shows, no limit."""
    kept_weight: float = 2.0
    """`Record.weight` of what this round keeps, in the next training alone."""
    seed: int = 0
    """Of prompts, images and order."""
    overlap: float = 0.1
    """Share of images that two reviewers judge, to measure how far they agree."""
    gold: float = 0.05
    """Share of images shown whose verdict is known; only where the round was given some."""
    second_look: float = 0.05
    """Share of images shown that their reviewer has judged before: does one agree with oneself?"""
    order: Order = "stratified"
    """`seed` shuffles, `stratified` takes turns between classes of prompts, `uncertainty` puts the highest
    first."""
    grouping: Grouping = "near-duplicate"
    """Images that are shown as one, to choose the best of."""
    lease_s: float = 600.0
    """Seconds until an image that was dealt out goes to somebody else."""
    reasons: tuple[str, ...] = REASONS
    """Why an image is refused, nine at most."""

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in ("overlap", "gold", "second_look")}
        if bad := {name: value for name, value in shares.items() if not 0 <= value <= 1}:
            raise ConfigError(f"Expected shares from 0 to 1, got {bad}. Write 0.1 for a tenth.")
        if self.gold + self.second_look > 0.5:
            raise ConfigError(
                f"Expected gold and second looks in at most half of what is shown, got {self.gold} and "
                f"{self.second_look}. Lower one of them."
            )
        if self.samples < 1 or self.keep < 0 or self.seed < 0:
            raise ConfigError(
                f"Expected 1 image or more, and no negative goal or seed, got {self.samples}, {self.keep} "
                f"and {self.seed}. Change them."
            )
        if not (0 < self.kept_weight < math.inf and 0 < self.lease_s < math.inf):
            raise ConfigError(
                f"Expected a weight and a lease above 0, got {self.kept_weight} and {self.lease_s}. "
                "Change them."
            )
        if self.order not in get_args(Order) or self.grouping not in get_args(Grouping):
            raise ConfigError(
                f"Expected an order of {get_args(Order)} and a grouping of {get_args(Grouping)}, got "
                f"{self.order!r} and {self.grouping!r}. Choose from those."
            )
        if not 0 < len(self.reasons) <= 9:
            raise ConfigError(
                f"Expected 1 to 9 reasons, one a key, got {len(self.reasons)}. Shorten the list."
            )

    def plain(self) -> dict[str, object]:
        """Returns the settings as JSON's own types."""
        return {**asdict(self), "reasons": list(self.reasons)}

    @classmethod
    def from_plain(cls, values: Mapping[str, object]) -> "RoundSettings":
        """Makes settings of what `plain` gave; names that this version does not know are left out."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        if is_list(reasons := known.get("reasons")):
            known["reasons"] = tuple(str(reason) for reason in reasons)
        return cls(**known)  # pyright: ignore[reportArgumentType] - __post_init__ checks them
