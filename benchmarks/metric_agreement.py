"""Compares every metric with an independent implementation, on 50 real pairs.

    pip install scikit-image scipy
    python benchmarks/metric_agreement.py [--count 50]

Pairs are images of fluent-3d at 128 px and the same after the embedded model's codec. PSNR and SSIM are
compared with scikit-image's, KID's kernel and the Frechet distance with torchmetrics' and scipy's, SAD, MSE,
MAD, Grad and Conn with a second implementation after Rhemann et al. 2009 that is written here with
scipy.ndimage, pixel by pixel where that is simplest. Writes benchmarks/results/metric_agreement.json: largest
and mean difference, and the mean value for scale.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import scipy.linalg
import torch
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.image.kid import poly_mmd

import pellucid
from pellucid.data.datasets import shards_of
from pellucid.data.shards import read_shard
from pellucid.evaluation.blending import backgrounds, blend, ssim
from pellucid.evaluation.distributions import frechet_distance, kernel_distance
from pellucid.evaluation.metrics import alpha_conn, alpha_grad, alpha_mad, alpha_mse, alpha_sad
from pellucid.rgba.resizing import resize_sample
from pellucid.rgba.types import RGBA8

RESULT = Path(__file__).parent / "results" / "metric_agreement.json"
SIDE_PX = 128


def pairs(count: int) -> list[tuple[RGBA8, RGBA8]]:
    """Returns images after the codec, and before."""
    samples = [rgba for shard in shards_of("fluent-3d") for _, rgba in read_shard(shard)]
    chosen = [samples[place * len(samples) // count] for place in range(count)]
    pipe = pellucid.load()
    wanted = [np.ascontiguousarray(resize_sample(rgba, SIDE_PX, SIDE_PX)) for rgba in chosen]
    return [(pipe.decode(pipe.encode(rgba)), rgba) for rgba in wanted]


def gradient(alpha: np.ndarray) -> np.ndarray:
    """Differentiates with Gaussian derivatives, sigma 1.4, 2-D kernels of unit norm, borders repeated."""
    sigma, cutoff = 1.4, 1e-2
    reach = int(np.ceil(sigma * np.sqrt(-2 * np.log(np.sqrt(2 * np.pi) * sigma * cutoff))))
    x = np.arange(-reach, reach + 1)
    gauss = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    kernel = np.outer(gauss, -x * gauss / sigma**2)
    kernel /= np.sqrt((kernel**2).sum())
    parts = [ndimage.convolve(alpha, each, mode="nearest") for each in (kernel, kernel.T)]
    return np.hypot(*parts)


def connectedness(alpha: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """Returns phi: how far a pixel's alpha lies above the level at which it is joined to the object."""
    levels = [step / 10 for step in range(11)]  # linspace has 0.6000000000000001
    joins = np.zeros_like(alpha)
    held = np.ones(alpha.shape, bool)
    for before, level in pairwise(levels):
        labels, found = ndimage.label(joint >= level)  # 4-connected
        largest = np.zeros_like(held)
        if found:
            sizes = np.bincount(labels.ravel())[1:]
            largest = labels == 1 + int(sizes.argmax())
        joins[held & ~largest] = before
        held &= largest
    joins[held] = 1
    distance = alpha - joins
    return 1 - distance * (distance >= 0.15)


def alpha_by_hand(found: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """Computes the five scores of alpha, floats in [0, 1]."""
    joint = np.minimum(found, wanted)
    connected = [connectedness(each, joint) for each in (found, wanted)]
    return {
        "sad": np.abs(found - wanted).sum() / 1000,
        "mse": ((found - wanted) ** 2).mean(),
        "mad": np.abs(found - wanted).mean(),
        "grad": ((gradient(found) - gradient(wanted)) ** 2).sum() / 1000,
        "conn": np.abs(connected[0] - connected[1]).sum() / 1000,
    }


OURS = {"sad": alpha_sad, "mse": alpha_mse, "mad": alpha_mad, "grad": alpha_grad, "conn": alpha_conn}


def row(ours: Sequence[float], theirs: Sequence[float], of: str) -> dict[str, object]:
    """Describes how far two columns lie apart."""
    apart = np.abs(np.asarray(ours) - np.asarray(theirs))
    return {
        "compared_with": of,
        "largest_difference": float(apart.max()),
        "mean_difference": float(apart.mean()),
        "mean_value": float(np.mean(theirs)),
        "n": len(ours),
    }


@click.command()
@click.option("--count", default=50, show_default=True)
def main(count: int) -> None:
    """Compares and writes the result."""
    found = pairs(count)
    result: dict[str, dict[str, object]] = {}
    alphas = [tuple(each[..., 3].astype(float) / 255 for each in pair) for pair in found]
    by_hand = [alpha_by_hand(*pair) for pair in alphas]
    for name, measure in OURS.items():
        ours = [measure(*pair) for pair in alphas]
        result[name] = row(ours, [each[name] for each in by_hand], "scipy.ndimage, written from the paper")
    behind = backgrounds(SIDE_PX, SIDE_PX)
    blends = [(blend(one, photo), blend(other, photo)) for one, other in found for photo in behind.values()]
    psnr = [-10 * np.log10(max(float(np.square(a - b).mean()), 1e-12)) for a, b in blends]
    theirs = [peak_signal_noise_ratio(b, a, data_range=1.0) for a, b in blends]
    result["psnr"] = row(psnr, theirs, "scikit-image")
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    theirs = [structural_similarity(b, a, channel_axis=2, **settings) for a, b in blends]
    result["ssim"] = row([ssim(a, b) for a, b in blends], theirs, "scikit-image")
    features = [
        np.stack([np.asarray(each).reshape(-1)[::769] for each in side])
        for side in zip(*blends[::9], strict=True)
    ]
    kid = float(poly_mmd(*(torch.from_numpy(each) for each in features)))
    result["kid"] = row([kernel_distance(*features).value], [kid], "torchmetrics poly_mmd")
    covariances = [np.cov(each, rowvar=False) for each in features]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    apart = np.square(features[0].mean(0) - features[1].mean(0)).sum()
    fd = apart + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root)
    result["frechet_distance"] = row([frechet_distance(*features)], [fd], "scipy.linalg.sqrtm")
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    for name, each in result.items():
        apart, size = each["largest_difference"], each["mean_value"]
        print(f"{name:<18} {apart:.2e} of {size:.4g}  {each['compared_with']}")


if __name__ == "__main__":
    main()
