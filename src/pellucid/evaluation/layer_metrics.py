"""How near a decomposition into layers is to the true one: metrics of LayerD.

Layers are uint8 (h, w, 4), straight alpha, the lowest first. Source: LayerD (arXiv 2509.25134), section 4,
and the definitions of its published evaluation: colour where the true layer is visible, soft IoU of alpha,
and an alignment of the two sequences that keeps their order and may merge neighbouring layers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pellucid.errors import InputError
from pellucid.rgba.compositing import over
from pellucid.rgba.types import AnyArray, check_rgba8

MERGES = 5
"""Merges that are tried at most."""

Layers = Sequence[AnyArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerScores:
    """Of one document."""

    rgb_l1: float
    """Mean absolute difference of colour where the true layer is visible, [0, 1]; mean over pairs."""
    soft_iou: float
    """Of alpha: the sum of the smaller over the sum of the larger; mean over pairs."""
    merges: int
    """Merges of neighbouring layers after which this was measured."""


def rgb_l1(found: AnyArray, wanted: AnyArray) -> float:
    """Returns the mean absolute difference of colour where the true layer is visible at all, [0, 1].

    A pixel with an alpha of 1 counts as much as an opaque one: the published code takes a mask, not a weight.
    """
    visible = wanted[..., 3] > 0
    if not visible.any():
        return 0.0
    return float(np.abs(found[visible][:, :3].astype(float) - wanted[visible][:, :3]).mean() / 255)


def soft_iou(found: AnyArray, wanted: AnyArray) -> float:
    """Returns the sum of the smaller alpha over the sum of the larger, [0, 1]; 1 for two empty layers."""
    pair = np.stack([found[..., 3], wanted[..., 3]]).astype(float)
    whole = pair.max(axis=0).sum()
    return 1.0 if whole == 0 else float(pair.min(axis=0).sum() / whole)


def layer_scores(found: Layers, wanted: Layers, *, merges: int = MERGES) -> list[LayerScores]:
    """Compares two sequences of layers after 0, 1, … merges; the last entry is the best that merges reach.

    Every layer of one is aligned with one or more of the other, in order (dynamic time warping over 1 - soft
    IoU and colour). A merge lays two neighbouring layers of the longer sequence over each other, the pair by
    which the alignment gets cheapest; it ends early where both have as many layers and no merge helps.

    Args:
        found: layers to judge, one or more.
        wanted: true ones, of the same size.
        merges: most that are tried.

    Raises:
        InputError: no layers, or several sizes.
    """
    one, other = list(found), list(wanted)
    _check(one, other)
    scores = [_aligned_scores(one, other, 0)]
    for merge in range(1, merges + 1):
        longer = one if len(one) > len(other) else other
        if len(one) == len(other) or len(longer) == 1:
            break
        candidates = [
            [*longer[:place], over(longer[place + 1], longer[place]), *longer[place + 2 :]]
            for place in range(len(longer) - 1)
        ]
        pairs = [(each, other) if longer is one else (one, each) for each in candidates]
        one, other = min(pairs, key=lambda pair: _alignment(*pair)[0])
        scores.append(_aligned_scores(one, other, merge))
    return scores


def _aligned_scores(found: Layers, wanted: Layers, merges: int) -> LayerScores:
    _, path = _alignment(found, wanted)

    def mean(measure: Callable[[AnyArray, AnyArray], float]) -> float:
        return float(np.mean([measure(found[i], wanted[j]) for i, j in path]))

    return LayerScores(rgb_l1=mean(rgb_l1), soft_iou=mean(soft_iou), merges=merges)


def _alignment(found: Layers, wanted: Layers) -> tuple[float, list[tuple[int, int]]]:
    """Returns the mean cost of the cheapest alignment in order, and which layers it pairs."""
    cost: Float[np.ndarray, "n m"] = np.array(
        [[1 - soft_iou(a, b) + rgb_l1(a, b) for b in wanted] for a in found]
    )
    total = np.full((len(found) + 1, len(wanted) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(found)):
        for j in range(len(wanted)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    i, j = len(found) - 1, len(wanted) - 1
    path = [(i, j)]
    while i or j:
        steps = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        i, j = min(
            (step for step in steps if min(step) >= 0), key=lambda step: total[step[0] + 1, step[1] + 1]
        )
        path.append((i, j))
    return float(total[-1, -1]) / len(path), path[::-1]


def _check(found: Layers, wanted: Layers) -> None:
    for layer in (*found, *wanted):
        check_rgba8(layer)
    sizes = {layer.shape for layer in (*found, *wanted)}
    if not found or not wanted or len(sizes) != 1:
        raise InputError(
            f"Expected layers of one size on both sides, found {len(found)} and {len(wanted)} of "
            f"{sorted(size[:2] for size in sizes)}. Export both documents at one size."
        )
