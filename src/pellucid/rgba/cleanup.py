"""Cleaning of transparent images: dirty alpha, specks, pinholes, and colour of a background left in edges.

Every step leaves alone what it cannot tell from image: gradients of alpha, glass, smoke, and colours that
one background does not explain. An image without faults comes back bit for bit.
"""

from dataclasses import dataclass

import numpy as np

from pellucid._deprecation import renamed_arguments
from pellucid.errors import InputError, PellucidError
from pellucid.rgba.compositing import Colour, parse_colour
from pellucid.rgba.defects import (
    NOISE_THRESHOLD,
    SPECKLE_SHARE,
    Edges,
    check_limits,
    find_clear_defects,
    find_edges,
    find_solid_defects,
    fringe_by_colour,
)
from pellucid.rgba.estimators import estimate_foreground, load_pymatting
from pellucid.rgba.padding import pad_rgb
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGBA8, AnyArray, check_rgba8

FOREGROUNDS = ("auto", "estimate", "keep")
# A fringe of less than one level is lost when colours are rounded to bytes.
VISIBLE = 1.0
"""Levels of fringe below which colour is left alone."""
# With it, 5 of 2,796 images that needed nothing were taken for mixed (docs/log.md, 2026-11-23).
EXPLAINED = 0.35
"""A background is believed if it leaves at most this share of what is wrong with the edges' colour."""
FEWEST = 32
"""Edge pixels that it takes to find a background."""
ROUNDS = 6
"""Of reweighting; the fit has then settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """What to clean, and how far to go."""

    noise_threshold: int = NOISE_THRESHOLD
    """Alpha at most so many levels off 0 or 255 becomes that, unless a gradient ends there. 0 leaves it."""
    speckle_share: float = SPECKLE_SHARE
    """Specks go and holes are filled up to this weight, as a share of the image. 0 leaves them."""
    foreground: str = "auto"
    """Colour of partly transparent pixels. "auto": if one background colour explains their fringe, it is
    taken out of the mix. "estimate": pymatting estimates the colour of narrow edges. "keep": left."""
    background: Colour | None = None
    """What is mixed into partly transparent pixels. None: "auto" finds it, and "estimate" takes the colour
    under transparent pixels, which images that were cut out of a photograph often still have."""

    def __post_init__(self) -> None:
        check_limits(self.noise_threshold, self.speckle_share)
        if self.foreground not in FOREGROUNDS:
            raise InputError(
                f"Expected a foreground of auto, estimate or keep, found {self.foreground!r}. "
                "Choose one of them."
            )
        if self.background is not None:
            parse_colour(self.background)


Cleaning.__init__ = renamed_arguments(dirt="noise_threshold", small="speckle_share")(Cleaning.__init__)


def clean(rgba: AnyArray, cleaning: Cleaning | None = None) -> RGBA8:
    """Mends the faults that `pellucid.rgba.defects.score` counts.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
        cleaning: None takes the defaults.

    Returns:
        A new image. Pixels without a fault keep their bytes. Pixels that become transparent get the colour
        of what is near by, or 0 where every transparent pixel has 0.

    Raises:
        InputError: not a uint8 RGBA image.
        PellucidError: "estimate" without pymatting.
    """
    check_rgba8(rgba)
    settings = cleaning or Cleaning()
    below = find_clear_defects(rgba[..., 3], settings.noise_threshold, settings.speckle_share)
    above = find_solid_defects(rgba[..., 3], settings.noise_threshold, settings.speckle_share)
    edges = find_edges(rgba, settings.noise_threshold, below.speckle)
    cleaned = _with_clean_colour(rgba, edges, settings)  # before alpha changes, since colour was mixed by it
    if above.speckle.any():
        cleaned[above.speckle, 3] = 0  # so that the colour around is extended into it
        cleaned[above.speckle, :3] = _extended(cleaned)[above.speckle]
    cleaned[above.halo | above.speckle, 3] = 255
    emptied = below.halo | below.speckle
    cleaned[emptied, 3] = 0
    if emptied.any():
        was_hidden = rgba[rgba[..., 3] == 0, :3]
        cleaned[emptied, :3] = _extended(cleaned)[emptied] if was_hidden.any() else 0
    return cleaned


def mixed_background(edges: Edges) -> tuple[int, int, int] | None:
    """Finds the one background colour (levels, 0 to 255) that is mixed into the edges, or returns None.

    With f, the mean colour of the solid pixels near by, as foreground, each edge pixel has the colour
    a * f + (1 - a) * b: b is fitted by reweighted least squares, and believed if it explains the edges far
    better than f alone does.
    """
    if len(edges.alpha) < FEWEST:
        return None
    alpha, rest, weight = edges.alpha, 1 - edges.alpha, np.ones_like(edges.alpha)
    mixed = edges.colour - alpha * edges.mean
    back, left = np.zeros(3), np.ones_like(alpha)
    for _ in range(ROUNDS):
        # least squares in closed form, since the background is the only unknown; beyond 0 to 255 is no colour
        back = np.clip((weight * rest * mixed).sum(0) / (weight * rest**2).sum(0), 0, 255)
        left = np.abs(alpha * (mixed - rest * back)).max(axis=1, keepdims=True)
        # towards the sum of absolute errors: pixels with colours of their own lose their say
        weight = 1 / np.maximum(left, 2)
    wrong = np.abs(alpha * (edges.colour - edges.mean)).max(axis=1)
    if left.mean() > EXPLAINED * wrong.mean():
        return None
    red, green, blue = (int(level) for level in np.rint(back))
    return red, green, blue


def _with_clean_colour(rgba: AnyArray, edges: Edges, settings: Cleaning) -> RGBA8:
    if settings.foreground == "keep":
        return rgba.copy()
    back = None if settings.background is None else parse_colour(settings.background)
    if settings.foreground == "estimate":
        return _estimated(rgba, back, edges)
    if back is None and np.mean(list(fringe_by_colour(edges).values())) >= VISIBLE:
        back = mixed_background(edges)
    return rgba.copy() if back is None else _solved(rgba, back)


def _solved(rgba: AnyArray, back: tuple[int, int, int]) -> RGBA8:
    """Takes a background out of the mix: colour = (mixed - (1 - a) * back) / a."""
    result = rgba.copy()
    at = (rgba[..., 3] > 0) & (rgba[..., 3] < 255)
    alpha = rgba[at][:, 3:] / 255
    # only partial pixels: solid ones hold nothing of the background, clear ones nothing of the object
    result[at, :3] = to_bytes((rgba[at][:, :3] - (1 - alpha) * back) / alpha / 255)
    return result


def _estimated(rgba: AnyArray, back: tuple[int, int, int] | None, edges: Edges) -> RGBA8:
    """Takes the colour of narrow edges from pymatting's multi-level estimate (Germer et al. 2020)."""
    try:
        load_pymatting()
    except ImportError:
        raise PellucidError(
            "Expected pymatting for foreground estimation, found none. "
            "Install it with `pip install 'pellucid[clean]'`, or leave the foreground at auto."
        ) from None
    mixed = rgba[..., :3].copy()
    if back is not None:
        # the estimate looks at the colour of clear pixels, which is the background's where one is known
        mixed[rgba[..., 3] == 0] = back
    colour = np.asarray(estimate_foreground(mixed / 255, rgba[..., 3] / 255))
    result = rgba.copy()
    result[edges.at, :3] = to_bytes(colour[edges.at])
    return result


def _extended(rgba: AnyArray) -> AnyArray:
    return to_bytes(np.clip(pad_rgb(rgba), 0, 1))
