"""The parts of a model that a stage starts from, read from its `init` folder (diffusers' layout)."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.modeling_utils import ModelMixin

from pellucid.errors import ConfigError
from pellucid.models.mini_vae import MiniVAE

SHEET_STEPS = 20
SHEET_GUIDANCE = 2.5


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
def load_vae(folder: Path, device: torch.device) -> Any:  # noqa: ANN401 - see below
    """The frozen VAE: ours, or any family's `AutoencoderKL`, which has the same methods."""
    path = _part(folder, "vae")
    own = MiniVAE.load_config(path).get("_class_name") == "MiniVAE"  # type: ignore[union-attr]
    vae = (MiniVAE if own else AutoencoderKL).from_pretrained(path, torch_dtype=torch.float32)
    return vae.to(device).eval().requires_grad_(False)  # type: ignore[return-value]
