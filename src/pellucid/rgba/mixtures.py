"""Background colour that is mixed into soft edges: whether there is one, which, and how to take it out.

Images are uint8 (h, w, 4), straight alpha; colours and distances are in levels, 0 to 255. A pixel of a
cut-out shows share * object + (1 - share) * background. Where a program blended, the share is the alpha; a
mask that was drawn or guessed does not fit its image, and the share has to be read from the colours.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float

from pellucid.rgba.types import RGBA8, AnyArray

Mask = Bool[np.ndarray, "h w"]
Colours = Float[np.ndarray, "*shape 3"]
Levels = tuple[int, int, int]

SOLID = 247
"""Alpha from which a pixel shows the object alone, as far as can be seen."""
FEWEST = 32
"""Soft pixels that it takes to find a background."""
VISIBLE = 1.0
"""Levels of wrong colour, as seen, below which nothing is looked for: bytes round that much."""
ROUNDS = 8
"""Of reweighting; the fit has then settled."""
# The numbers below were chosen on 300 cut-outs, blended and not (docs/log.md, 2026-11-27).
EXPLAINED = 0.35
"""A fitted background is believed if mixing by alpha leaves at most this share of what is wrong."""
FLAT = 0.5
"""And at most this share of what one flat colour leaves: shadows and glows have one."""
HIDDEN_EXPLAINED, HIDDEN_GAIN, POSSIBLE = 0.6, 2.2, 0.995
"""As `EXPLAINED`, for the colour that lies hidden beside the edge: objects with a texture leave more. It is
believed if free shares leave no less than 1 / 2.2 of that, and at least this share of pixels has a possible
colour without the background."""
WRONG = 4.0
"""Levels of wrong colour from which a mask may be called a bad fit."""
MOST_SOFT = 0.4
"""Share of soft pixels above which an image is soft itself, and no bad mask."""
LOOSE_LINE, LOOSE_MIX = 0.45, 0.97
"""What the hidden colour may leave if shares are free, and if they are alpha, for a mask that fits badly."""
NEAR_HIDDEN = 4
"""Levels between a fitted background and the hidden colour that are one."""
PRIOR, KNOWN_PRIOR, LOOSE_PRIOR = 0.01, 0.0005, 0.05
"""Weight of the colour near by against a pixel's own, which is noise where its share is small; less where the
background was named, since then soft things such as glass are solved too."""
UNSURE, FOREIGN = 0.3, 0.6
"""Parts of the way to the colour near by that do not lead to the background: from one on a pixel begins to
keep its own colour, from the other on it keeps all."""


FARTHER = 0.05
"""Say of colour from the next coarser level of a pyramid against that of its own."""
LEANS = 0.96
"""Share of the object below which a solid pixel leans to the background."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """A background that is mixed into soft pixels."""

    colour: Levels
    exact: bool
    """Whether alpha says how much of it is in each pixel."""
    known: bool = False
    """Whether it was named, and not found."""


def find_mixture(rgba: AnyArray) -> Mixture | None:
    """Finds the one colour that is mixed into the edges of an image, or returns None.

    The object's colour at a soft pixel is taken from the solid ones near by. Two candidates are tried: the
    colour under the transparent pixels beside the edge, where it is one and not the black that programs
    leave, and what a robust fit gives. Edges may have any width; soft areas that do not reach the
    transparent ones, such as panes, have no say.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
    """
    alpha = rgba[..., 3]
    solid = alpha >= SOLID
    soft = _soft_edges(alpha, solid)
    if soft.sum() < FEWEST or not solid.any():
        return None
    near = extend_from(rgba[..., :3], solid)
    edge = _Edge((alpha[soft] / 255)[:, None], rgba[soft][:, :3].astype(float), near[soft].astype(float))
    if edge.wrong < VISIBLE:
        return None
    hidden = hidden_colour(rgba)
    if hidden is not None and (edge.is_mixed(hidden) or edge.is_textured_mix(hidden)):
        return Mixture(colour=as_levels(hidden), exact=True)
    if edge.is_mixed(fitted := edge.fitted()):
        return Mixture(colour=as_levels(_refined(rgba, solid, edge, fitted, soft)), exact=True)
    # without a colour that lies there, an outline would pass for a background
    if hidden is None or edge.wrong < WRONG or soft.sum() > MOST_SOFT * (alpha > 0).sum():
        return None
    return Mixture(colour=as_levels(hidden), exact=False) if edge.is_bad_mask(hidden) else None


def unmix(rgba: AnyArray, mixture: Mixture) -> RGBA8:
    """Takes a background out of the soft pixels; alpha and all other pixels keep their bytes.

    Where alpha says how much of the background is in a pixel, its colour is solved for. Elsewhere it is read
    from where the colour lies between object and background, and a pixel that does not lie between them
    keeps its own colour.
    """
    alpha = rgba[..., 3]
    colour, back = rgba[..., :3].astype(np.float32), np.array(mixture.colour, np.float32)
    share, prior = (alpha / np.float32(255))[..., None], KNOWN_PRIOR if mixture.known else PRIOR
    solid = alpha >= SOLID
    trusted, own = solid.astype(np.float32), np.zeros_like(share)
    if not mixture.exact:
        prior = LOOSE_PRIOR
        # thin parts have no core: their solid pixels count a little, which is all where nothing else is near
        trusted = np.maximum(_core(solid, rim_depth(rgba, mixture.colour)), 0.02 * trusted)
    near = extend_from(colour, trusted)
    found = near
    for _ in range(2):  # the second time from the first's colours, which lie nearer
        if not mixture.exact:
            share, foreign = between(colour, near, back)
            own = np.clip((foreign - UNSURE) / (FOREIGN - UNSURE), 0, 1)
        mixed = colour - (1 - share) * back
        found = np.clip(near + share * (mixed - share * near) / (share * share + prior), 0, 255)
        found += own * (colour - found)
        near = extend_from(found, np.where(solid, trusted, (alpha > 0) * share[..., 0] ** 2))
    result = rgba.copy()
    soft = (alpha > 0) & (alpha < 255)
    result[soft, :3] = np.rint(found[soft])
    return result


def between(colour: Colours, near: Colours, back: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Places colours between an object's and a background's.

    Args:
        colour: levels, (…, 3).
        near: the object's, of the same shape.
        back: the background's, (3,).

    Returns:
        The share of the object, [0, 1], and how much of the way from the object's colour does not lead to the
        background, 0 or more; both (…, 1).
    """
    way = near - back
    along = ((colour - back) * way).sum(-1, keepdims=True) / np.maximum((way * way).sum(-1, keepdims=True), 1)
    share = np.clip(along, 0, 1)
    off = np.abs(colour - back - share * way).max(-1, keepdims=True)
    return share, off / np.maximum(np.abs(colour - near).max(-1, keepdims=True), 1)


