"""The parts of a model that a stage starts from, read from its `init` folder (diffusers' layout)."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin

from pellucid.errors import ConfigError
from pellucid.weights.store import read_vae


def _part(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_dir():
        raise ConfigError(
            f"Expected {path} from an earlier stage, found none. Set `init` to the folder that has it."
        )
    return path


def save_half(module: ModelMixin, folder: Path) -> None:
    """Writes a module in diffusers' layout and half precision; the module itself stays as it is."""
    deepcopy(module).half().save_pretrained(folder)


@lru_cache(maxsize=2)
def load_vae(folder: Path, device: torch.device) -> Any:  # noqa: ANN401 - ours or any `AutoencoderKL`
    """The frozen VAE of the folder."""
    return read_vae(_part(folder, "vae")).to(device)
