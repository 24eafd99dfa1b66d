"""How well the codec keeps images: there and back without diffusion."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor

from pellucid.evaluation.metrics import (
    alpha_conn,
    alpha_grad,
    alpha_mae,
    alpha_mse,
    alpha_sad,
    blended_metrics,
    psnr,
    rgba_tensor,
)
from pellucid.evaluation.pair_scores import PairSettings, score_pair
from pellucid.evaluation.score_table import ScoreTable
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.latents import pad_to_multiple
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.progress import track
from pellucid.rgba.types import RGBA8, AnyArray

BATCH_PIXELS = 2**19
"""About 32 images of 128 px, one of 512 px and more."""
ALL_PASSES = (1, 2, 4, 8)
ALPHA = {"sad": alpha_sad, "mse": alpha_mse, "grad": alpha_grad, "conn": alpha_conn}


class ReconstructionScores(TypedDict):
    """See `score_codec`."""

    pictures: int
    sizes: str
    passes: int
    psnr_db: dict[str, float]
    alpha: dict[str, float]
    identity_psnr_db: float
    psnr_by_passes_db: NotRequired[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Reconstructions:
    """What a codec made of images."""

    scores: ReconstructionScores
    table: ScoreTable
    """Scores of `pair_scores.score_pair` and `identity`, image by image."""
    images: dict[str, RGBA8]
    """Decoded images by name."""


def score_reconstruction(
    pipe: TransparentPipeline,
    images: Sequence[AnyArray],
    *,
    passes: int | None = None,
    all_passes: bool = False,
) -> ReconstructionScores:
    """Scores a pipeline's codec; the UNet does not run. `passes` None takes the model's."""
    return score_codec(
        pipe.autoencoder,
        images,
        multiple=pipe.model.size_multiple,
        passes=_passes(pipe, passes),
        all_passes=all_passes,
    )


def reconstruct(
    pipe: TransparentPipeline,
    images: Mapping[str, RGBA8],
    settings: PairSettings,
    *,
    passes: int | None = None,
    all_passes: bool = False,
) -> Reconstructions:
    """Encodes and decodes images and scores each of them; arguments of `score_codec`.

    Args:
        pipe: the model.
        images: straight RGBA by name; sizes may differ.
        settings: backgrounds and models of the scores.
        passes: None takes the model's.
        all_passes: also compare 1, 2, 4 and 8 passes.
    """
    table, decoded = ScoreTable(), dict[str, RGBA8]()
    rest = iter(images.items())
    parts = _scored_batches(
        pipe.autoencoder, list(images.values()), pipe.model.size_multiple, _passes(pipe, passes), all_passes
    )
    kept: list[_Batch] = []
    for part in parts:
        kept.append(part)
        for found, identity in zip(part.images, part.identity_db, strict=True):
            name, wanted = next(rest)
            table.add(name, {**score_pair(found, wanted, settings), "identity": identity})
            decoded[name] = found
    return Reconstructions(_means(kept, list(images.values()), _passes(pipe, passes)), table, decoded)


def _passes(pipe: TransparentPipeline, passes: int | None) -> int:
    return pipe.model.single.sampling.passes if passes is None else passes


def score_codec(
    codec: RGBAAutoencoder,
    images: Sequence[AnyArray],
    *,
    multiple: int,
    passes: int = 1,
    all_passes: bool = False,
) -> ReconstructionScores:
    """Encodes and decodes images at their own sizes, and compares.

    Args:
        codec: of any convention.
        images: straight RGBA; sizes may differ.
        multiple: sides are extended to it, px.
        passes: views that the alpha decoder takes the median of: 1, 2, 4 or 8.
        all_passes: also compare 1, 2, 4 and 8 passes.

    Returns:
        `psnr_db` by colour; `alpha` by score, units of `evaluation.metrics`, all pixels counted;
        `identity_psnr_db`, how little the latent offset changes the frozen VAE's image.

    Source: paper section 3.1 (identity), AlphaVAE protocol (blends), Rhemann et al. 2009 (alpha).
    """
    return _means(_scored_batches(codec, images, multiple, passes, all_passes), images, passes)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Images of one size, decoded."""

    images: list[RGBA8]
    identity_db: list[float]
    scores: dict[tuple[str, str], float]
    """Means, by kind and name."""


