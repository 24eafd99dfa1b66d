"""How two things lie beside, above, on or behind one another, and the sentences that say so."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from pellucid.data.composing.placing import Box, Premultiplied, fitted, flat_top, lay, lay_in

Lay = Callable[[np.random.Generator, Premultiplied, Premultiplied, Premultiplied], Sequence[str]]
"""(draws, canvas, first, second) -> sentences; {a} and {b} are both with articles, {A} and {B} without;
{small_a} and {big_b} have the size."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A row of the table of relations."""

    draw: Lay
    share: float


def beside(
    rng: np.random.Generator, canvas: Premultiplied, one: Premultiplied, two: Premultiplied
) -> Sequence[str]:
    """Side by side on one ground, a little apart or barely touching."""
    size = len(canvas)
    on_left = rng.random() < 0.5
    left, right = (one, two) if on_left else (two, one)
    split = rng.uniform(0.42, 0.58)
    ground = rng.uniform(0.80, 0.95) * size
    pieces = [
        fitted(left, split * size * 0.94, 0.86 * size),
        fitted(right, (1 - split) * size * 0.94, 0.86 * size),
    ]
    # both on the ground, and none above the canvas
    lift = max(ground, max(len(piece) for piece in pieces) + 0.03 * size)
    for piece, start, share in zip(pieces, (0, split), (split, 1 - split), strict=True):
        height, width = piece.shape[:2]
        lay(canvas, piece, start * size + (share * size - width) / 2, lift - height)
    loose = (
        "{a} and {b}",
        "{A} and {B}",
        "{a} next to {b}",
        "{a} beside {b}",
        "{a} with {b}",
        "{b} and {a}",
        "{b} next to {a}",
    )
    strict = (
        (
            "{a} left of {b}",
            "{a} to the left of {b}",
            "{b} right of {a}",
            "{b} to the right of {a}",
            "{a} on the left and {b} on the right",
        )
        if on_left
        else (
            "{a} right of {b}",
            "{a} to the right of {b}",
            "{b} left of {a}",
            "{b} to the left of {a}",
            "{b} on the left and {a} on the right",
        )
    )
    return loose if rng.random() < 0.6 else strict


def stacked(
    rng: np.random.Generator, canvas: Premultiplied, one: Premultiplied, two: Premultiplied
) -> Sequence[str]:
    """One above the other, apart."""
    size = len(canvas)
    split = rng.uniform(0.42, 0.58)
    lay_in(canvas, one, Box(0.04 * size, 0.02 * size, 0.92 * size, (split - 0.04) * size))
    lay_in(canvas, two, Box(0.04 * size, (split + 0.02) * size, 0.92 * size, (0.96 - split) * size))
    return ("{a} above {b}", "{b} below {a}", "{b} under {a}", "{a} over {b}", "{b} underneath {a}")


def standing(
    rng: np.random.Generator, canvas: Premultiplied, one: Premultiplied, two: Premultiplied
) -> Sequence[str]:
    """One stands on the other; nothing where the other has no place to stand on."""
    size = len(canvas)
    place = flat_top(two)
    if not place:
        return ()
    below = fitted(two, 0.92 * size, rng.uniform(0.42, 0.54) * size)
    height, width = below.shape[:2]
    left, right, drop = place
    above = fitted(one, 1.15 * (right - left) * width, 0.97 * size - height)
    # too small a thing on too large a one would be no picture of either
    if min(above.shape[:2]) < 0.16 * size or max(above.shape[:2]) < 0.26 * size:
        return ()
    whole = len(above) + height * (1 - drop)
    top = (size - whole) / 2
    x = (size - width) / 2
    lay(canvas, below, x, top + len(above) - height * drop)
    middle = x + (left + right) / 2 * width
    lay(canvas, above, middle - above.shape[1] / 2, top + 0.03 * height)
    return ("{a} on {b}", "{a} on top of {b}", "{a} standing on {b}", "{A} on {B}", "{b} with {a} on top")


def behind(
    rng: np.random.Generator, canvas: Premultiplied, one: Premultiplied, two: Premultiplied
) -> Sequence[str]:
    """The first is partly hidden by the second."""
    size = len(canvas)
    back = fitted(one, rng.uniform(0.62, 0.72) * size, rng.uniform(0.66, 0.78) * size)
    front = fitted(two, rng.uniform(0.5, 0.6) * size, rng.uniform(0.5, 0.6) * size)
    on_left = rng.random() < 0.5
    margin = 0.03 * size
    far = size - margin
    x = margin if on_left else far - back.shape[1]
    lay(canvas, back, x, max(0.05 * size, 0.80 * size - len(back)))
    left, top = far - front.shape[1] if on_left else margin, far - len(front)
    only_front = np.zeros_like(canvas)
    lay(only_front, front, left, top)
    hidden = (only_front[..., 3] * canvas[..., 3]).sum()
    # two things that only stand side by side would be called so, and what is hidden is not seen
    if not 0.08 < hidden / back[..., 3].sum() < 0.5:
        return ()
    lay(canvas, front, left, top)
    return ("{a} behind {b}", "{b} in front of {a}", "{A} behind {B}", "{B} in front of {A}")


def unequal(
    rng: np.random.Generator, canvas: Premultiplied, one: Premultiplied, two: Premultiplied
) -> Sequence[str]:
    """A small one beside a big one, on one ground."""
    size = len(canvas)
    big = fitted(two, 0.62 * size, 0.9 * size)
    small = fitted(one, 0.28 * size, rng.uniform(0.24, 0.32) * size)
    ground, gap = (size + len(big)) / 2, 0.04 * size
    whole = big.shape[1] + gap + small.shape[1]
    left = (size - whole) / 2
    small_first = rng.random() < 0.5
    lay(canvas, small, left if small_first else left + big.shape[1] + gap, ground - len(small))
    lay(canvas, big, left + small.shape[1] + gap if small_first else left, ground - len(big))
    return (
        "{small_a} and {big_b}",
        "{small_a} next to {big_b}",
        "{big_b} and {small_a}",
        "{big_b} beside {small_a}",
    )


RELATIONS = (
    Relation(beside, 0.50),
    Relation(unequal, 0.06),
    Relation(stacked, 0.12),
    Relation(standing, 0.20),
    Relation(behind, 0.12),
)


def any_relation(rng: np.random.Generator) -> Lay:
    """Draws a relation by its share."""
    ends = list(accumulate(relation.share for relation in RELATIONS))
    return RELATIONS[bisect_right(ends, rng.random() * ends[-1])].draw
