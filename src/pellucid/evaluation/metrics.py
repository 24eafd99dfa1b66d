"""Scores of transparent images and of their alpha. Values are in [0, 1], or bytes 0 to 255.

A numpy image is straight RGBA (h, w, 4) or (n, h, w, 4), a torch image (4, h, w) or (n, 4, h, w). An
alpha is (h, w), with any axes before it in numpy and torch. Of several images the mean score is returned.

The four matting scores are those of Rhemann et al., "A Perceptually Motivated Online Benchmark for Image
Matting", CVPR 2009, in the units of the field's tables: SAD, Grad and Conn are sums over pixels divided by
1000; MSE is the plain mean, which tables print times 1000. Without a mask or trimap every pixel counts.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pellucid.errors import InputError
from pellucid.rgba.defects import NINE_COLOURS
from pellucid.rgba.types import AnyArray

BLEND_COLOURS = {name: tuple(level / 255 for level in colour) for name, colour in NINE_COLOURS.items()}
"""The nine solid backgrounds of the AlphaVAE protocol."""
SUM_UNIT = 1000.0
"""Sums over pixels are divided by this."""
GRADIENT_SIGMA = 1.4
"""Of the Gaussian whose derivatives find edges, px."""
KERNEL_CUTOFF = 1e-2
"""Where the Gaussian's tail is cut off."""
CONNECTIVITY_LEVELS = 10
"""Alpha is cut at so many levels, 0.1 apart."""
CONNECTIVITY_SLACK = 0.15
"""Theta: alpha this little above the level at which a pixel joins the object counts as connected."""
ROUNDING = 1e-3
"""How far beyond [0, 1] a float may lie."""

RGBA = Float[Tensor, "b 4 h w"]
Known = Float[Tensor, "n 4 h2 w2"]
Alphas = npt.NDArray[np.float64]
Picture = AnyArray | Tensor


def alpha_sad(
    found: Picture, wanted: Picture, *, mask: Picture | None = None, trimap: Picture | None = None
) -> float:
    """Returns the sum of absolute differences of alpha, divided by 1000.

    Args:
        found: alpha to judge.
        wanted: true alpha, same shape.
        mask: pixels that count are True or not 0; the shape of one or of all alphas.
        trimap: instead of a mask: pixels that are neither 0 nor full count, such as 128 or 0.5.

    Returns:
        Mean over images; 0 is best, h * w / 1000 is worst.

    Raises:
        InputError: shapes differ, values lie outside [0, 1], no pixel counts, or both mask and trimap.

    Source: Rhemann et al. 2009, section 3.
    """
    return _score(found, wanted, mask, trimap, lambda a, b, at: float(np.abs(a - b)[at].sum()) / SUM_UNIT)


def alpha_mse(
    found: Picture, wanted: Picture, *, mask: Picture | None = None, trimap: Picture | None = None
) -> float:
    """Returns the mean squared error of alpha, in [0, 1], not times 1000.

    Arguments and errors of `alpha_sad`.
    """
    return _score(found, wanted, mask, trimap, lambda a, b, at: float(np.square(a - b)[at].mean()))


def alpha_mad(
    found: Picture, wanted: Picture, *, mask: Picture | None = None, trimap: Picture | None = None
) -> float:
    """Returns the mean absolute difference of alpha, in [0, 1], not times 1000.

    Arguments and errors of `alpha_sad`.
    """
    return _score(found, wanted, mask, trimap, lambda a, b, at: float(np.abs(a - b)[at].mean()))


def alpha_grad(
    found: Picture, wanted: Picture, *, mask: Picture | None = None, trimap: Picture | None = None
) -> float:
    """Returns the squared difference of gradients, summed, divided by 1000: blurred or jagged edges.

    Gradients are taken with first derivatives of a Gaussian of sigma 1.4 px, each 2-D kernel of unit L2 norm,
    borders repeated. Arguments and errors of `alpha_sad`.

    Source: Rhemann et al. 2009, section 3.
    """
    return _score(found, wanted, mask, trimap, _gradient_error)


def alpha_conn(
    found: Picture, wanted: Picture, *, mask: Picture | None = None, trimap: Picture | None = None
) -> float:
    """Returns the difference of connectedness, summed, divided by 1000: floating specks and holes.

    Step 0.1, theta 0.15, 4-connected; arguments and errors of `alpha_sad`.

    Source: Rhemann et al. 2009, section 3.
    """
    return _score(found, wanted, mask, trimap, _connectivity_error)


def alpha_mae(found: RGBA, wanted: RGBA) -> float:
    """Returns the mean absolute error of alpha over all pixels of straight RGBA images, [0, 1]."""
    return float((found[:, 3] - wanted[:, 3]).abs().mean())


