"""What a document shows: whole images in float64, one after the other, nothing clever.

Sources: W3C, "Compositing and Blending Level 1", 5 (simple alpha compositing), 9 (operators), 10.1 (mixing of
a blend function); ISO 32000-1, 11.4 (groups). Blend functions are psd-tools', which its authors pinned to
Photoshop's own pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from psd_tools.composite import blend
from psd_tools.constants import BlendMode

from corpus.model import HEIGHT, WIDTH, Document, Mask, Node

Picture = tuple[np.ndarray, np.ndarray]
"""Straight colour (h, w, 3) and alpha (h, w, 1) in [0, 1]."""

STEPPED = {
    "hard_mix", "darker_color", "lighter_color", "vivid_light", "color_dodge", "color_burn", "divide",
    "hue", "saturation",
}  # fmt: skip
"""Modes with a step: at a threshold, at white, black or grey."""

OPERATORS: dict[str, Callable[[np.ndarray, np.ndarray], Picture]] = {
    # what stays of the source and of the backdrop, from their alphas
    "source_atop": lambda above, below: (below, 1 - above),
    "destination_in": lambda above, below: (0 * above, above),
    "destination_out": lambda above, below: (0 * above, 1 - above),
    "destination_atop": lambda above, below: (1 - below, above),
    "plus": lambda above, below: (1 + 0 * above, 1 + 0 * above),
}


def render(document: Document, *, narrow: bool = False) -> np.ndarray:
    """Returns the picture, premultiplied (h, w, 4) in [0, 1].

    Args:
        document: what to draw.
        narrow: round layers of 16 bits to 8 before.
    """
    colour, alpha = _Drawing(document, narrow).lay(document.nodes, _empty())
    return np.dstack([colour * alpha, alpha])


def differences(found: np.ndarray, document: Document, *, narrow: bool = True) -> np.ndarray:
    """Returns how far an image, uint8 (h, w, 4), is off at each pixel (h, w): levels, premultiplied."""
    levels = found / 255
    levels[..., :3] *= levels[..., 3:]
    return np.abs(levels - render(document, narrow=narrow)).max(axis=2) * 255


def has_steps(document: Document) -> bool:
    """Says whether the last bit of a sum may decide about a whole pixel."""
    return any(node.mode in STEPPED for node in document.walk())


@dataclass(frozen=True)
class _Drawing:
    document: Document
    narrow: bool

    def lay(self, nodes: list[Node], below: Picture) -> Picture:
        """Lays nodes over a backdrop, bottom first; what is clipped goes with its base."""
        place = 0
        while place < len(nodes):
            base, place = nodes[place], place + 1
            held: list[Node] = []
            while place < len(nodes) and nodes[place].clipped:
                held.append(nodes[place])
                place += 1
            if base.visible:
                below = self._laid(base, held, below)
        return below

    def _laid(self, base: Node, held: list[Node], below: Picture) -> Picture:
        share = _share(base)
        if base.mode == "pass_through" and not held and not base.clipped:
            assert base.children is not None
            return _between(below, self.lay(base.children, below), share)
        colour, alpha = self._alone(base)
        for node in held:
            if node.visible:
                above, cover = self._alone(node)
                cover = cover * _share(node)
                colour = (1 - cover) * colour + cover * self._blended(node.mode, colour, above)
        return self._over(below, (colour, alpha * share), base.mode)

    def _alone(self, node: Node) -> Picture:
        """A layer on an empty canvas, or a group drawn for itself."""
        if node.children is not None:
            return self.lay(node.children, _empty())
        levels = self.document.shown(node, narrow=self.narrow)
        canvas = _pasted(np.zeros((HEIGHT, WIDTH, 4)), levels, node.top, node.left)
        return canvas[..., :3], canvas[..., 3:]

    def _blended(self, mode: str, below: np.ndarray, above: np.ndarray) -> np.ndarray:
        if mode in ("normal", "pass_through"):
            return above
        function = blend.BLEND_FUNC[BlendMode[mode.upper()]]
        return np.clip(function(below, above), 0, 1)

    def _over(self, below: Picture, above: Picture, mode: str) -> Picture:
        (colour_below, alpha_below), (colour, alpha) = below, above
        if mode in OPERATORS:
            of_above, of_below = OPERATORS[mode](alpha, alpha_below)
            cover = np.minimum(of_above * alpha + of_below * alpha_below, 1)
            total = of_above * alpha * colour + of_below * alpha_below * colour_below
            return _divided(np.minimum(total, cover), cover)
        mixed = (1 - alpha_below) * colour + alpha_below * self._blended(mode, colour_below, colour)
        cover = alpha + alpha_below - alpha * alpha_below
        return _divided(alpha * mixed + (1 - alpha) * alpha_below * colour_below, cover)


def _empty() -> Picture:
    return np.zeros((HEIGHT, WIDTH, 3)), np.zeros((HEIGHT, WIDTH, 1))


def _share(node: Node) -> np.ndarray:
    share = np.full((HEIGHT, WIDTH, 1), node.opacity / 255 * (node.fill / 255))
    return share if node.mask is None or node.mask.disabled else share * _mask(node.mask)


def _mask(mask: Mask) -> np.ndarray:
    outside = np.full((HEIGHT, WIDTH, 1), mask.outside / 255)
    return _pasted(outside, mask.levels[..., None] / 255, mask.top, mask.left)


def _pasted(canvas: np.ndarray, image: np.ndarray, top: int, left: int) -> np.ndarray:
    """Puts every pixel of an image that has a place on the canvas there."""
    for row in range(max(0, -top), min(image.shape[0], HEIGHT - top)):
        for column in range(max(0, -left), min(image.shape[1], WIDTH - left)):
            canvas[row + top, column + left] = image[row, column]
    return canvas


def _between(first: Picture, second: Picture, share: np.ndarray) -> Picture:
    """Mixes two pictures, premultiplied."""
    alpha = (1 - share) * first[1] + share * second[1]
    return _divided((1 - share) * first[1] * first[0] + share * second[1] * second[0], alpha)


def _divided(premultiplied: np.ndarray, alpha: np.ndarray) -> Picture:
    return premultiplied / np.where(alpha > 0, alpha, 1), alpha
