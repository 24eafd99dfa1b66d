"""What nobody else measures of a transparent image: its semi-transparency, its edges, its hidden colour.

Images are uint8 (h, w, 4), straight alpha; levels are 0 to 255.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from pellucid.errors import InputError
from pellucid.rgba.defects import (
    NOISE_THRESHOLD,
    find_clear_defects,
    find_edges,
    mixed_edges,
    outside_mixes,
)
from pellucid.rgba.defects import SPECKLE_SHARE as SPECKS
from pellucid.rgba.types import RGBA8, AnyArray

LEVELS = np.arange(256)
PARTIAL = (LEVELS > NOISE_THRESHOLD) & (LEVELS < 255 - NOISE_THRESHOLD)
"""Alphas that are meant as partly transparent, and not as 0 or 255."""
NEAR_PX = 2
"""Distance from what is visible within which hidden colour is seen once an image is resized or blurred."""

Shares = Float[np.ndarray, "256"]


def alpha_shares(images: Sequence[AnyArray]) -> Shares:
    """Returns the share of pixels at each level of alpha, the mean over images.

    Raises:
        InputError: there is no image.
    """
    if not images:
        raise InputError("Expected images to count alphas of, found none. Give one or more.")
    return np.mean(
        [np.bincount(rgba[..., 3].ravel(), minlength=256) / rgba[..., 3].size for rgba in images], axis=0
    )


def soft_distance(found: Sequence[AnyArray], wanted: Sequence[AnyArray]) -> float:
    """Returns how far two distributions of partial alpha lie apart, [0, 1]; 0 is best.

    It is the least work that turns one distribution into the other: a pixel's alpha is moved at the price of
    the way (earth mover's distance), and pixels may become wholly clear or opaque, or come from there, at the
    price of the way to that end. So a faint halo costs little, missing glass of alpha 0.5 costs most, and how
    much of the image is clear or opaque does not count. The scale is that of the image with more
    semi-transparency: 1 if all of it lies at 0.5 and the other image has none. Edges count, as they are
    semi-transparent too.

    Args:
        found: images to judge, of any sizes.
        wanted: true or real ones; not necessarily as many.
    """
    first, second = (alpha_shares(images) * PARTIAL for images in (found, wanted))
    whole = max(float(first.sum()), float(second.sum()))
    if whole == 0:
        return 0.0
    # along a line the work is the area between cumulative sums; what comes over the lower end is free
    apart = np.cumsum(first - second)[:-1]
    return float(np.abs(apart - np.median(apart)).sum() / 255 / (whole / 2))


def partial_share(rgba: RGBA8) -> float:
    """Returns the share of visible pixels that are partly transparent, [0, 1]."""
    visible = rgba[..., 3] > NOISE_THRESHOLD
    return float(PARTIAL[rgba[..., 3]][visible].mean()) if visible.any() else 0.0


def fringe_on(rgba: RGBA8, background: UInt8[np.ndarray, "h w 3"]) -> float:
    """Returns the visible fringe over a photograph, levels; 0 is best.

    `pellucid.rgba.defects.score` measures it over nine colours; here the background differs by pixel.

    Args:
        rgba: uint8 (h, w, 4).
        background: uint8 (h, w, 3).
    """
    specks = find_clear_defects(rgba[..., 3], NOISE_THRESHOLD, SPECKS).speckle
    edges = mixed_edges(rgba) or find_edges(rgba, NOISE_THRESHOLD, specks)
    back = background[edges.at].astype(np.float64)
    mixed = edges.alpha * edges.colour + (1 - edges.alpha) * back
    outside = outside_mixes(mixed, edges.darkest, edges.lightest, back)
    return float(outside.sum()) / max(edges.partial, 1)


def hidden_colour(rgba: RGBA8) -> float:
    """Returns how far colour under alpha 0 lies from the visible colour beside it, levels; 0 is best.

    Viewers and game engines that resize or blur without premultiplying mix that colour into edges. Only
    pixels within 2 px of visible ones count: the mean of the largest channel's difference from the nearest
    one.

    Args:
        rgba: uint8 (h, w, 4).
    """
    clear: Bool[np.ndarray, "h w"] = rgba[..., 3] == 0
    if clear.all() or not clear.any():
        return 0.0
    distance, labels = cv2.distanceTransformWithLabels(
        clear.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(labels, np.int32)
    colours = np.zeros((int(nearest.max()) + 1, 3))
    colours[nearest[~clear]] = rgba[~clear][:, :3]
    near = clear & (distance <= NEAR_PX)
    return float(np.abs(rgba[near][:, :3] - colours[nearest[near]]).max(axis=1).mean()) if near.any() else 0.0
