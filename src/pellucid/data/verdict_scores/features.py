"""Numbers that describe an image: what the filters measure, and statistics of the embedded VAE's latents."""

from dataclasses import asdict
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pellucid.data.filters.measures import measure
from pellucid.data.filters.rules import plugin
from pellucid.data.records import Record
from pellucid.errors import ConfigError, WeightsError
from pellucid.models.mini_vae import MiniVAE
from pellucid.rgba.resizing import fit_rgba, on_grey
from pellucid.rgba.types import RGBA8

MEASURED = ("visible", "soft", "strongest", "checkerboard", "matte", "fringe", "dirty", "specks")
"""Of `filters.measures`; size is left out, since a model's images all have one, and the share of transparent
pixels, which is what is not visible."""
SKEWED = frozenset({"fringe", "dirty", "specks"})
"""Measures that are small for most images and huge for some: taken as log(1 + x)."""
SIDE_PX = 128
"""What the embedded VAE was trained at."""
Features = Float[np.ndarray, "features"]


def image_features(rgba: RGBA8) -> Features:
    """Describes an image by about fifty numbers, in the order of `feature_names`.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
    """
    values = asdict(measure(rgba))
    measured = [np.log1p(values[name]) if name in SKEWED else values[name] for name in MEASURED]
    # an image without an edge has no fringe: not a number, and nothing to hold against it
    known = np.nan_to_num(np.array(measured, np.float64), nan=0.0, posinf=0.0)
    return np.concatenate([known, _latent_statistics(rgba)])


def feature_names() -> tuple[str, ...]:
    """Names what `image_features` returns."""
    channels = range(int(_vae().config["latent_channels"]))
    kinds = ("colour mean", "colour spread", "colour step", "alpha mean", "alpha spread", "alpha step")
    return (*MEASURED, *(f"{kind} {channel}" for kind in kinds for channel in channels))


def plugin_features(path: str, rgba: RGBA8, record: Record) -> Features:
    """Asks a function of one's own for more numbers, such as an embedding of the image.

    Args:
        path: "package.module:function"; it is called with the image and its record.
        rgba: uint8 (h, w, 4).
        record: of the image.

    Raises:
        ConfigError: no such function, or it answers no list of finite numbers.
    """
    values = np.asarray(plugin(path)(rgba, record), np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ConfigError(
            f"Expected a list of finite numbers from {path}, found shape {values.shape} for {record.name}. "
            "Correct the function."
        )
    return values


@torch.no_grad()
def _latent_statistics(rgba: RGBA8) -> Features:
    """Mean, spread and mean step between neighbours of each latent channel, of colour and of alpha."""
    fitted = fit_rgba(rgba, SIDE_PX, SIDE_PX, "fit")
    alpha = np.repeat(fitted[..., 3:].astype(np.float32) / 255, 3, axis=2)
    images = np.stack([on_grey(fitted), alpha])
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2) * 2 - 1
    encoded = _vae().encode(tensor)
    latents: Tensor = encoded.latent_dist.mean  # type: ignore[union-attr]
    steps = latents.diff(dim=2).abs().mean(dim=(2, 3)) + latents.diff(dim=3).abs().mean(dim=(2, 3))
    found = torch.stack([latents.mean(dim=(2, 3)), latents.std(dim=(2, 3)), steps], dim=1)
    return found.double().flatten().numpy()


@lru_cache(maxsize=1)
def _vae() -> MiniVAE:
    folder = Path(str(files("pellucid") / "mini" / "vae"))
    if not folder.is_dir():
        raise WeightsError(
            f"Expected the embedded model's VAE in {folder}, found none. Install pellucid from a wheel."
        )
    vae = MiniVAE.from_pretrained(
        folder, local_files_only=True, low_cpu_mem_usage=False, use_safetensors=True
    )
    return vae.float().eval().requires_grad_(False)
