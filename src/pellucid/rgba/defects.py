"""Faults of a transparent picture that show without a reference: fringes, dirt, specks, holes.

Pictures are uint8 (h, w, 4), straight alpha; alpha and colour are counted in levels, 0 to 255. An alpha is
called clear at `dirt` or less, solid at 255 - `dirt` or more, and partial in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, UInt8

from pellucid.errors import InputError
from pellucid.rgba.types import AnyArray, check_rgba8

NINE_COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "black": (0, 0, 0),
        "grey": (128, 128, 128),
        "white": (255, 255, 255),
        "red": (255, 0, 0),
        "green": (0, 255, 0),
        "blue": (0, 0, 255),
        "yellow": (255, 255, 0),
        "cyan": (0, 255, 255),
        "magenta": (255, 0, 255),
    }
)
"""The solid backgrounds on which pictures are judged, levels."""
DIRT = 8
"""Levels that alpha may lie off 0 or 255 and still be meant as that."""
SMALL = 1e-4
"""Share of the picture that a speck or hole may weigh: ten by ten opaque pixels at 1024 px."""
EDGE_SHARE = 1 / 256
"""Widest edge on either side of a pixel, as a share of the longer side, at least `NARROWEST_PX`."""
NARROWEST_PX = 2
GENTLE = 4
"""Times `dirt`: alpha that climbs no higher than this within two pixels climbs gently, as smoke does."""
TAIL_PX = 2
"""An edge's own last pixels reach so far from it."""
DUST = 0.02
"""Specks that weigh more than this share of what is visible are the picture: snow, confetti."""
HALF = 128
"""A hole's alpha falls below this somewhere."""
LONELY_PX = 3
"""So far around a hole all is solid; the gaps of a mesh or between spokes have neighbours."""

