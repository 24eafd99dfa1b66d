"""Defects of a transparent image that show without a reference: fringes, noise, specks, holes.

Images are uint8 (h, w, 4), straight alpha; alpha and colour are counted in levels, 0 to 255. An alpha is
called clear at `noise_threshold` or less, solid at 255 - `noise_threshold` or more, and partial in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, UInt8

from pellucid._deprecation import renamed_arguments, renamed_attributes
from pellucid.errors import InputError
from pellucid.rgba.mixtures import rim_lean, soft_fringe
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
"""The solid backgrounds on which images are judged, levels."""
# With 4, a quarter of the codec's noise stayed; with 16, some images lost quality (docs/log.md, 2026-11-23).
NOISE_THRESHOLD = 8
"""Levels that alpha may lie off 0 or 255 and still be meant as that."""
SPECKLE_SHARE = 1e-4
"""Share of the image that a speck or hole may weigh: ten by ten opaque pixels at 1024 px."""
EDGE_SHARE = 1 / 256
"""Widest edge on either side of a pixel, as a share of the longer side, at least `NARROWEST_PX`."""
NARROWEST_PX = 2
GENTLE_CLIMB = 4
"""Times `noise_threshold`: alpha that climbs no higher than this within two pixels climbs gently, as
smoke does."""
FADING = 0.8
"""Share of a shallow area's pixels, and of its border, that are smooth where it fades to 0."""
TAIL_PX = 2
"""An edge's own last pixels reach so far from it."""
# Without it, snow and confetti would be cleaned away.
SPECKLES_OF_VISIBLE = 0.02
"""Specks that weigh more than this share of what is visible are the image: snow, confetti."""
THIRDS = 28
"""Steps of a search, each of which leaves two thirds: shares to 1/80,000."""
HALF = 128
"""A hole's alpha falls below this somewhere."""
# Otherwise the gaps in rackets and between spokes were filled (docs/log.md, 2026-11-23).
ISOLATION_PX = 3
"""So far around a hole all is solid; the gaps of a mesh or between spokes have neighbours."""

