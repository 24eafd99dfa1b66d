"""The optimizers that a recipe may name."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from pellucid.errors import ConfigError
from pellucid.training.recipe import Recipe


def build_optimizer(recipe: Recipe, module: nn.Module, device: torch.device, *, sharded: bool) -> Optimizer:
    """Returns a new optimizer of the module's parameters that train.

    Args:
        recipe: its optimizer, learning rate and weight decay.
        module: on the device.
        device: that trains.
        sharded: whether each process holds a share of the module (FSDP).

    Raises:
        ConfigError: 8 bits without bitsandbytes or a GPU, or sharded.
    """
    make: Callable[..., Optimizer] = AdamW
    # one kernel for all parameters
    options: dict[str, bool] = {"fused": device.type == "cuda"}
    if recipe.optimizer == "adamw-8bit":
        make, options = _eight_bits(device, sharded=sharded), {}
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return make(
        parameters,
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        betas=(0.9, 0.99),
        **options,
    )


def _eight_bits(device: torch.device, *, sharded: bool) -> Callable[..., Optimizer]:
    try:
        from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports]
    except ImportError:
        reason = "bitsandbytes is not installed. Install it (`pip install bitsandbytes`)"
    else:
        if device.type == "cuda" and not sharded:
            return AdamW8bit
        reason = "sharded models cannot use it" if sharded else f"it needs a GPU, found {device.type}"
        reason += ". Train on a GPU that holds the model"
    raise ConfigError(
        f"Expected to train with adamw-8bit, but {reason}, or set optimizer to adamw."
    ) from None
