"""How much memory a training takes: estimates, to choose batches by.

Weights are counted exactly. Activations were counted for Stable Diffusion 1.5, XL and FLUX on torch's meta
device (docs/log.md); of other models they are scaled, and may be wrong by a third.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from pellucid.errors import ConfigError
from pellucid.pipelines.placement import main_memory_gib
from pellucid.training.proposals.start_model import StartModel

GIB = 2**30
SHARE = 0.9
"""Of the memory that a training may take: the rest is fragments, and whatever else runs."""
LARGE = 100_000_000
"""Parameters from which a denoiser is kept in half precision on a GPU."""
TRAINED_BYTES = 20
"""Of each parameter that trains, in float32: itself, its gradient, AdamW's two moments, its average."""
UNET_GIB = 16.0
"""GiB of activations of Stable Diffusion XL for a megapixel, in bfloat16."""
UNET_PARAMETERS = 2.6e9
RECOMPUTED = 1 / 6
"""Share of them that checkpointing leaves: the inputs of all blocks, and one block."""
VAE_GIB = 30.0
"""GiB of activations of Stable Diffusion's VAE for a megapixel, whose decoder a codec trains through."""
VAE_WIDTH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a step of training is cut to fit into memory."""

    batch_size: int
    accumulation: int
    rank: int
    checkpointing: bool
    half_frozen: bool
    gib: float
    """Estimate of what it takes."""


def device_memory(device: torch.device) -> float:
    """Returns the GiB of memory of a device: a GPU's own, or the machine's.

    Raises:
        ConfigError: the system does not tell, as Windows.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / GIB
    size = main_memory_gib()
    if size is None:
        raise ConfigError(
            "Expected a system that tells how much memory it has, found one that does not. Name the GiB with "
            "--memory."
        )
    return size


def fit_adapter(
    model: StartModel, *, size_px: int, rank: int, images_a_step: int, memory_gib: float, gpu: bool
) -> Fit:
    """Chooses the quickest way that fits, or the smallest where none does.

    Args:
        model: whose denoiser gets LoRAs.
        size_px: side of the images.
        rank: of LoRAs at most; less where no batch fits otherwise.
        images_a_step: images of an optimizer step, a power of two, whatever the batch.
        memory_gib: that there is.
        gpu: whether a GPU trains, where frozen weights are kept in half precision.
    """
    half = gpu and model.denoiser_parameters > LARGE
    frozen = (model.denoiser_parameters + model.text_parameters) * (2 if half else 4)
    frozen += model.vae_parameters * 4
    megapixels = size_px**2 / 1e6
    activations = UNET_GIB * megapixels * (model.denoiser_parameters / UNET_PARAMETERS) ** 0.5
    # autocast computes in bfloat16 on a GPU alone
    activations *= 1 if gpu else 2
    fit = None
    for each_rank, checkpointing, batch in _ways(rank, images_a_step):
        trained = model.lora_parameters_per_rank * each_rank * TRAINED_BYTES
        working = activations * batch * (RECOMPUTED if checkpointing else 1)
        gib = (frozen + trained) / GIB + working
        fit = Fit(
            batch_size=batch,
            accumulation=images_a_step // batch,
            rank=each_rank,
            checkpointing=checkpointing,
            half_frozen=half,
            gib=round(gib, 1),
        )
        if gib <= SHARE * memory_gib:
            return fit
    assert fit is not None  # there is always a way
    return fit


def fit_codec(model: StartModel, *, size_px: int, images_a_step: int, memory_gib: float) -> tuple[int, int]:
    """Returns the batch and the accumulation with which a codec over the model's VAE fits."""
    each = VAE_GIB * size_px**2 / 1e6 * max(1, model.vae_width) / VAE_WIDTH
    room = SHARE * memory_gib - (model.vae_parameters * 4) / GIB
    batch = images_a_step
    while batch > 1 and batch * each > room:
        batch //= 2
    return batch, images_a_step // batch


def _ways(rank: int, images_a_step: int) -> Iterator[tuple[int, bool, int]]:
    """Yields ranks, checkpointing and batches, the quickest first."""
    batches = [2**power for power in range(images_a_step.bit_length() - 1, -1, -1)]
    # below a rank of 4 an adapter learns little
    ranks = [rank, *(rank // 2**power for power in range(1, rank.bit_length()) if rank // 2**power >= 4)]
    for each_rank in ranks:
        for checkpointing in (False, True):
            for batch in batches:
                yield each_rank, checkpointing, batch
