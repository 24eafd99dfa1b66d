"""Rules that a synthesised layer triple must pass: one row of data a rule, tried in order.

The rules on the foreground come first, since it is made first: what they drop is never inpainted.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pellucid.data.filters.measures import VISIBLE
from pellucid.data.filters.rules import wrong_rule
from pellucid.rgba.types import RGBA8, AnyArray

OPAQUE = 250
"""Alpha, levels, from which nothing of what is behind is seen."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
STABLE = 6.5, 58.5
"""Constants of the structural similarity for levels of 0 to 255: (0.01 * 255)^2 and (0.03 * 255)^2."""


class TripleRules(BaseModel):
    """Thresholds of the rules, as options or a TOML table give them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_visible: float = Field(default=0.02, ge=0, le=1)
    """Share of the frame that the foreground covers visibly, at least."""
    max_visible: float = Field(default=0.8, ge=0, le=1)
    """The same, at most: what fills the frame leaves no place for a background."""
    min_transparent: float = Field(default=0.05, ge=0, le=1)
    """Share of the foreground's pixels that are transparent, at least."""
    max_changed: float = Field(default=32.0, ge=0)
    """Levels by which the inpainter changed what it was to keep of the foreground, at most: where it moved or
    repainted the subject, its surroundings fit another subject than the one that is laid over them."""
    max_subject: float = Field(default=0.6, ge=-1, le=1)
    """Structural similarity of composite and background where the subject was, at most."""
    min_contrast: float = Field(default=5.0, ge=0)
    """Standard deviation of the background's luminance, levels, at least."""
    max_seam: float = Field(default=24.0, ge=0)
    """Levels by which the repainted background differs from the composite along the border of what was
    repainted, at most: the two are blended there, and where they disagree the blend shows."""
    max_grain: float = Field(default=2.0, ge=0)
    """How many times as rough the composite may be around the subject as what was painted behind it: a model
    that fails on a subject puts a grid or noise around it, and paints a plain place well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TripleMeasures:
    """What is known of a triple; NaN for what was not made, or has no pixels."""

    visible: float
    transparent: float
    changed: float = float("nan")
    subject: float = float("nan")
    contrast: float = float("nan")
    seam: float = float("nan")
    grain: float = float("nan")

    def rounded(self) -> dict[str, float]:
        """Returns what is known, for JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items() if np.isfinite(value)}


@dataclass(frozen=True, slots=True)
class TripleRule:
    """One reason to drop a triple."""

    name: str
    """Stands in the funnel."""
    drops: Callable[[TripleMeasures, TripleRules], bool]


# a comparison with NaN is false: what was not measured drops nothing
TRIPLE_RULES: tuple[TripleRule, ...] = (
    TripleRule("foreground empty", lambda it, rules: it.visible < rules.min_visible),
    # before "fills the frame": an opaque picture does both, and this is the better reason
    TripleRule("foreground not transparent", lambda it, rules: it.transparent < rules.min_transparent),
    TripleRule("foreground fills the frame", lambda it, rules: it.visible > rules.max_visible),
    TripleRule("subject changed in the composite", lambda it, rules: it.changed > rules.max_changed),
    TripleRule("subject still in the background", lambda it, rules: it.subject > rules.max_subject),
    TripleRule("flat background", lambda it, rules: it.contrast < rules.min_contrast),
    TripleRule("seam in the background", lambda it, rules: it.seam > rules.max_seam),
    TripleRule("grain around the subject", lambda it, rules: it.grain > rules.max_grain),
)
NO_PROMPT = "no usable prompt"
"""Reason that is found before these rules."""


def reason_to_drop_triple(measures: TripleMeasures, rules: TripleRules) -> str | None:
    """Returns the name of the first rule that a triple breaks, or None."""
    return next((rule.name for rule in TRIPLE_RULES if rule.drops(measures, rules)), None)


def measure_foreground(rgba: RGBA8) -> TripleMeasures:
    """Measures what is known before anything is inpainted."""
    visible = float((rgba[..., 3] >= VISIBLE).mean())
    return TripleMeasures(visible=visible, transparent=1 - visible)


