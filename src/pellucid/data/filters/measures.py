"""Measures what the rules decide on: once for each image, and kept with it."""

from dataclasses import dataclass

import numpy as np

from pellucid.data.filters.painted_backgrounds import checkerboard_share, matte_share
from pellucid.data.records import softness
from pellucid.rgba import defects
from pellucid.rgba.types import RGBA8

VISIBLE = 13
"""Alpha, levels, from which a pixel is seen on most backgrounds; `records.softness` uses it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What is known of one image without looking at other images."""

    height: int
    width: int
    visible: float
    """Share of pixels with an alpha of `VISIBLE` or more."""
    transparent: float
    """Share of pixels with an alpha below `VISIBLE`."""
    soft: float
    """Share of the visible area that is partly transparent and no edge; see `records.softness`."""
    strongest: int
    """Largest alpha, levels."""
    checkerboard: float
    """See `painted_backgrounds.checkerboard_share`."""
    matte: float
    """See `painted_backgrounds.matte_share`."""
    fringe: float
    """Levels; see `defects.score`, as the two below."""
    dirty: float
    specks: int


def measure(rgba: RGBA8) -> Measures:
    """Measures an image.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
    """
    alpha = rgba[..., 3]
    visible = float((alpha >= VISIBLE).mean())
    transparent = 1 - visible
    # an image without transparency has no edge whose colours could be wrong, and looking for one is slow
    faults = defects.score(rgba) if visible > 0 and transparent > 0 else None
    return Measures(
        height=rgba.shape[0],
        width=rgba.shape[1],
        visible=visible,
        transparent=transparent,
        soft=softness(rgba),
        strongest=int(alpha.max(initial=0)),
        # only what reaches the border opaquely can be a painted background
        checkerboard=checkerboard_share(rgba),
        matte=matte_share(rgba),
        fringe=faults.fringe if faults else 0.0,
        dirty=faults.dirty if faults else 0.0,
        specks=faults.specks if faults else 0,
    )


def as_scores(measures: Measures) -> dict[str, float]:
    """Returns the measures that are worth keeping with a record, rounded."""
    return {
        name: round(float(value), 4)
        for name, value in (
            ("fringe", measures.fringe),
            ("dirty", measures.dirty),
            ("transparent", measures.transparent),
        )
        if np.isfinite(value)
    }