def _scored_batches(
    codec: RGBAAutoencoder, images: Sequence[AnyArray], multiple: int, passes: int, all_passes: bool
) -> Iterator[_Batch]:
    batches, compared = _batches(images), ALL_PASSES if all_passes else ()
    for batch in track(batches, total=len(batches), label="reconstructing", unit="batch"):
        yield _score(codec, batch, multiple, passes, compared)


def _means(batches: Iterable[_Batch], images: Sequence[AnyArray], passes: int) -> ReconstructionScores:
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for batch in batches:
        for name, value in batch.scores.items():
            # weighted, so that the mean is over images and not over batches of several sizes
            sums[name] += len(batch.images) * value
    means: dict[str, dict[str, float]] = defaultdict(dict)
    for (kind, name), total in sums.items():
        means[kind][name] = round(total / len(images), 3 if kind.endswith("db") else 6)
    scores: ReconstructionScores = {
        "pictures": len(images),
        "sizes": _sizes(images),
        "passes": passes,
        "psnr_db": means["psnr_db"],
        "alpha": means["alpha"],
        "identity_psnr_db": means["identity_psnr_db"][""],
    }
    if "psnr_by_passes_db" in means:
        scores["psnr_by_passes_db"] = means["psnr_by_passes_db"]
    return scores


def _batches(images: Sequence[AnyArray]) -> list[list[AnyArray]]:
    """Groups neighbouring images of one shape, in order."""
    batches: list[list[AnyArray]] = []
    for image in images:
        most = max(1, BATCH_PIXELS // (image.shape[0] * image.shape[1]))
        # a new batch where the size changes: images keep their order, which seeds and reports follow
        if not batches or len(batches[-1]) >= most or batches[-1][0].shape != image.shape:
            batches.append([])
        batches[-1].append(image)
    return batches


def _sizes(images: Sequence[AnyArray]) -> str:
    """Describes the one size, or the smallest and largest."""
    sizes = sorted({image.shape[:2] for image in images}, key=lambda size: size[0] * size[1])
    ends = [f"{height} x {width}" for height, width in sizes]
    return ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}"


@torch.no_grad()
def _score(
    codec: RGBAAutoencoder, batch: list[AnyArray], multiple: int, passes: int, compared: Sequence[int]
) -> _Batch:
    """Decodes a batch and computes its scores."""
    canvases = [pad_to_multiple(image, multiple) for image in batch]
    adjusted, plain = (
        torch.cat([codec.encode_image(canvas, use_offset=use) for canvas in canvases])
        for use in (True, False)
    )
    # what the frozen VAE shows with and without the offset: its difference is the identity score
    views = [codec.decode_opaque(latent).float() for latent in (adjusted, plain)]
    wanted = rgba_tensor(np.stack(batch))
    # a set, so that a number of passes that is asked for twice is computed once
    decoded = {n: _middle(codec.decode(adjusted, passes=n), wanted) for n in {passes, *compared}}
    scores = {("psnr_db", name): value for name, value in blended_metrics(decoded[passes], wanted).items()}
    scores["alpha", "mae"] = alpha_mae(decoded[passes], wanted)
    scores |= {("alpha", name): of(decoded[passes][:, 3], wanted[:, 3]) for name, of in ALPHA.items()}
    identity = psnr(*views)
    scores["identity_psnr_db", ""] = float(identity.mean())
    for n in compared:
        scores["psnr_by_passes_db", str(n)] = blended_metrics(decoded[n], wanted)["mean"]
    shown = (decoded[passes] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return _Batch(list(shown), [float(value) for value in identity], scores)


def _middle(decoded: Tensor, wanted: Tensor) -> Tensor:
    """Cuts off the margin and clips to [0, 1]."""
    top, left = ((decoded.shape[axis] - wanted.shape[axis]) // 2 for axis in (2, 3))
    height, width = wanted.shape[2:]
    return decoded[:, :, top : top + height, left : left + width].float().cpu().clamp(0, 1)