def measure_changed(known: TripleMeasures, foreground: RGBA8, painted: AnyArray) -> TripleMeasures:
    """Adds how far the inpainter's own picture is from the foreground where that is opaque.

    Args:
        known: of the foreground.
        foreground: uint8 (h, w, 4).
        painted: what the inpainter returned for the composite, uint8 (h, w, 3).
    """
    opaque = foreground[..., 3] >= OPAQUE
    if not opaque.any():  # smoke and glass: there is nothing to keep
        return known
    off = np.abs(painted[opaque].astype(np.int16) - foreground[opaque][:, :3].astype(np.int16))
    return replace(known, changed=float(off.mean()))


def measure_background(
    known: TripleMeasures, foreground: RGBA8, composite: AnyArray, painted: AnyArray, share: AnyArray
) -> TripleMeasures:
    """Adds what the background says.

    Args:
        known: of the foreground and the composite.
        foreground: uint8 (h, w, 4).
        composite: uint8 (h, w, 3).
        painted: what the inpainter returned for the background, uint8 (h, w, 3).
        share: float32 (h, w), how much of it is taken into the background.
    """
    background = np.rint(painted * share[..., None] + composite * (1 - share[..., None]))
    # the outer half of the blend, where the composite has the stronger say
    ring = (share > 0) & (share < 0.5)
    seam = float("nan")
    if ring.any():
        seam = float(np.abs(painted[ring].astype(np.int16) - composite[ring].astype(np.int16)).mean())
    return replace(
        known,
        subject=structural_similarity(composite, background, foreground[..., 3].astype(np.float32)),
        contrast=float((background.astype(np.float32) @ LUMA).std()),
        seam=seam,
        grain=_grain(foreground, composite, background),
    )


def _grain(foreground: RGBA8, composite: AnyArray, background: AnyArray) -> float:
    """Returns the roughness around a subject over that behind it; NaN where one of the two has no pixels.

    Compared with its own scene, since grass is rougher than fog, and large images are smoother than small.
    """
    shown = (foreground[..., 3] > 0).astype(np.uint8)
    # one pixel off the outline, whose edge is no grain
    around = cv2.dilate(shown, np.ones((3, 3), np.uint8)) == 0
    behind = cv2.erode(shown, np.ones((3, 3), np.uint8)) > 0
    if not around.any() or not behind.any():
        return float("nan")
    outside, inside = (
        float(np.abs(cv2.Laplacian(image.astype(np.float32) @ LUMA, cv2.CV_32F))[where].mean())
        for image, where in ((composite, around), (background, behind))
    )
    # half a level: below it roughness is that of rounding
    return (outside + 0.5) / (inside + 0.5)


def structural_similarity(first: AnyArray, second: AnyArray, weight: AnyArray) -> float:
    """Returns the similarity of two images over one region: 1 for the same, about 0 for unlike ones.

    One window, the region itself, instead of many small ones: a subject that was removed leaves neither its
    mean, nor its contrast, nor its structure.

    Args:
        first: (h, w, 3), levels.
        second: likewise.
        weight: (h, w), 0 or more; NaN comes back where it is 0 everywhere.

    Source: Wang et al. 2004, equation 13, a channel at a time.
    """
    total = float(weight.sum())
    if not total:
        return float("nan")
    share = (weight / total)[..., None].astype(np.float64)
    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_x, mean_y = (share * x).sum(axis=(0, 1)), (share * y).sum(axis=(0, 1))
    var_x, var_y = (share * (x - mean_x) ** 2).sum(axis=(0, 1)), (share * (y - mean_y) ** 2).sum(axis=(0, 1))
    both = (share * (x - mean_x) * (y - mean_y)).sum(axis=(0, 1))
    c1, c2 = STABLE
    similar = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return float((similar / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def make_triple_rules(values: Mapping[str, object]) -> TripleRules:
    """Builds rules from a TOML table or options.

    Raises:
        ConfigError: an unknown name or a value out of range.
    """
    try:
        return TripleRules.model_validate(values)
    except ValidationError as error:
        raise wrong_rule(error, TripleRules) from error
