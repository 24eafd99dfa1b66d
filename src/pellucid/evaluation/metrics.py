"""Scores of transparent pictures. Pictures are straight RGBA in [0, 1], (b, 4, h, w)."""

import torch
from jaxtyping import Float
from torch import Tensor

BLEND_COLOURS = {
    "black": (0.0, 0.0, 0.0),
    "grey": (128 / 255, 128 / 255, 128 / 255),
    "white": (1.0, 1.0, 1.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "cyan": (0.0, 1.0, 1.0),
    "magenta": (1.0, 0.0, 1.0),
}
"""The nine solid backgrounds of the AlphaVAE protocol."""

RGBA = Float[Tensor, "b 4 h w"]


def psnr(found: Float[Tensor, "b c h w"], wanted: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio of each picture, dB, for values in [0, 1]."""
    error = (found - wanted).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error.clamp_min(1e-12))


def blended_metrics(found: RGBA, wanted: RGBA) -> dict[str, float]:
    """Mean PSNR of the pictures laid over each of nine colours, lossless; and their mean.

    Returns:
        dB by name of the colour, and under "mean".

    Source: AlphaVAE (arXiv 2507.09308), blend-then-RGB. Differs: no JPEG and no bytes in between.
    """
    scores: dict[str, float] = {}
    for name, colour in BLEND_COLOURS.items():
        back = found.new_tensor(colour).view(1, 3, 1, 1)
        blends = [rgba[:, :3] * rgba[:, 3:] + back * (1 - rgba[:, 3:]) for rgba in (found, wanted)]
        scores[name] = float(psnr(*blends).mean())
    scores["mean"] = sum(scores.values()) / len(scores)
    return scores


def alpha_mae(found: RGBA, wanted: RGBA) -> float:
    """Mean absolute error of alpha over all pixels, in [0, 1]."""
    return float((found[:, 3] - wanted[:, 3]).abs().mean())


def nearest_rank(found: RGBA, known: RGBA, labels: list[str], wanted: list[str]) -> list[int]:
    """Where the asked label stands when the known pictures are sorted by distance to what was generated.

    Distance is L2 between premultiplied pictures; make them 32 px first.

    Args:
        found: generated pictures.
        known: training pictures.
        labels: label of each known picture.
        wanted: label that was asked of each generated picture.

    Returns:
        Rank of the first known picture with that label, 1 is nearest.
    """
    flat = [torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1).flatten(1) for rgba in (found, known)]
    order = torch.cdist(flat[0], flat[1]).argsort(dim=1)
    return [
        1 + next(rank for rank, index in enumerate(row.tolist()) if labels[index] == label)
        for row, label in zip(order, wanted, strict=True)
    ]
