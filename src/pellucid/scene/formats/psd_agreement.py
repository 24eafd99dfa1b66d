"""Whether what was drawn of a PSD agrees with the flattened image that its own program stored.

How Photoshop draws effects, gradients and paths is told by nobody, so a drawing counts only where the file
itself proves it. Everywhere but at smoothed edges each pixel must be within two levels, which is as far as
rounding goes in a stack. At edges programs take other samples, of which one moves a pixel by 3 levels, and by
more where dark light is mixed: there the mean counts, so that nothing hides in a large canvas.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.layer import Group, Mask
from pellucid.scene.scene import Scene

CLOSE = 2
"""Levels within which an image is right."""
EDGE = 4.0
"""Levels that the pixels at smoothed edges may be off in the mean, about one sample of an edge."""
FURTHEST = 128
"""Levels that one of them may be off: half of what lies between black and white."""
SHARE_CLOSE = 0.995
MEAN = 0.2
ROUNDING = 1
"""Levels that rounding, or dither in a gradient, may move a pixel."""
STRIP_PIXELS = 1 << 18


class Agreement(NamedTuple):
    """How far an image is from another, in levels, premultiplied."""

    furthest: float
    """Of all pixels."""
    beyond: int
    """Pixels that are not at smoothed edges and more than `CLOSE` off."""
    edge: float
    """The mean of pixels at smoothed edges."""
    share_close: float
    mean: float
    """Of all pixels, beyond what rounding may move them."""

    @property
    def is_right(self) -> bool:
        """Whether the images are the same, but for the samples of edges."""
        return (
            self.beyond == 0
            and self.furthest <= FURTHEST
            and self.edge <= EDGE
            and self.share_close >= SHARE_CLOSE
            and self.mean <= MEAN
        )

    @property
    def words(self) -> str:
        """Says how far, as the end of a sentence."""
        share = 100 * (1 - self.share_close)
        off = f"by up to {self.furthest:.0f} levels, by more than {CLOSE} in {share:.2f} % of the pixels"
        return f"off the file's own image {off}"


def compare(image: RGBA8, truth: RGBA8, smoothed: AnyArray | None) -> Agreement:
    """Compares two images, uint8 (h, w, 4).

    Args:
        image: as it was drawn.
        truth: as the file has it.
        smoothed: bool (h, w), pixels at smoothed edges; None for none.
    """
    height, width = image.shape[:2]
    furthest, beyond, close, total, edge = 0.0, 0, 0, 0.0, 0.0
    rows = max(1, STRIP_PIXELS // width)
    for first in range(0, height, rows):
        part = slice(first, first + rows)
        away = np.abs(_premultiplied(image[part]) - _premultiplied(truth[part])).max(axis=-1)
        far = away > CLOSE
        furthest, total = (
            max(furthest, float(away.max())),
            total + float(np.maximum(away - ROUNDING, 0).sum()),
        )
        close += int(far.size - np.count_nonzero(far))
        near = np.zeros_like(far) if smoothed is None else smoothed[part]
        edge += float(away[near].sum())
        beyond += int(np.count_nonzero(far & ~near))
    count, edges = height * width, 0 if smoothed is None else int(np.count_nonzero(smoothed))
    return Agreement(furthest, beyond, edge / max(edges, 1), close / count, total / count)


def rows_of(scene: Scene, rows: slice) -> Scene:
    """Returns some rows of a scene as a scene by itself."""
    groups: dict[Group, Group] = {}
    for layer in scene.layers:
        for group in layer.groups:
            groups.setdefault(group, replace(group, mask=_raised(group.mask, rows.start)))
    layers = tuple(
        replace(
            layer,
            offset=(layer.offset[0] - rows.start, layer.offset[1]),
            mask=_raised(layer.mask, rows.start),
            groups=tuple(groups[group] for group in layer.groups),
        )
        for layer in scene.layers
    )
    return replace(scene, layers=layers, height=rows.stop - rows.start, references=())


def _raised(mask: Mask | None, by: int) -> Mask | None:
    return None if mask is None else replace(mask, offset=(mask.offset[0] - by, mask.offset[1]))


def _premultiplied(rgba: RGBA8) -> AnyArray:
    """Returns levels in which colour under alpha 0 is nothing, float32."""
    levels = rgba.astype(np.float32)
    levels[..., :3] *= levels[..., 3:] / 255
    return levels