def rim_depth(rgba: AnyArray, back: Levels) -> int:
    """Returns how many pixels deep, in from the edge, most solid pixels lie between object and background.

    The object's colour is taken from deeper inside: at most 1/128 of the longer side, at least 4 px.
    """
    solid = rgba[..., 3] >= SOLID
    most = max(4, round(max(solid.shape) / 128))
    core = _core(solid, most)
    if not core.any():
        return 0
    colour = rgba[..., :3].astype(np.float32)
    near = extend_from(colour, core)
    padded = np.pad(solid, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1]
    for each in range(1, most + 1):
        ring = (depth > each - 0.5) & (depth < each + 0.5)
        share, foreign = between(colour[ring], near[ring], np.array(back))
        if not ring.any() or np.mean((share < LEANS) & (foreign <= FOREIGN)) < 0.5:
            return each - 1
    return most


def soft_fringe(rgba: AnyArray) -> tuple[Mask, AnyArray] | None:
    """Returns the soft edges of any width in which a background is mixed, and the object's colour there.

    Returns:
        A mask, and levels (n, 3); None if no background is found.
    """
    if find_mixture(rgba) is None:
        return None
    solid = rgba[..., 3] >= SOLID
    soft = _soft_edges(rgba[..., 3], solid)
    return soft, extend_from(rgba[..., :3], solid)[soft].astype(float)