Judge = Callable[[Alphas, Alphas, npt.NDArray[np.bool_]], float]


def _score(
    found: Picture, wanted: Picture, mask: Picture | None, trimap: Picture | None, judge: Judge
) -> float:
    first, second = _alphas(found, "found alpha"), _alphas(wanted, "wanted alpha")
    if np.shape(found) != np.shape(wanted):
        raise InputError(
            f"Expected two alphas of one shape, found {tuple(found.shape)} and {tuple(wanted.shape)}. "
            "Give (h, w) arrays, without colour."
        )
    region = _region(mask, trimap, first.shape)
    return float(np.mean([judge(*triple) for triple in zip(first, second, region, strict=True)]))


def _values(image: Picture, what: str) -> Alphas:
    """Converts bytes or floats to float64 in [0, 1]."""
    if isinstance(image, Tensor):
        image = image.detach().cpu()
        # numpy has no bfloat16
        array: AnyArray = (image.float() if image.is_floating_point() else image).numpy()
    else:
        array = np.asarray(image)
    # in double precision, so that a score does not depend on the order of its sums
    values = array.astype(np.float64)
    if array.dtype == np.uint8:
        return values / 255
    within = values.size > 0 and bool((values >= -ROUNDING).all() and (values <= 1 + ROUNDING).all())
    if not within:  # NaN too
        raise InputError(
            f"Expected {what} in [0, 1] or as bytes, found {array.dtype} {array.shape}, "
            f"{f'{values.min():.4g} to {values.max():.4g}' if values.size else 'empty'}. Scale it first."
        )
    return values


def _alphas(alpha: Picture, what: str) -> Alphas:
    values = _values(alpha, what)
    if values.ndim < 2:
        raise InputError(f"Expected {what} of shape (h, w), found {values.shape}. Keep its two axes.")
    return values.reshape(-1, *values.shape[-2:])