Mask = Bool[np.ndarray, "h w"]
Alpha = UInt8[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How clean a picture is. All 0 is best."""

    fringe: float
    """Mean of `fringe_by_colour`, levels."""
    fringe_by_colour: Mapping[str, float]
    """By name of the nine colours: how far partial pixels, laid on it, lie outside what the colours of solid
    pixels near by and the background can mix to; worst channel, mean over all partial pixels, levels."""
    dirty: float
    """Share of pixels whose alpha is within `DIRT` of 0 or 255, not on it, and not the end of a gradient."""
    specks: int
    """Small visible areas that touch nothing else."""
    holes: int
    """Small areas, half transparent or more, enclosed in solid ones."""

    def as_dict(self) -> dict[str, Any]:
        """Returns the scores by name, rounded for a report."""
        by_colour = {name: round(value, 2) for name, value in self.fringe_by_colour.items()}
        return {
            "fringe": round(self.fringe, 2),
            "fringe_by_colour": by_colour,
            "dirty": round(self.dirty, 5),
            "specks": self.specks,
            "holes": self.holes,
        }


@dataclass(frozen=True, slots=True, eq=False)
class AlphaFaults:
    """Where one end of the alpha is dirty: 0 with `stray` specks, or 255 with `stray` holes."""

    haze: Mask
    """Pixels a little off that end."""
    stray: Mask
    """Pixels of specks or holes."""

    def count(self, connectivity: int) -> int:
        """Counts the specks or holes; diagonal neighbours are connected at 8, not at 4."""
        return cv2.connectedComponents(self.stray.astype(np.uint8), connectivity=connectivity)[0] - 1


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Partly transparent pixels between solid and clear ones, n of them, and what is solid around each."""

    at: Mask
    partial: int
    """How many pixels are partly transparent, edges and others."""
    alpha: Float[np.ndarray, "n 1"]
    """[0, 1]."""
    colour: Float[np.ndarray, "n 3"]
    """Their own colour, levels; the three below too."""
    darkest: Float[np.ndarray, "n 3"]
    lightest: Float[np.ndarray, "n 3"]
    mean: Float[np.ndarray, "n 3"]


def score(rgba: AnyArray, *, dirt: int = DIRT, small: float = SMALL) -> Faults:
    """Counts the faults of a picture.

    An edge pixel should look like a mix of the object and of what is behind it. On each background b of the
    nine colours the pixel shows s = a * colour + (1 - a) * b, and its fringe is how far s lies, in the worst
    channel, outside the range that b and the solid pixels near by span. Only edges a few pixels wide are
    looked at, between solid and clear (see `edge_reach`): what lies deeper in glass, smoke or glow has
    colours of its own and counts 0.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
        dirt: levels, 0 to 63; 0 finds no dirt.
        small: weight of a speck or hole (the sum of its alpha, or of what it lacks to 255, counted in opaque
            pixels) as a share of the picture, [0, 1]; 0 finds none.

    Raises:
        InputError: not such a picture, or numbers outside their range.
    """
    check_rgba8(rgba)
    check_limits(dirt, small)
    below, above = clear_faults(rgba[..., 3], dirt, small), solid_faults(rgba[..., 3], dirt, small)
    by_colour = fringe_by_colour(edges_of(rgba, dirt, below.stray))
    return Faults(
        fringe=sum(by_colour.values()) / len(by_colour),
        fringe_by_colour=by_colour,
        dirty=float((below.haze | above.haze).mean()),
        specks=below.count(8),
        holes=above.count(4),
    )


def check_limits(dirt: int, small: float) -> None:
    """Raises InputError for limits that mean nothing."""
    if not (0 <= dirt <= 63 and 0 <= small <= 1):  # false for NaN too
        raise InputError(
            f"Expected dirt of 0 to 63 levels and a small share of 0 to 1, found {dirt} and {small}. "
            "0 turns either off."
        )


def clear_faults(alpha: Alpha, dirt: int, small: float) -> AlphaFaults:
    """Finds halo and specks where the image should be transparent."""
    areas = _Areas(alpha, dirt, connectivity=8)
    light = areas.lighter_than(small)
    if areas.weight[light].sum() > DUST * areas.weight.sum():
        light[:] = False
    return _faults_of_end(alpha, dirt, light[areas.labels])


def solid_faults(alpha: Alpha, dirt: int, small: float) -> AlphaFaults:
    """Finds halo and holes where the image should be opaque."""
    areas = _Areas(255 - alpha, dirt, connectivity=4)
    chosen = areas.lighter_than(small)
    if chosen.any():
        chosen &= areas.reaching(256 - HALF) & ~areas.with_company()
    return _faults_of_end(255 - alpha, dirt, chosen[areas.labels])


class _Areas:
    """Connected areas of what is deeper than `dirt`; entry 0 of each list is for the rest."""

    def __init__(self, depth: Alpha, dirt: int, *, connectivity: int) -> None:
        self.depth, deep = depth, (depth > dirt).astype(np.uint8)
        count, labels = cv2.connectedComponents(deep, connectivity=connectivity)
        self.count, self.labels = count, np.asarray(labels, np.int32)
        self.weight = np.bincount(self.labels.ravel(), np.where(deep, depth, 0).ravel(), count) / 255

    def lighter_than(self, share: float) -> npt.NDArray[np.bool_]:
        return (self.weight <= share * self.depth.size) & (np.arange(self.count) > 0)

    def reaching(self, level: int) -> npt.NDArray[np.bool_]:
        return self._holding(self.depth >= level)

    def with_company(self) -> npt.NDArray[np.bool_]:
        """Marks areas near another area or the image border: gaps of a mesh, no defect of a surface."""
        labels, window = self.labels.astype(np.float32), np.ones((2 * LONELY_PX + 1,) * 2, np.uint8)
        inside = labels > 0
        highest = cv2.dilate(labels, window, borderType=cv2.BORDER_CONSTANT, borderValue=self.count)
        lowest = cv2.erode(np.where(inside, labels, self.count).astype(np.float32), window)
        return self._holding(inside & ((highest != labels) | (lowest != labels)))

    def _holding(self, pixels: Mask) -> npt.NDArray[np.bool_]:
        held = np.zeros(self.count, np.bool_)
        held[self.labels[pixels]] = True
        return held


def _faults_of_end(depth: Alpha, dirt: int, areas: Mask) -> AlphaFaults:
    """Leaves out what belongs to a gradient: haze and areas whose nearest large neighbour climbs gently."""
    shallow = (depth > 0) & (depth <= dirt)
    large = (depth > dirt) & ~areas
    if not large.any():  # nothing tells dirt from picture
        return AlphaFaults(np.zeros_like(shallow), areas)
    if not (shallow.any() or areas.any()):
        return AlphaFaults(shallow, areas)
    distance, labels = cv2.distanceTransformWithLabels(
        (~large).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(labels, np.int32)
    window = np.ones((5, 5), np.uint8)
    gentle = np.zeros(int(nearest.max()) + 1, np.bool_)
    gentle[nearest[large]] = cv2.dilate(depth, window)[large] <= GENTLE * dirt
    steep = ~gentle[nearest]
    haze = shallow & steep
    core = haze & (distance > TAIL_PX)  # an edge's own last pixels are no haze unless they lie in one
    haze &= cv2.dilate(core.astype(np.uint8), window) > 0
    return AlphaFaults(haze, areas & steep)


def edge_reach(height: int, width: int) -> int:
    """Returns how far (px) an edge pixel may lie from solid and from clear ones: 4 at 1024 px."""
    return max(NARROWEST_PX, round(max(height, width) * EDGE_SHARE))


def edges_of(rgba: AnyArray, dirt: int, specks: Mask) -> Edges:
    """Collects the pixels of narrow edges, except those of specks."""
    colour, alpha = rgba[..., :3], rgba[..., 3]
    side = 2 * edge_reach(*alpha.shape) + 1
    window = np.ones((side, side), np.uint8)
    solid = (alpha >= 255 - dirt).astype(np.uint8) * np.uint8(255)
    partial = (alpha > dirt) & (solid == 0) & ~specks
    at = partial & (cv2.dilate(solid, window) > 0) & (cv2.erode(alpha, window) <= dirt)
    dark, light = colour & solid[..., None], colour | ~solid[..., None]  # 0 and 255 where not solid
    total, count = (
        cv2.boxFilter(each, cv2.CV_32F, (side, side), normalize=False)[at] for each in (dark, solid)
    )
    return Edges(
        at=at,
        partial=int(partial.sum()),
        alpha=alpha[at][:, None] / 255,
        colour=colour[at].astype(np.float64),
        darkest=cv2.erode(light, window)[at].astype(np.float64),
        lightest=cv2.dilate(dark, window)[at].astype(np.float64),
        mean=total.astype(np.float64) * 255 / np.maximum(count, 255)[:, None],
    )


def fringe_by_colour(edges: Edges) -> dict[str, float]:
    """Measures the visible fringe on each of the nine colours, in levels; see `score`."""
    scores: dict[str, float] = {}
    for name, back in NINE_COLOURS.items():
        shown = edges.alpha * edges.colour + (1 - edges.alpha) * back
        above = shown - np.maximum(edges.lightest, back)
        below = np.minimum(edges.darkest, back) - shown
        outside = np.maximum(np.maximum(above, below), 0).max(axis=1, initial=0)
        scores[name] = float(outside.sum()) / max(edges.partial, 1)
    return scores
