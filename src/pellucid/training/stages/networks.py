"""Networks built from a recipe's tables, and what follows from the VAE where a table leaves it out."""

from typing import TypeVar

from torch import nn

from pellucid.errors import ConfigError, PellucidError, first_line
from pellucid.training.stages.options import Table

Network = TypeVar("Network", bound=nn.Module)
ENCODER_WIDTHS = (32, 64, 128, 256)
"""Channels of the released offset encoder at 1, 1/2, 1/4 and 1/8 of the size."""
DECODER_WIDTHS = (32, 32, 64, 128, 256, 512, 512)
"""Channels of the released alpha decoder, whose latent enters after three halvings."""


def build(network: type[Network], table: Table) -> Network:
    """Returns a new network.

    Raises:
        ConfigError: the arguments do not fit together.
    """
    try:
        return network(**table)
    except PellucidError:
        raise
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise ConfigError(
            f"Expected arguments of {network.__name__} that fit, got {dict(table)}: {first_line(error)}. "
            "Change its table in the recipe."
        ) from None


def encoder_defaults(table: Table, pixels_per_latent: int) -> dict[str, object]:
    """Returns the arguments of an offset encoder whose levels reach the VAE's latents.

    Args:
        table: what the recipe says, which is kept.
        pixels_per_latent: of the VAE.
    """
    levels = _halvings(table, pixels_per_latent) + 1
    return {"widths": _widths(ENCODER_WIDTHS, levels), **table}


def decoder_defaults(table: Table, pixels_per_latent: int, size_px: int) -> dict[str, object]:
    """Returns the arguments of an alpha decoder that meets the latent where the VAE has it.

    Args:
        table: what the recipe says, which is kept.
        pixels_per_latent: of the VAE.
        size_px: of the training images; levels that it cannot be halved for are left out.
    """
    halvings = _halvings(table, pixels_per_latent)
    levels = max(halvings + 4, len(DECODER_WIDTHS))
    fold = _fold(table)
    # a level that the image cannot be halved for is left out, but never one above the latent's
    while levels > halvings + 1 and size_px % (fold * 2 ** (levels - 1)):
        levels -= 1
    return {"widths": _widths(DECODER_WIDTHS, levels), "latent_level": halvings, **table}


def _fold(table: Table) -> int:
    fold = table.get("fold", 1)
    return fold if isinstance(fold, int) and fold > 0 else 1


def _halvings(table: Table, pixels_per_latent: int) -> int:
    """Halvings that are left to convolutions when the first ones are folded into channels."""
    # bit_length - 1 is the logarithm to base 2, without rounding
    return max(0, (pixels_per_latent // _fold(table)).bit_length() - 1)


def _widths(usual: tuple[int, ...], levels: int) -> tuple[int, ...]:
    return (usual + usual[-1:] * levels)[:levels]