def rim_lean(rgba: AnyArray) -> float:
    """Returns how far the outermost solid pixels lean to the hidden colour beside them, levels; 0 without."""
    back = hidden_colour(rgba)
    if back is None or not (depth := rim_depth(rgba, as_levels(back))):
        return 0.0
    solid = rgba[..., 3] >= SOLID
    colour, core = rgba[..., :3].astype(np.float32), _core(solid, depth)
    rim = solid & (core == 0)
    near = extend_from(colour, core)[rim]
    share, foreign = between(colour[rim], near, back)
    leans = (share < LEANS) & (foreign <= FOREIGN)
    return float((leans * np.abs(colour[rim] - near).max(axis=1, keepdims=True)).mean())


def extend_from(colour: AnyArray, weight: AnyArray) -> AnyArray:
    """Fills in colour where `weight` is 0 from what is near by: pulled up a pyramid, pushed down again.

    Args:
        colour: (h, w, 3), levels.
        weight: (h, w), [0, 1]: how far a pixel's colour is to be believed.

    Returns:
        float32 (h, w, 3); the colour itself where the weight is 1.
    """
    believed = weight.astype(np.float32)
    levels = [np.dstack([colour * believed[..., None], believed]).astype(np.float32)]
    while max(levels[-1].shape[:2]) > 1:
        below, right = levels[-1].shape[0] % 2, levels[-1].shape[1] % 2
        even = np.pad(levels[-1], ((0, below), (0, right), (0, 0)))
        summed = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
        # one whole pixel of four is enough to know the colour
        levels.append((summed / np.maximum(summed[..., 3:], 1)).astype(np.float32))
    filled, sure = levels[-1][..., :3] / np.maximum(levels[-1][..., 3:], 1e-6), levels[-1][..., 3:]
    for level in reversed(levels[:-1]):
        height, width = level.shape[:2]
        size = 2 * filled.shape[1], 2 * filled.shape[0]
        # what was filled in from farther away has less say, or it would bleed back into what is near
        coarse = cv2.resize(np.dstack([filled * sure, sure]), size, interpolation=cv2.INTER_LINEAR)
        coarse, hidden = coarse[:height, :width], 1 - level[..., 3:]
        filled = level[..., :3] + hidden * coarse[..., :3] / np.maximum(coarse[..., 3:], 1e-9)
        sure = level[..., 3:] + hidden * FARTHER * coarse[..., 3:]
    return filled


