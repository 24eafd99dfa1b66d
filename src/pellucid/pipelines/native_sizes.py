"""The sizes that a model was trained at and knows positions for, read off its denoiser and its pipeline."""

import inspect
from typing import Any

from pellucid.pipelines.family import ModelFamily


def latents_multiple(config: Any, family: ModelFamily) -> int:  # noqa: ANN401 - a denoiser's
    """Returns what sides in latents must divide by: a UNet's halvings, or a transformer's patches."""
    if family.denoiser == "unet":
        return 2 ** (len(config.block_out_channels) - 1)
    if family.patch_size > 1:  # what the sampler holds are the transformer's patches
        return family.patch_size
    patch = config.get("patch_size") or config.get("all_patch_size", 1)
    return patch if isinstance(patch, int) else patch[-1]  # of a video's the first is of frames


def token_side(config: Any, family: ModelFamily) -> int:  # noqa: ANN401
    """Returns the side of the squares of latents that a denoiser takes as one token, or a UNet's 1."""
    side = 1 if family.denoiser == "unet" else latents_multiple(config, family)
    # the pipeline unfolds latents, and the denoiser folds them again
    return side // 2 if family.packing == "unfolded" else side


def native_size(pipeline: Any, family: ModelFamily, pixels: int) -> tuple[int, int]:  # noqa: ANN401
    """Returns the (height, width), px, that a model was trained at.

    Args:
        pipeline: with the denoiser.
        family: of the pipeline.
        pixels: side of a latent, px.
    """
    config = getattr(pipeline, family.denoiser).config
    if family.sized_as_called:
        side: int = inspect.signature(pipeline.__call__).parameters["height"].default
        side = min(side, max_side(config, family, pixels) or side)
        return side, side
    sample = config.get("sample_size")
    if not sample:
        sample = getattr(pipeline, "default_sample_size", None)
        # the pipeline's own, which may fold latents once more than its denoiser
        pixels = getattr(pipeline, "vae_scale_factor", pixels)
    if not sample:
        sample, pixels = family.native_px, 1
    rows, columns = (sample, sample) if isinstance(sample, (int, float)) else sample
    return int(rows * pixels), int(columns * pixels)


def max_side(config: Any, family: ModelFamily, pixels: int) -> int | None:  # noqa: ANN401
    """Returns the longest side, px, that a denoiser has positions for; None where any will do."""
    positions = config.get("pos_embed_max_size")
    if family.positions == "area" and positions:
        positions = int(positions**0.5)
    return positions * config.patch_size * pixels if positions else None
