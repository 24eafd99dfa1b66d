"""The part of an image that is repainted, and the size at which the model does so.

Models paint well near the number of pixels that they were trained at. Images far from it are repainted there
and resampled back; of a large image only the surroundings of a mask are. Images are uint8 (h, w, 4), straight
alpha.
"""

from dataclasses import dataclass

import numpy as np

from pellucid.pipelines.model import TransparentModel
from pellucid.rgba.resizing import fit_pixels, fit_rgba, fitted_box
from pellucid.rgba.snapping import fit_snapped
from pellucid.rgba.types import AnyArray

Size = tuple[int, int]
"""(height, width), px."""
FEWEST = 0.3
"""Share of the native number of pixels below which Stable Diffusion XL and its like fall apart (512 px of
1,024 is a quarter)."""
MOST = 4.0
"""Beyond so many times the native pixels, subjects repeat and memory runs out; twice the side is usual."""
CONTEXT = 2.0
"""Side of what is looked at around a mask, as a multiple of the mask's."""
MARGIN = 0.1
"""Clear border around a subject that a model of one size repaints, as a share of it: as in its training."""
FAINT = 16
"""Alpha up to which a pixel does not belong to the subject."""
MASK_MOST = 2.0
"""Up to so many times the native pixels an image is repainted whole, however small its mask."""


@dataclass(frozen=True, slots=True)
class _Box:
    """Where an image is marked: the first and the last row and column, the last not included."""

    rows: tuple[int, int]
    columns: tuple[int, int]

    @classmethod
    def of(cls, marked: AnyArray) -> "_Box":
        """Returns the box of what is not 0 in an array (h, w); all of it where everything is."""
        ends: list[tuple[int, int]] = []
        for axis, length in ((1, marked.shape[0]), (0, marked.shape[1])):
            places = np.flatnonzero(marked.max(axis=axis))
            ends.append((int(places[0]), int(places[-1]) + 1) if places.size else (0, length))
        return cls(ends[0], ends[1])

    @property
    def side(self) -> int:
        return max(self.rows[1] - self.rows[0], self.columns[1] - self.columns[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class RepaintArea:
    """A rectangle of an image, and the canvas that the model paints it on."""

    top: int
    left: int
    size: Size
    """Of the rectangle in the image."""
    canvas: Size
    """What the model paints; the rectangle is fitted onto it, with a clear border if its shape is another."""

    def cut(self, rgba: AnyArray) -> AnyArray:
        """Returns the rectangle of an image, as large as the canvas."""
        return fit_rgba(self._rectangle(rgba), *self.canvas, "fit")

    def cut_mask(self, share: AnyArray) -> AnyArray:
        """Returns the rectangle of a mask, float32 (h, w) in [0, 1], as large as the canvas."""
        part = np.ascontiguousarray(self._rectangle(share)[..., None], np.float32)
        return np.clip(fit_pixels(part, *self.canvas, "fit", border=0.0)[..., 0], 0, 1)

    def restore(self, painted: AnyArray) -> AnyArray:
        """Returns what was painted on the canvas at the size of the rectangle."""
        top, left, rows, columns = fitted_box(self.size, self.canvas)
        return fit_snapped(painted[top : top + rows, left : left + columns], *self.size, "stretch")

    def lay(self, image: AnyArray, painted: AnyArray) -> AnyArray:
        """Returns `image` with what was painted on the canvas in its rectangle."""
        result = image.copy()
        self._rectangle(result)[:] = self.restore(painted)
        return result

    def _rectangle(self, array: AnyArray) -> AnyArray:
        return array[self.top : self.top + self.size[0], self.left : self.left + self.size[1]]


def whole_image(model: TransparentModel, rgba: AnyArray) -> RepaintArea:
    """Returns the area of an image, uint8 (h, w, 4), that is repainted all over.

    A model of one size knows subjects that fill its canvas: of a larger image the subject is repainted alone.
    """
    size = rgba.shape[0], rgba.shape[1]
    if _is_fixed(model):
        return _around(model, _Box.of(rgba[..., 3] > FAINT), size, 1 + MARGIN)
    return RepaintArea(top=0, left=0, size=size, canvas=_within(model, size, FEWEST, MOST))


def around_mask(model: TransparentModel, rgba: AnyArray, share: AnyArray) -> RepaintArea:
    """Returns the area to repaint around what a mask, float32 (h, w) in [0, 1], lets change.

    Wide enough that the model sees what it continues, and not so wide that it sees the mask as a few pixels.
    """
    size, native = (rgba.shape[0], rgba.shape[1]), model.native_size
    mask = _Box.of(share)
    if _is_fixed(model):
        subject = _Box.of((rgba[..., 3] > FAINT) | (share > 0))
        if CONTEXT * mask.side < (1 + MARGIN) * subject.side:
            return _around(model, mask, size, CONTEXT)
        return _around(model, subject, size, 1 + MARGIN)
    if size[0] * size[1] <= native[0] * native[1] * MASK_MOST:
        return whole_image(model, rgba)
    return _around(model, mask, size, CONTEXT)


def _around(model: TransparentModel, box: _Box, size: Size, factor: float) -> RepaintArea:
    """Returns the area of `factor` times a box, in the model's proportions; never less than it paints."""
    native = model.native_size
    # a smaller part would be enlarged to be painted: nothing would be gained
    scale = max(factor * box.side / min(native), 1.0)
    rows, columns = (min(round(scale * side), limit) for side, limit in zip(native, size, strict=True))
    canvas = native if _is_fixed(model) else _within(model, (rows, columns), FEWEST, 1.0)
    top, left = _centred(box.rows, rows, size[0]), _centred(box.columns, columns, size[1])
    return RepaintArea(top=top, left=left, size=(rows, columns), canvas=canvas)


def _within(model: TransparentModel, size: Size, fewest: float, most: float) -> Size:
    """Returns a size itself, or in the same proportions with a number of pixels that the model can paint."""
    native = model.native_size
    share = size[0] * size[1] / (native[0] * native[1])
    if share < fewest:
        return model.in_proportion(size)
    if share > most:
        return model.in_proportion(size, most)
    return size


def _is_fixed(model: TransparentModel) -> bool:
    return model.single.sampling.fixed_resolution


def _centred(ends: tuple[int, int], length: int, limit: int) -> int:
    return min(max(round((sum(ends) - length) / 2), 0), limit - length)
