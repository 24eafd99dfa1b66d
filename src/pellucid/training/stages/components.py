"""The parts of a model that a stage starts from, read from `init` (diffusers' layout)."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from pellucid.errors import ConfigError, first_line
from pellucid.pipelines.model_folders import base_model, lowest_model
from pellucid.training.recipe import Recipe
from pellucid.weights.diffusers_names import dtype_option
from pellucid.weights.store import read_vae, vae_class


def _part(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_dir():
        raise ConfigError(
            f"Expected {path} from an earlier stage, found none. Set `init` to the folder that has it."
        )
    return path


def check_size(recipe: Recipe, multiple: int) -> None:
    """Refuses images that cannot be halved as often as the networks halve them.

    Args:
        recipe: its `size_px`.
        multiple: pixels that the size must be a multiple of.

    Raises:
        ConfigError: it is none.
    """
    if recipe.size_px % multiple:
        near = max(multiple, recipe.size_px // multiple * multiple)
        raise ConfigError(
            f"Expected size_px to be a multiple of {multiple} for these networks, got {recipe.size_px}. "
            f"Set it to {near} or {near + multiple}."
        )


def save_half(module: ModelMixin, folder: Path) -> None:
    """Writes a module in diffusers' layout and half precision; the module itself stays as it is."""
    # a copy, since `half` changes the module itself, which may go on training
    deepcopy(module).half().save_pretrained(folder)


# Read once for all stages of a process. Callers share it: who compiles or changes it copies it first.
@lru_cache(maxsize=2)
def load_vae(source: str | Path, device: torch.device) -> ModelMixin:
    """Returns the frozen VAE of a folder, or of a model on the hub.

    Raises:
        ConfigError: there is none.
    """
    # a light folder has no VAE
    if base_model(Path(source)) is not None:
        return load_vae(lowest_model(Path(source)), device)
    owner_and_name = str(source)
    # a name on the hub has one slash and no dot in front; everything else is meant as a path
    if Path(source).is_dir() or owner_and_name.count("/") != 1 or owner_and_name.startswith((".", "/")):
        vae = read_vae(_part(Path(source), "vae"))
        nn.Module.to(vae, device)
        return vae
    try:
        config = AutoencoderKL.load_config(owner_and_name, subfolder="vae")
        vae = vae_class(config).from_pretrained(
            owner_and_name, subfolder="vae", **dtype_option(torch.float32)
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Expected a VAE in {owner_and_name} on the hub, found {first_line(error)}. "
            "Check the name and the network, or set `init` to a folder."
        ) from None
    nn.Module.to(vae.eval().requires_grad_(False), device)
    return vae
