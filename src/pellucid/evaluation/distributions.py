"""Distances between sets of images by their features.

KID is unbiased, so it can be used on few images; FD needs thousands, and on few it mostly measures their
number. Neither is FID unless the features are those of Inception's 2015 weights, so results name the feature
model.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pellucid.data.estimates import Estimate
from pellucid.errors import InputError

Features = Float[np.ndarray, "n d"]
HALVES = 100
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDistance:
    """How far two sets lie apart."""

    model: str
    """Feature model that it depends on."""
    kid: Estimate
    """Kernel distance, unbiased: 0 is the same distribution, and a sample may fall below."""
    fd: float
    """Frechet distance; of use for comparisons at one n alone."""
    n: tuple[int, int]

    def plain(self) -> dict[str, object]:
        """Returns the distances for JSON."""
        return {
            "features": self.model,
            "kid": self.kid.plain(),
            "frechet_distance": round(self.fd, 4),
            "n": list(self.n),
        }


def set_distance(found: Features, wanted: Float[np.ndarray, "m d"], model: str) -> SetDistance:
    """Measures how far two sets lie apart.

    Args:
        found: features of the images to judge.
        wanted: features of real ones.
        model: name of the feature model.

    Raises:
        InputError: a set has fewer than two images, or the features are of two models.
    """
    if min(len(found), len(wanted)) < 2 or found.shape[1] != wanted.shape[1]:
        raise InputError(
            f"Expected two images or more a set and features of one model, found {found.shape} and "
            f"{wanted.shape}. Give more images."
        )
    return SetDistance(
        model=model,
        kid=kernel_distance(found, wanted),
        fd=frechet_distance(found, wanted),
        n=(len(found), len(wanted)),
    )


def kernel_distance(found: Features, wanted: Float[np.ndarray, "m d"]) -> Estimate:
    """Returns KID: the unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3.

    The interval comes from 100 random halves of both sets (delete-half jackknife).

    Source: Binkowski et al. 2018, section 4.
    """
    value = _unbiased(found, wanted)
    draw = np.random.default_rng(SEED)

    def half(features: Features) -> Float[np.ndarray, "m d"]:
        return features[draw.permutation(len(features))[: max(2, len(features) // 2)]]

    # a statistic of half of n images, drawn without putting back, varies as one of n images does
    spread = float(np.std([_unbiased(half(found), half(wanted)) for _ in range(HALVES)]))
    return Estimate(value, value - 1.96 * spread, value + 1.96 * spread, min(len(found), len(wanted)))


def frechet_distance(found: Features, wanted: Float[np.ndarray, "m d"]) -> float:
    """Returns the Frechet distance of Gaussians fitted to two sets of features.

    Source: Heusel et al. 2017, equation 6.
    """
    means, covariances = zip(
        *((each.mean(axis=0), np.atleast_2d(np.cov(each, rowvar=False))) for each in (found, wanted)),
        strict=True,
    )
    # of the product of two covariances: its eigenvalues are real and not negative but for rounding
    product: Float[np.ndarray, "d d"] = covariances[0] @ covariances[1]
    roots = np.sqrt(np.clip(np.linalg.eigvals(product).real, 0, None))
    apart = float(np.square(means[0] - means[1]).sum())
    return apart + float(np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * roots.sum())


def _unbiased(first: Features, second: Float[np.ndarray, "m d"]) -> float:
    def kernel(a: Features, b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
        return (a @ b.T / a.shape[1] + 1) ** 3

    within = 0.0
    for each in (first, second):
        n, own = len(each), kernel(each, each)
        within += (own.sum() - np.trace(own)) / (n * (n - 1))
    return float(within - 2 * kernel(first, second).mean())
