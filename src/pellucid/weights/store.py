"""Loads the RGBA networks: from released files, from the hub, or from a folder that training wrote."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TypeVar, get_args

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError
from torch import nn

from pellucid.errors import InputError, WeightsError, first_line
from pellucid.files.tables import is_table
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.autoencoder import CONVENTIONS, ConventionFields, Offset, RGBAAutoencoder
from pellucid.models.latent_space import KINDS
from pellucid.models.mini_vae import MiniVAE
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.models.rgba_vae import VAE, InflatedDecoder, InflatedEncoder
from pellucid.weights.catalog import named
from pellucid.weights.diffusers_names import dtype_option
from pellucid.weights.hub import locate, sha256_of, verify
from pellucid.weights.tensor_files import EXPONENTS, fill, in_eight_bits, read, shapes, tensors_in

# names that were here before 0.1; they move to `hub` and `tensor_files` for good with the next release
__all__ = [
    "CONVENTION", "EXPONENTS", "fill", "in_eight_bits", "load_alpha_decoder", "load_codec",
    "load_offset_encoder", "locate", "read", "read_vae", "sha256_of", "shapes", "tensors_in", "verify",
]  # fmt: skip

M = TypeVar("M", bound=nn.Module)
N = TypeVar("N", bound=ModelMixin)
CONVENTION = "convention.json"
"""In a codec's folder: how its networks are joined with the VAE, as arguments of `RGBAAutoencoder`."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "convention": tuple(CONVENTIONS),
    "offset": get_args(Offset),
    "latent_input": ("raw", "scaled"),
}
"""What the fields of `convention.json` may say, but for `offset_multiplier`, which is a number."""
DAMAGES = (OSError, RuntimeError, ValueError, TypeError, AttributeError, KeyError, SafetensorError)
"""What diffusers raises at a folder whose config or weights are not what it expects."""


def _cast(module: M, dtype: torch.dtype) -> M:
    # diffusers' own `to` warns of half precision, which is the released one
    nn.Module.to(module, dtype=dtype)
    return module.eval()


def load_offset_encoder(
    source: str | Path, *, config: OffsetEncoder | None = None, dtype: torch.dtype = torch.float32
) -> OffsetEncoder:
    """Loads an offset encoder from a released file or from a folder that `save_pretrained` wrote.

    Args:
        source: a folder, or see `pellucid.weights.hub.locate`.
        config: model to fill; None takes the released configuration.
        dtype: of the result.

    Raises:
        WeightsError: absent, damaged, or of another configuration.
    """
    if _is_folder(source):
        return _cast(_from_folder(OffsetEncoder, Path(source)), dtype)
    return _cast(fill(config or OffsetEncoder(), locate(source)), dtype)


def load_alpha_decoder(
    source: str | Path, *, config: AlphaDecoder | None = None, dtype: torch.dtype = torch.float32
) -> AlphaDecoder:
    """Loads an alpha decoder; arguments and errors of `load_offset_encoder`."""
    if _is_folder(source):
        return _cast(_from_folder(AlphaDecoder, Path(source)), dtype)
    return _cast(fill(config or AlphaDecoder(), locate(source)), dtype)


def _is_folder(source: str | Path) -> bool:
    # a folder that happens to be called like a row of the catalog must not hide it
    return (isinstance(source, Path) or named(source) is None) and Path(source).is_dir()


def _from_folder(cls: type[N], folder: Path) -> N:
    try:
        return _pretrained(cls, folder)
    except DAMAGES as error:
        raise WeightsError(
            f"Expected a {cls.__name__} in {folder}, found {first_line(error)}. Save or fetch it again."
        ) from None


def _pretrained(cls: type[N], folder: Path) -> N:
    # `use_safetensors` keeps diffusers from falling back to pickles, which run code when opened
    return cls.from_pretrained(
        folder,
        local_files_only=True,
        low_cpu_mem_usage=False,
        **dtype_option(torch.float32),
        use_safetensors=True,
    )


def read_vae(path: Path) -> ModelMixin:
    """Loads a VAE's folder, frozen, float32: ours, or any family's."""
    vae = _pretrained(vae_class(MiniVAE.load_config(path)), path)
    return vae.eval().requires_grad_(False)


def vae_class(config: object) -> type[ModelMixin]:
    """Returns the class that a VAE's config names: one of `pellucid.models.latent_space`, else the usual."""
    name = config.get("_class_name") if is_table(config) else None
    if name == "MiniVAE":
        return MiniVAE
    if not isinstance(name, str) or name not in KINDS:
        return AutoencoderKL
    return getattr(import_module("diffusers"), name)


def load_codec(folder: Path, vae: ModelMixin) -> RGBAAutoencoder:
    """Loads the RGBA networks that training exported to `folder`, frozen, float32, on the device of `vae`.

    Args:
        folder: holds `offset_encoder` and `alpha_decoder`, or a `vae` of four channels that is both; and
            `convention.json`, without which the convention is "embedded".
        vae: the frozen VAE that they were trained over; not copied.

    Raises:
        WeightsError: a part is absent, damaged, or does not fit the VAE.
    """
    names = ("offset_encoder", "alpha_decoder")
    if not (folder / "vae").is_dir() and not all((folder / name).is_dir() for name in names):
        raise WeightsError(
            f"Expected the RGBA networks of this model in {folder}, found no {' and '.join(names)} there. "
            "Train them with `pellucid train autoencoder`, or take a model that has them."
        )
    try:
        parts = _inflated(folder / "vae") if (folder / "vae").is_dir() else _networks(folder)
        # on the VAE's device, but in float32 whatever its precision: alpha's exactness hangs on it
        for part in parts:
            nn.Module.to(part.eval().requires_grad_(False), vae.device)
        encoder, decoder = parts
        return RGBAAutoencoder(vae, encoder, decoder, **_convention(folder / CONVENTION))
    except (*DAMAGES, InputError) as error:
        raise WeightsError(
            f"Expected RGBA networks of this model in {folder}, found {first_line(error)}. Fetch them again."
        ) from None


def _inflated(path: Path) -> tuple[InflatedEncoder, InflatedDecoder]:
    vae = read_vae(path)
    if not isinstance(vae, VAE):
        raise TypeError(f"{type(vae).__name__} in place of AutoencoderKL")
    return InflatedEncoder(vae), InflatedDecoder(vae)


def _networks(folder: Path) -> tuple[OffsetEncoder, AlphaDecoder]:
    return (
        _pretrained(OffsetEncoder, folder / "offset_encoder"),
        _pretrained(AlphaDecoder, folder / "alpha_decoder"),
    )


def _convention(path: Path) -> ConventionFields:
    values = json.loads(path.read_text() if path.is_file() else "{}")
    _check_convention(path, values)
    return values


def _check_convention(path: Path, values: object) -> None:
    fields = {*CHOICES, "offset_multiplier"}
    if not is_table(values) or not set(values) <= fields:
        raise ValueError(f"{path.name} with other fields than {', '.join(sorted(fields))}")
    for name, value in values.items():
        # a word that nobody knows would count as the last branch of an if, and decode to noise
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"{name} {value!r} in {path.name}, not one of {', '.join(CHOICES[name])}")
        if name == "offset_multiplier" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{name} {value!r} in {path.name}, not a number")