def _region(mask: Picture | None, trimap: Picture | None, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    if mask is not None and trimap is not None:
        raise InputError("Expected a mask or a trimap, found both. Leave one out.")
    if mask is None and trimap is None:
        return np.ones(shape, np.bool_)
    if trimap is not None:
        known = _alphas(trimap, "trimap")
        # the unknown band of a trimap is all that the benchmark counts
        chosen = (known > 0) & (known < 1)
    else:
        chosen = np.asarray(mask).astype(np.bool_)
        chosen = chosen.reshape(-1, *chosen.shape[-2:])
    if chosen.shape[1:] != shape[1:] or len(chosen) not in (1, shape[0]):
        raise InputError(f"Expected a mask of {shape[1:]} pixels, found {chosen.shape[1:]}. Resize it.")
    chosen = np.broadcast_to(chosen, shape)
    if not chosen.any(axis=(1, 2)).all():
        raise InputError("Expected a mask with at least one pixel that counts, found none. Leave it out.")
    return chosen


def _gradient_error(found: Alphas, wanted: Alphas, at: npt.NDArray[np.bool_]) -> float:
    return float(np.square(_gradient(found) - _gradient(wanted))[at].sum()) / SUM_UNIT


def _gradient(alpha: Alphas) -> Alphas:
    """Computes the magnitude of the Gaussian-smoothed gradient."""
    # reach and norm are those of gaussgradient.m, with which the benchmark's tables were made
    tail = math.sqrt(2 * math.pi) * GRADIENT_SIGMA * KERNEL_CUTOFF
    reach = math.ceil(GRADIENT_SIGMA * math.sqrt(-2 * math.log(tail)))
    offset = np.arange(-reach, reach + 1, dtype=np.float64)
    smooth = np.exp(-np.square(offset) / (2 * GRADIENT_SIGMA**2))
    slope = -offset * smooth
    # the product of two kernels of unit norm has unit norm
    smooth, slope = (kernel / np.linalg.norm(kernel) for kernel in (smooth, slope))
    across, down = (
        cv2.sepFilter2D(alpha, cv2.CV_64F, first, second, borderType=cv2.BORDER_REPLICATE)
        for first, second in ((slope, smooth), (smooth, slope))
    )
    return np.hypot(across, down)


def _connectivity_error(found: Alphas, wanted: Alphas, at: npt.NDArray[np.bool_]) -> float:
    joins = np.full(found.shape, -1.0)  # the level at which a pixel leaves the object both share
    # k / 10 and not k * 0.1: 0.6000000000000001 would leave out the byte 153, which is 0.6
    levels = [step / CONNECTIVITY_LEVELS for step in range(CONNECTIVITY_LEVELS + 1)]
    for below, level in pairwise(levels):
        both = (found >= level) & (wanted >= level)
        joins[(joins < 0) & ~_largest_component(both)] = below
    joins[joins < 0] = 1.0
    return float(np.abs(_connectedness(found, joins) - _connectedness(wanted, joins))[at].sum()) / SUM_UNIT


def _largest_component(shape: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(shape.astype(np.uint8), connectivity=4)
    if count == 1:  # background alone
        return np.zeros_like(shape)
    # label 0 is the background, whose area is not asked for
    return np.asarray(labels == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax()))


def _connectedness(alpha: Alphas, joins: Alphas) -> Alphas:
    above = alpha - joins
    return 1 - above * (above >= CONNECTIVITY_SLACK)


def psnr(found: Float[Tensor, "b c h w"], wanted: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Returns the peak signal-to-noise ratio of each image, dB, for values in [0, 1]; at most 120."""
    # 1e-12 keeps equal images at 120 dB instead of infinity, so that means stay finite
    error = (found - wanted).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error.clamp_min(1e-12))


def blended_metrics(found: Picture, wanted: Picture) -> dict[str, float]:
    """Returns the mean PSNR of the images laid over each of nine colours, and the mean of the nine.

    Args:
        found: RGBA to judge, one or several.
        wanted: true RGBA, same shape. Colour under alpha 0 is ignored.

    Returns:
        dB by name of the colour, and under "mean"; at most 120, which equal images get.

    Raises:
        InputError: no RGBA, shapes differ, or values outside [0, 1].

    Source: AlphaVAE (arXiv 2507.09308), blend-then-RGB. Differs: no JPEG and no bytes in between.
    """
    first, second = rgba_tensor(found), rgba_tensor(wanted)
    if first.shape != second.shape:
        raise InputError(
            f"Expected images of one shape, found {tuple(found.shape)} and {tuple(wanted.shape)}. Resize one."
        )
    scores: dict[str, float] = {}
    for name, colour in BLEND_COLOURS.items():
        back = first.new_tensor(colour).view(1, 3, 1, 1)
        blends = [rgba[:, :3] * rgba[:, 3:] + back * (1 - rgba[:, 3:]) for rgba in (first, second)]
        scores[name] = float(psnr(*blends).mean())
    scores["mean"] = sum(scores.values()) / len(scores)
    return scores


def rgba_tensor(image: Picture) -> RGBA:
    """Converts one or more images, as the head of this file describes them, to a float tensor in [0, 1]."""
    axis = -3 if isinstance(image, Tensor) else -1
    if image.ndim not in (3, 4) or image.shape[axis] != 4:
        raise InputError(
            f"Expected RGBA of shape {'(n, 4, h, w)' if axis == -3 else '(n, h, w, 4)'}, "
            f"found {tuple(image.shape)}. Put alpha last, after red, green and blue."
        )
    # copied: a view with moved axes would keep the caller's memory
    values = torch.from_numpy(np.moveaxis(_values(image, "RGBA"), axis, -3).copy()).float()
    return values if values.ndim == 4 else values[None]


def premultiplied_small(rgba: RGBA, side: int = 32) -> Float[Tensor, "b 4 s s"]:
    """Averages premultiplied images down to `side` px, at which they are compared."""
    return functional.interpolate(
        torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1), size=side, mode="area"
    )


def comparison_vectors(rgba: RGBA) -> Float[Tensor, "b 4096"]:
    """Returns what images are compared by: premultiplied RGBA at 32 x 32 px, a row each."""
    return premultiplied_small(rgba).flatten(1)


def nearest_order(found: Float[Tensor, "n d"], known: Float[Tensor, "m d"]) -> list[list[int]]:
    """Returns for each vector the places of all known ones, the nearest by L2 first."""
    # stable, so that equal distances have the same order on every machine
    return torch.cdist(found, known).argsort(dim=1, stable=True).tolist()


def nearest_rank(found: RGBA, known: Known, labels: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Returns the rank of the asked label among known images, sorted by distance to the generated one.

    Distance is L2 between premultiplied RGBA at 32 x 32 px.

    Args:
        found: generated images, straight.
        known: training images, straight; any size.
        labels: label of each known image.
        wanted: label that was asked of each generated image; each must be among `labels`.

    Returns:
        Rank of the first known image with that label, 1 is nearest.
    """
    nearest = nearest_order(comparison_vectors(found), comparison_vectors(known))
    return [
        1 + next(rank for rank, index in enumerate(row) if labels[index] == label)
        for row, label in zip(nearest, wanted, strict=True)
    ]