Mask = Bool[np.ndarray, "h w"]
Alpha = UInt8[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defects:
    """How clean an image is. All 0 is best."""

    fringe: float
    """Mean of `fringe_by_colour`, levels."""
    fringe_by_colour: Mapping[str, float]
    """By name of the nine colours: how far partial pixels, laid on it, lie from every mix of the solid pixels
    near by with it; worst channel, mean over all partial pixels, levels."""
    dirty: float
    """Share of pixels whose alpha is within `NOISE_THRESHOLD` of 0 or 255, not on it, and not the end of a
    gradient."""
    specks: int
    """Small visible areas that touch nothing else."""
    holes: int
    """Small areas, half transparent or more, enclosed in solid ones."""
    rim: float = 0.0
    """How far the outermost opaque pixels lean to the colour that is hidden beside them: worst channel, mean,
    levels. 0 where no one colour is hidden there."""

    def as_dict(self) -> dict[str, object]:
        """Returns the scores by name, rounded for a report."""
        by_colour = {name: round(value, 2) for name, value in self.fringe_by_colour.items()}
        return {
            "fringe": round(self.fringe, 2),
            "fringe_by_colour": by_colour,
            "dirty": round(self.dirty, 5),
            "specks": self.specks,
            "holes": self.holes,
            "rim": round(self.rim, 2),
        }


@dataclass(frozen=True, slots=True, eq=False)
class AlphaDefects:
    """Where one end of the alpha is dirty: 0 with specks, or 255 with holes."""

    halo: Mask
    """Pixels a little off that end."""
    speckle: Mask
    """Pixels of specks or holes."""

    def count(self, connectivity: int) -> int:
        """Counts the specks or holes; diagonal neighbours are connected at 8, not at 4."""
        return cv2.connectedComponents(self.speckle.astype(np.uint8), connectivity=connectivity)[0] - 1


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


@renamed_arguments(dirt="noise_threshold", small="speckle_share")
def score(
    rgba: AnyArray, *, noise_threshold: int = NOISE_THRESHOLD, speckle_share: float = SPECKLE_SHARE
) -> Defects:
    """Counts the faults of an image.

    An edge pixel should look like a mix of the object and of what is behind it. On each background b of the
    nine colours the pixel shows s = a * colour + (1 - a) * b, and its fringe is how far s lies, in the worst
    channel, from every mix of b with the solid pixels near by: the eye does not know a, but sees a rim that
    is greyer or lighter than any mix. Only edges a few pixels wide are looked at, between solid and clear
    (see `edge_reach`), and wider ones where a background is mixed in: what lies deeper in glass, smoke or
    glow has colours of its own and counts 0.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
        noise_threshold: levels, 0 to 63; 0 finds no noise.
        speckle_share: most that a speck or hole weighs (the sum of its alpha, or of what it lacks to 255, in
            opaque pixels) as a share of the image, [0, 1]; 0 finds none.

    Raises:
        InputError: not such an image, or numbers outside their range.
    """
    check_rgba8(rgba)
    check_limits(noise_threshold, speckle_share)
    below, above = (
        find_clear_defects(rgba[..., 3], noise_threshold, speckle_share),
        find_solid_defects(rgba[..., 3], noise_threshold, speckle_share),
    )
    by_colour = fringe_by_colour(mixed_edges(rgba) or find_edges(rgba, noise_threshold, below.speckle))
    return Defects(
        fringe=sum(by_colour.values()) / len(by_colour),
        fringe_by_colour=by_colour,
        dirty=float((below.halo | above.halo).mean()),
        specks=below.count(8),
        holes=above.count(4),
        rim=rim_lean(rgba),
    )


def check_limits(noise_threshold: int, speckle_share: float) -> None:
    """Raises InputError for limits that mean nothing."""
    if not (0 <= noise_threshold <= 63 and 0 <= speckle_share <= 1):  # false for NaN too
        raise InputError(
            f"Expected a noise threshold of 0 to 63 levels and a speckle share of 0 to 1, found "
            f"{noise_threshold} and {speckle_share}. "
            "0 turns either off."
        )


def find_clear_defects(alpha: Alpha, noise_threshold: int, speckle_share: float) -> AlphaDefects:
    """Finds halo and specks where the image should be transparent."""
    # 8-connected here and 4 for holes: what touches at a corner separates what lies on either side
    areas = _Areas(alpha, noise_threshold, connectivity=8)
    # crisp dots that are opaque somewhere were drawn: sparkles, punctuation, the point of an i
    light = areas.lighter_than(speckle_share) & ~areas.reaching(255 - noise_threshold)
    if areas.weight[light].sum() > SPECKLES_OF_VISIBLE * areas.weight.sum():
        light[:] = False
    return _find_end_defects(alpha, noise_threshold, light[areas.labels])


def find_solid_defects(alpha: Alpha, noise_threshold: int, speckle_share: float) -> AlphaDefects:
    """Finds halo and holes where the image should be opaque."""
    areas = _Areas(255 - alpha, noise_threshold, connectivity=4)
    chosen = areas.lighter_than(speckle_share)
    if chosen.any():
        chosen &= areas.reaching(256 - HALF) & ~areas.near_others()
    return _find_end_defects(255 - alpha, noise_threshold, chosen[areas.labels])


class _Areas:
    """Connected areas of what is deeper than `noise_threshold`; entry 0 of each list is for the rest."""

    def __init__(self, depth: Alpha, noise_threshold: int, *, connectivity: int) -> None:
        self.depth, deep = depth, (depth > noise_threshold).astype(np.uint8)
        count, labels = cv2.connectedComponents(deep, connectivity=connectivity)
        self.count, self.labels = count, np.asarray(labels, np.int32)
        # by alpha and not by pixels: a faint area of many pixels is seen as little as one dark dot
        self.weight = np.bincount(self.labels.ravel(), np.where(deep, depth, 0).ravel(), count) / 255

    def lighter_than(self, share: float) -> npt.NDArray[np.bool_]:
        return (self.weight <= share * self.depth.size) & (np.arange(self.count) > 0)

    def reaching(self, level: int) -> npt.NDArray[np.bool_]:
        return self._holding(self.depth >= level)

    def near_others(self) -> npt.NDArray[np.bool_]:
        """Marks areas near another area or the image border: gaps of a mesh, no defect of a surface."""
        # as floats, since OpenCV's dilate takes no int32; exact up to 2^24 areas
        float_labels, window = self.labels.astype(np.float32), np.ones((2 * ISOLATION_PX + 1,) * 2, np.uint8)
        inside = float_labels > 0
        highest = cv2.dilate(float_labels, window, borderType=cv2.BORDER_CONSTANT, borderValue=self.count)
        # another label within the window makes highest and lowest differ from a pixel's own
        lowest = cv2.erode(np.where(inside, float_labels, self.count).astype(np.float32), window)
        return self._holding(inside & ((highest != float_labels) | (lowest != float_labels)))

    def _holding(self, pixels: Mask) -> npt.NDArray[np.bool_]:
        held = np.zeros(self.count, np.bool_)
        held[self.labels[pixels]] = True
        return held


def _find_end_defects(depth: Alpha, noise_threshold: int, areas: Mask) -> AlphaDefects:
    """Leaves out what belongs to a gradient: halo and areas whose nearest large neighbour climbs gently."""
    shallow = (depth > 0) & (depth <= noise_threshold)
    large = (depth > noise_threshold) & ~areas
    if not large.any():  # nothing tells noise from image
        return AlphaDefects(np.zeros_like(shallow), areas)
    if not (shallow.any() or areas.any()):
        return AlphaDefects(shallow, areas)
    # a label for each pixel of a large area: every other pixel learns which of them is nearest
    distance, labels = cv2.distanceTransformWithLabels(
        (~large).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(labels, np.int32)
    window = np.ones((5, 5), np.uint8)
    gentle = np.zeros(int(nearest.max()) + 1, np.bool_)
    gentle[nearest[large]] = cv2.dilate(depth, window)[large] <= GENTLE_CLIMB * noise_threshold
    steep = ~gentle[nearest]
    halo = shallow & steep
    core = halo & (distance > TAIL_PX)  # an edge's own last pixels are no halo unless they lie in one
    halo &= (cv2.dilate(core.astype(np.uint8), window) > 0) & ~_fading(depth, noise_threshold)
    return AlphaDefects(halo, areas & steep)


def _fading(depth: Alpha, noise_threshold: int) -> Mask:
    """Marks shallow areas that fade to 0, such as faint shadows beside steep edges."""
    shallow = (depth > 0) & (depth <= noise_threshold)
    count, found = cv2.connectedComponents(shallow.astype(np.uint8), connectivity=8)
    labels = np.asarray(found, np.int32)
    # no deeper than just beyond, so that an object beside the area is no jump
    clipped, window = np.minimum(depth, noise_threshold + 1), np.ones((3, 3), np.uint8)
    smooth = cv2.dilate(clipped, window) - cv2.erode(clipped, window) <= 2
    beside_clear = shallow & (cv2.erode(depth, window) == 0)

    def total(pixels: Mask) -> AnyArray:
        return np.bincount(labels[pixels], minlength=count)

    highest = np.zeros(count)
    np.maximum.at(highest, labels[shallow], depth[shallow])
    fades = total(beside_clear & (depth <= 2)) >= FADING * total(beside_clear)
    chosen = fades & (total(shallow & smooth) >= FADING * total(shallow)) & (highest > noise_threshold / 2)
    chosen[0] = False
    return chosen[labels]


def edge_reach(height: int, width: int) -> int:
    """Returns how far (px) an edge pixel may lie from solid and from clear ones: 4 at 1024 px."""
    return max(NARROWEST_PX, round(max(height, width) * EDGE_SHARE))


def find_edges(rgba: AnyArray, noise_threshold: int, specks: Mask) -> Edges:
    """Collects the pixels of narrow edges, except those of specks."""
    colour, alpha = rgba[..., :3], rgba[..., 3]
    side = 2 * edge_reach(*alpha.shape) + 1
    window = np.ones((side, side), np.uint8)
    solid = (alpha >= 255 - noise_threshold).astype(np.uint8) * np.uint8(255)
    partial = (alpha > noise_threshold) & (solid == 0) & ~specks
    at = partial & (cv2.dilate(solid, window) > 0) & (cv2.erode(alpha, window) <= noise_threshold)
    dark, light = colour & solid[..., None], colour | ~solid[..., None]  # 0 and 255 where not solid
    # sum and number of solid pixels around, of which the mean is made
    total, count = (
        np.asarray(cv2.boxFilter(values, cv2.CV_32F, (side, side), normalize=False))[at]
        for values in (dark, solid)
    )
    return Edges(
        at=at,
        partial=int(partial.sum()),
        alpha=alpha[at][:, None] / 255,
        colour=colour[at].astype(np.float64),
        darkest=np.asarray(cv2.erode(light, window))[at].astype(np.float64),
        lightest=np.asarray(cv2.dilate(dark, window))[at].astype(np.float64),
        mean=total.astype(np.float64) * 255 / np.maximum(count, 255)[:, None],
    )


def mixed_edges(rgba: AnyArray) -> Edges | None:
    """Collects the pixels of edges of any width in which a background is mixed, or returns None."""
    if (found := soft_fringe(rgba)) is None:
        return None
    at, near = found
    return Edges(
        at=at,
        partial=int(at.sum()),
        alpha=rgba[..., 3][at][:, None] / 255,
        colour=rgba[..., :3][at].astype(np.float64),
        darkest=near,
        lightest=near,
        mean=near,
    )


def fringe_by_colour(edges: Edges) -> dict[str, float]:
    """Measures the visible fringe on each of the nine colours, in levels; see `score`."""
    scores: dict[str, float] = {}
    for name, back in NINE_COLOURS.items():
        blended = edges.alpha * edges.colour + (1 - edges.alpha) * back
        outside = outside_mixes(blended, edges.darkest, edges.lightest, np.array(back, np.float64))
        scores[name] = float(outside.sum()) / max(edges.partial, 1)
    return scores


def outside_mixes(shown: AnyArray, darkest: AnyArray, lightest: AnyArray, back: AnyArray) -> AnyArray:
    """Returns how far colours lie from every mix of the object near by with `back`: worst channel, (n,).

    In how the mix's share goes the distance is convex, so the search for the best closes in on it.
    """

    def distance(share: AnyArray) -> AnyArray:
        low, high = back + share * (darkest - back), back + share * (lightest - back)
        return np.maximum(np.maximum(shown - high, low - shown), 0).max(axis=1, keepdims=True, initial=0)

    least, most = np.zeros((len(shown), 1)), np.ones((len(shown), 1))
    for _ in range(THIRDS):
        third = (most - least) / 3
        rises = distance(least + third) <= distance(most - third)
        least, most = np.where(rises, least, least + third), np.where(rises, most - third, most)
    return distance((least + most) / 2)[:, 0]


__getattr__ = renamed_attributes(__name__, Faults="Defects", DIRT="NOISE_THRESHOLD", SMALL="SPECKLE_SHARE")
