"""A small version of an image that comes by strips of rows."""

import numpy as np

from pellucid.rgba.types import RGBA8


class StripShrinker:
    """Averages strips down by a whole number, alpha weighing colour.

    An image of up to twice `least` pixels a side stays as it is, to the byte.
    """

    def __init__(self, height: int, width: int, least: int = 512) -> None:
        """`least`: pixels of the longer side that are kept at least."""
        self.factor = max(1, max(height, width) // least)
        rows, columns = (-(-side // self.factor) for side in (height, width))
        self._height, self._width = height, width
        if self.factor == 1:
            self._sums = np.zeros((rows, columns, 4), np.uint8)
        else:
            self._sums = np.zeros((rows, columns, 4), np.float32)

    def add(self, top: int, strip: RGBA8) -> None:
        """Takes the strip, uint8 (rows, width, 4), straight, that begins at row `top`."""
        if self.factor == 1:
            self._sums[top : top + len(strip)] = strip
            return
        alpha = strip[..., 3:].astype(np.float32)
        weighed = np.concatenate([strip[..., :3] * alpha, alpha], axis=-1)
        sums = np.add.reduceat(weighed, np.arange(0, self._width, self.factor), axis=1)
        blocks = np.arange(top, top + len(strip)) // self.factor
        firsts = np.flatnonzero(np.diff(blocks, prepend=-1))
        self._sums[blocks[firsts]] += np.add.reduceat(sums, firsts, axis=0)

    @property
    def image(self) -> RGBA8:
        """Returns the small image, uint8 (h, w, 4), straight."""
        if self.factor == 1:
            return self._sums
        alpha = self._sums[..., 3:]
        colour = self._sums[..., :3] / np.maximum(alpha, 1)
        # blocks at the right and the lower border hold fewer pixels
        counts = np.outer(
            *(
                np.minimum(self.factor, side - np.arange(0, side, self.factor)).astype(np.float32)
                for side in (self._height, self._width)
            )
        )
        return np.rint(np.concatenate([colour, alpha / counts[..., None]], axis=-1)).astype(np.uint8)
