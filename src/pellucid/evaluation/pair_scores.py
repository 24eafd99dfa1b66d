"""Scores of an image against the true one, and of an image by itself."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from pellucid.evaluation.blending import Background, Protocol, backgrounds, blend, blended_scores
from pellucid.evaluation.features import PerceptualModel
from pellucid.evaluation.metrics import alpha_conn, alpha_grad, alpha_mad, alpha_mse, alpha_sad
from pellucid.evaluation.transparency import fringe_on, hidden_colour, partial_share, soft_distance
from pellucid.rgba import defects
from pellucid.rgba.defects import NINE_COLOURS, NOISE_THRESHOLD
from pellucid.rgba.types import RGBA8

ALPHA = {"sad": alpha_sad, "mse": alpha_mse, "mad": alpha_mad, "grad": alpha_grad, "conn": alpha_conn}
UNKNOWN_SHARE = 1 / 50
"""How far the unknown region reaches from partly transparent pixels, over the longer side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings:
    """How pairs are compared."""

    photographs: Mapping[str, UInt8[np.ndarray, "h w 3"]]
    """Backgrounds beside the nine colours."""
    protocol: Protocol = "lossless"
    perceptual: PerceptualModel | None = None

    @property
    def background_names(self) -> list[str]:
        """Returns the names of all backgrounds, in the order in which they are used."""
        return list(dict.fromkeys([*NINE_COLOURS, *self.photographs]))


def score_pair(found: RGBA8, wanted: RGBA8, settings: PairSettings) -> dict[str, float]:
    """Scores an image against the true one, by the names of `score_table.METRICS`.

    Args:
        found: uint8 (h, w, 4), straight alpha.
        wanted: the same shape.
        settings: backgrounds and models.

    Raises:
        InputError: shapes differ.
    """
    behind = backgrounds(wanted.shape[0], wanted.shape[1], settings.photographs)
    scores = blended_scores(found, wanted, behind, settings.protocol)
    alphas = found[..., 3], wanted[..., 3]
    scores |= {name: measure(*alphas) for name, measure in ALPHA.items()}
    unknown = unknown_region(alphas[1])
    if unknown.any():
        scores |= {f"{name}_unknown": measure(*alphas, mask=unknown) for name, measure in ALPHA.items()}
    if settings.perceptual is not None:
        scores["perceptual"] = _perceptual(found, wanted, behind, settings)
    scores["soft_distance"] = soft_distance([found], [wanted])
    return scores | score_image(found, settings)


def score_image(rgba: RGBA8, settings: PairSettings) -> dict[str, float]:
    """Scores an image without a true one: fringe, dirty alpha, hidden colour, semi-transparency."""
    faults = defects.score(rgba)
    scores = {
        "partial": partial_share(rgba),
        "fringe": faults.fringe,
        "dirty": faults.dirty,
        "hidden": hidden_colour(rgba),
    }
    behind = backgrounds(rgba.shape[0], rgba.shape[1], settings.photographs)
    photos = [fringe_on(rgba, photo) for name, photo in behind.items() if name not in NINE_COLOURS]
    return scores | ({"fringe_photo": float(np.mean(photos))} if photos else {})


def unknown_region(alpha: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Returns where a trimap made of true alpha is unknown: 1 around what is partly transparent, else 0.

    Args:
        alpha: uint8 (h, w).
    """
    reach = max(1, round(max(alpha.shape) * UNKNOWN_SHARE))
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    solid = (alpha >= 255 - NOISE_THRESHOLD).astype(np.uint8)
    clear = (alpha <= NOISE_THRESHOLD).astype(np.uint8)
    return ((cv2.erode(solid, window) == 0) & (cv2.erode(clear, window) == 0)).astype(np.uint8)


def _perceptual(
    found: RGBA8, wanted: RGBA8, behind: Mapping[str, Background], settings: PairSettings
) -> float:
    model = settings.perceptual
    assert model is not None
    distances = [
        model.distance(*(blend(rgba, background, settings.protocol) for rgba in (found, wanted)))
        for background in behind.values()
    ]
    return float(np.mean(distances))
