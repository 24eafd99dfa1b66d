"""Things cut out, scaled and laid on a canvas: all in premultiplied colour, which may be averaged."""

from dataclasses import dataclass

import cv2
import numpy as np

from pellucid.rgba.compositing import premultiply
from pellucid.rgba.quantization import to_float
from pellucid.rgba.types import RGBA8, AnyArray

Premultiplied = AnyArray
"""float32 (h, w, 4), [0, 1], colour times alpha."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a thing lies on the canvas, px."""

    left: float
    top: float
    width: float
    height: float


def cut_out(rgba: RGBA8) -> Premultiplied:
    """Cuts away what is clear around a thing; the result has at least one pixel."""
    seen = rgba[..., 3] > 12
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if len(rows):
        rgba = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return premultiply(to_float(rgba))


def fitted(piece: Premultiplied, width: float, height: float) -> Premultiplied:
    """Scales a thing so that it just fits into a box, keeping its proportions."""
    rows, columns = piece.shape[:2]
    scale = min(width / columns, height / rows)
    size = max(round(columns * scale), 1), max(round(rows * scale), 1)
    if size == (columns, rows):
        return piece
    # area averaging does not alias; what is enlarged is enlarged by a little only
    return cv2.resize(piece, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def lay(canvas: Premultiplied, piece: Premultiplied, left: float, top: float) -> None:
    """Lays a thing over what is on the canvas, in place; what leaves the canvas is cut off."""
    x, y = round(left), round(top)
    height, width = piece.shape[:2]
    rows = slice(max(y, 0), min(y + height, canvas.shape[0]))
    columns = slice(max(x, 0), min(x + width, canvas.shape[1]))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    front = piece[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    canvas[rows, columns] = front + canvas[rows, columns] * (1 - front[..., 3:])


def blank(size_px: int) -> Premultiplied:
    """Returns a clear canvas."""
    return np.zeros((size_px, size_px, 4), np.float32)


def finished(canvas: Premultiplied) -> RGBA8:
    """Rounds a canvas to straight colour; colour is 0 where alpha is 0."""
    alpha = canvas[..., 3:].clip(0, 1)
    # alpha that rounds to 0 has no colour
    colour = np.divide(canvas[..., :3], alpha, out=np.zeros_like(canvas[..., :3]), where=alpha >= 0.5 / 255)
    return np.rint(np.concatenate([colour, alpha], axis=2).clip(0, 1) * 255).astype(np.uint8)


def mirrored(piece: Premultiplied) -> Premultiplied:
    """Swaps left and right."""
    return np.ascontiguousarray(piece[:, ::-1])


ARRANGEMENTS: dict[int, tuple[tuple[tuple[float, float], ...], ...]] = {
    2: (
        ((0.25, 0.5), (0.75, 0.5)),
        ((0.28, 0.3), (0.72, 0.7)),
        ((0.72, 0.3), (0.28, 0.7)),
        ((0.5, 0.26), (0.5, 0.74)),
    ),
    3: (
        ((0.18, 0.5), (0.5, 0.5), (0.82, 0.5)),
        ((0.5, 0.26), (0.26, 0.74), (0.74, 0.74)),
        ((0.26, 0.26), (0.74, 0.26), (0.5, 0.74)),
    ),
    4: (
        ((0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)),
        ((0.5, 0.2), (0.2, 0.5), (0.8, 0.5), (0.5, 0.8)),
    ),
    5: (
        ((0.2, 0.2), (0.8, 0.2), (0.5, 0.5), (0.2, 0.8), (0.8, 0.8)),
        ((0.28, 0.27), (0.72, 0.27), (0.18, 0.73), (0.5, 0.73), (0.82, 0.73)),
    ),
    6: (
        ((0.18, 0.28), (0.5, 0.28), (0.82, 0.28), (0.18, 0.72), (0.5, 0.72), (0.82, 0.72)),
        ((0.28, 0.18), (0.72, 0.18), (0.28, 0.5), (0.72, 0.5), (0.28, 0.82), (0.72, 0.82)),
    ),
}
"""Centres of several things as shares of the canvas, arrangements by number of things."""


def places(rng: np.random.Generator, count: int, size_px: int, *, apart: bool) -> list[Box]:
    """Draws boxes for several things of about the same size.

    Args:
        rng: draws the arrangement, sizes and small shifts.
        count: 2 to 6.
        size_px: of the canvas.
        apart: boxes keep at least 2 px between them; otherwise they may overlap a little.
    """
    choices = ARRANGEMENTS[count]
    centres = np.array(choices[int(rng.integers(len(choices)))])
    gaps = np.abs(centres[:, None] - centres[None])
    np.fill_diagonal(gaps[..., 0], 1)
    # two things are apart if they are so in one direction: the wider one counts
    nearest = float(gaps.max(axis=2).min())
    side = nearest * (0.94 if apart else 1.12)
    edge = float(np.minimum(centres, 1 - centres).min())
    side = min(side, 2 * edge * 0.98)
    boxes: list[Box] = []
    for centre in centres:
        own = side * rng.uniform(0.78, 1.0)
        # what a box is smaller than its place, it may be shifted
        slack = (side - own) / 2 if apart else max(side - own, 0.03) / 2
        x, y = centre + rng.uniform(-slack, slack, 2)
        boxes.append(Box((x - own / 2) * size_px, (y - own / 2) * size_px, own * size_px, own * size_px))
    return boxes


def lay_in(canvas: Premultiplied, piece: Premultiplied, box: Box) -> Box:
    """Lays a thing into the middle of a box, and returns the box that it fills."""
    scaled = fitted(piece, box.width, box.height)
    height, width = scaled.shape[:2]
    left, top = box.left + (box.width - width) / 2, box.top + (box.height - height) / 2
    lay(canvas, scaled, left, top)
    return Box(left, top, width, height)


def flat_top(piece: Premultiplied) -> tuple[float, float, float] | None:
    """Finds where something can stand on a thing; None where it would slide off.

    Returns:
        Left and right end of the standing place and its height below the thing's top, as shares of the
        thing's width and height.
    """
    alpha = piece[..., 3] > 0.5
    height, width = alpha.shape
    tops = [int(column.argmax()) if column.any() else height for column in alpha.T]
    highest = min(tops)
    level = [column for column, top in enumerate(tops) if top <= highest + 0.12 * height]
    left, right = level[0], level[-1] + 1
    # the level part must be wide and in one piece, not two horns or the tip of a hat
    if len(level) < 0.5 * width or len(level) < 0.85 * (right - left):
        return None
    return left / width, right / width, float(np.median([tops[column] for column in level])) / height