@dataclass(frozen=True, slots=True, eq=False)
class _Edge:
    """Soft pixels, n of them, and the object's colour near by."""

    alpha: Float[np.ndarray, "n 1"]
    """[0, 1]."""
    colour: Float[np.ndarray, "n 3"]
    near: Float[np.ndarray, "n 3"]

    @property
    def wrong(self) -> float:
        """How far their colour lies from the object's, mean, as seen; the three below too."""
        return self._seen(self.colour - self.near)

    def left_by_mix(self, back: AnyArray) -> float:
        """Returns what is left if each is mixed with `back` by its alpha."""
        return self._seen(self.colour - self.alpha * self.near - (1 - self.alpha) * back)

    def left_by_flat(self, back: AnyArray) -> float:
        """Returns what is left if all have the colour `back` itself."""
        return self._seen(self.colour - back)

    def left_by_line(self, back: AnyArray) -> float:
        """Returns what is left if each is mixed with `back` by any share."""
        share, _ = between(self.colour, self.near, back)
        return self._seen(self.colour - back - share * (self.near - back))

    def is_mixed(self, back: AnyArray) -> bool:
        """Tells whether mixing by alpha explains what is wrong, and no flat colour does."""
        left = self.left_by_mix(back)
        return left <= EXPLAINED * self.wrong and left <= FLAT * self.left_by_flat(back)

    def is_textured_mix(self, back: AnyArray) -> bool:
        """Tells whether an object of many colours is mixed by alpha, which every pixel must allow."""
        left = self.left_by_mix(back)
        if left > min(HIDDEN_EXPLAINED * self.wrong, HIDDEN_GAIN * self.left_by_line(back)):
            return False
        # alpha times the colour without the background; times alpha once more, rounding is below two levels
        solved = (self.colour - (1 - self.alpha) * back) * self.alpha
        possible = np.maximum(solved - 255 * self.alpha**2, -solved).max(axis=1) <= 2
        return left <= FLAT * self.left_by_flat(back) and possible.mean() >= POSSIBLE

    def is_bad_mask(self, back: AnyArray) -> bool:
        """Tells whether the pixels lie between object and background, but not where alpha says."""
        left = self.left_by_line(back)
        return (
            left <= LOOSE_LINE * self.wrong
            and left <= FLAT * self.left_by_flat(back)
            and self.left_by_mix(back) <= LOOSE_MIX * self.wrong
        )

    def fitted(self) -> AnyArray:
        """Fits a background by reweighted least squares, as if alpha were its share."""
        rest, mixed = 1 - self.alpha, self.colour - self.alpha * self.near
        weight, back = np.ones_like(rest), np.zeros(3)
        for _ in range(ROUNDS):
            # in closed form, since the background is the only unknown; beyond 0 to 255 is no colour
            back = np.clip((weight * rest * mixed).sum(0) / (weight * rest**2).sum(0), 0, 255)
            left = np.abs(self.alpha * (mixed - rest * back)).max(axis=1, keepdims=True)
            # towards the sum of absolute errors: pixels with colours of their own lose their say
            weight = 1 / np.maximum(left, 2)
        return back

    def _seen(self, off: AnyArray) -> float:
        return float((self.alpha * np.abs(off).max(axis=1, keepdims=True)).mean())


def _refined(rgba: AnyArray, solid: Mask, edge: _Edge, back: AnyArray, soft: Mask) -> AnyArray:
    """Fits once more, with what little of the background is in the solid pixels taken out of them."""
    share = rgba[..., 3:] / np.float32(255)
    solved = np.clip((rgba[..., :3] - (1 - share) * back) / np.maximum(share, 0.5), 0, 255)
    return replace(edge, near=extend_from(solved, solid)[soft].astype(float)).fitted()


def _soft_edges(alpha: AnyArray, solid: Mask) -> Mask:
    """Marks soft areas that reach transparent pixels and solid ones."""
    soft = (alpha > 255 - SOLID) & ~solid
    count, found = cv2.connectedComponents(soft.astype(np.uint8), connectivity=8)
    labels = np.asarray(found, np.int32)
    window = np.ones((3, 3), np.uint8)
    reached = np.ones(count, np.bool_)
    for mask in (solid, alpha <= 255 - SOLID):
        beside = np.zeros(count, np.bool_)
        beside[np.unique(labels[cv2.dilate(mask.astype(np.uint8), window) > 0])] = True
        reached &= beside
    reached[0] = False
    return reached[labels]


def hidden_colour(rgba: AnyArray) -> AnyArray | None:
    """Returns the colour under transparent pixels beside visible ones, where it is one."""
    beside = cv2.dilate(np.minimum(rgba[..., 3], 1), np.ones((5, 5), np.uint8)) > 0
    hidden = rgba[beside & (rgba[..., 3] == 0)][:, :3]
    if len(hidden) < FEWEST:
        return None
    middle = np.median(hidden, axis=0)
    if not middle.any():  # the black that programs leave says nothing
        return None
    return middle if np.percentile(np.abs(hidden - middle).max(axis=1), 80) <= NEAR_HIDDEN else None


def _core(mask: Mask, depth: int) -> AnyArray:
    return cv2.erode(np.asarray(mask, np.uint8), np.ones((2 * depth + 1,) * 2, np.uint8))


def as_levels(colour: AnyArray | Levels) -> Levels:
    """Rounds a colour, (3,)."""
    red, green, blue = (int(level) for level in np.rint(colour))
    return red, green, blue
