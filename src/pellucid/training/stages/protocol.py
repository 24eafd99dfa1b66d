"""What the trainer asks of a stage."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Stage(Protocol):
    """What differs between stages: the modules, the loss, and what is written at the end."""

    modules: Mapping[str, nn.Module]
    """Modules that are optimised one after the other in a step; the first is averaged and exported."""
    compiled: Sequence[nn.Module]
    """Networks that the loss calls, for torch.compile."""

    def loss(self, module_name: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns weighted loss terms of a batch drawn from `generator`, which is on the modules' device."""
        ...

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the trained module where the next stage reads it."""
        ...

    def sample_grid(self, module: nn.Module, path: Path) -> None:
        """Draws sample images to a PNG."""
        ...

    def validation_metrics(self, module: nn.Module) -> dict[str, float]:
        """Measures the module on what the recipe's `score_count` asks for."""
        ...
