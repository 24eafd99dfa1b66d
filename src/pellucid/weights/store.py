"""Finds, fetches, verifies and loads checkpoints. Only safetensors: others can run code when opened."""

import hashlib
import json
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pellucid.errors import InputError, WeightsError, first_line
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.mini_vae import MiniVAE
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.models.rgba_vae import InflatedDecoder, InflatedEncoder
from pellucid.weights.catalog import Checkpoint, find

M = TypeVar("M", bound=nn.Module)
CONVENTION = "convention.json"
"""In a codec's folder: how its networks are joined with the VAE, as arguments of `RGBAAutoencoder`."""
EXPONENTS = "pellucid-exponents"
"""Key of a file's metadata: JSON of the powers of two that tensors in 8 bits are to be multiplied by."""
CONVENTION_FIELDS = {"convention", "offset", "offset_multiplier", "latent_input"}


def locate(source: str | Path, *, fetch: bool = True) -> Path:
    """File of a checkpoint on this machine.

    Args:
        source: a path, a name of the catalog, or "owner/repository/file" on the hub.
        fetch: whether to download what the hub's cache lacks.

    Raises:
        WeightsError: not safetensors, no such file, or the hub cannot be reached.
    """
    path = Path(source)
    row = find(str(source)) if not path.exists() else None
    if row is not None:
        return _fetch(row.repo, row.file, row.revision, fetch)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"Expected a .safetensors file or a name of the catalog, found {str(source)!r}. "
            "Convert other formats first: opening them can run code."
        )
    if path.is_file():
        return path
    parts = str(source).split("/", 2)
    if len(parts) == 3 and all(parts) and not str(source).startswith((".", "~")):
        return _fetch(f"{parts[0]}/{parts[1]}", parts[2], None, fetch)
    raise WeightsError(f"Expected a checkpoint at {source}, found no file. Check the path.")


def _fetch(repo: str, file: str, revision: str | None, fetch: bool) -> Path:
    try:
        return Path(hf_hub_download(repo, file, revision=revision, local_files_only=not fetch))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise WeightsError(
            f"{repo}/{file} is not in the local cache and could not be fetched ({type(error).__name__}). "
            "Connect and run `pellucid models get`, or pass the path of a copy."
        ) from error


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, row: Checkpoint) -> str:
    """Compares a file with its row of the catalog; returns its digest.

    Raises:
        WeightsError: size, hash or number of tensors differ.
    """
    size, digest = path.stat().st_size, sha256_of(path)
    if row.bytes_certain and size != row.bytes:
        raise WeightsError(f"{path} should have {row.bytes} bytes, found {size}. Fetch it again.")
    if not digest.startswith(row.sha256):
        raise WeightsError(
            f"{path} should have SHA-256 {row.sha256}..., found {digest[:16]}. Fetch it again."
        )
    if (found := len(shapes(path))) != row.tensors:
        raise WeightsError(f"{path} should have {row.tensors} tensors, found {found}. Fetch it again.")
    return digest


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes inside a file, without loading it.

    Raises:
        WeightsError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - no iterator
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error}). Fetch it again.") from error


def read(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU; see `tensors_in`."""
    with tensors_in(path) as tensor:
        return {name: tensor(name) for name in shapes(path)}


@contextmanager
def tensors_in(path: Path) -> Generator[Callable[[str], Tensor]]:
    """A function that reads a tensor by its name, on the CPU; those of `in_eight_bits` as half precision.

    Raises:
        WeightsError: the file is damaged.
    """
    shapes(path)
    with safe_open(path, framework="pt") as file:
        exponents: Mapping[str, int] = json.loads((file.metadata() or {}).get(EXPONENTS, "{}"))

        def tensor(name: str) -> Tensor:
            found = file.get_tensor(name)
            return (found.float() * 2.0 ** exponents[name]).half() if name in exponents else found

        yield tensor


def in_eight_bits(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights for a file of half the size: matrices and convolutions as 8-bit floats (e4m3).

    Each is first multiplied by a power of two that brings its largest value near the format's, since trained
    differences are so small that they would lose their digits.

    Returns:
        What to save, and the metadata without which it cannot be read.
    """
    most = torch.finfo(torch.float8_e4m3fn).max
    packed, exponents = dict(state), dict[str, int]()
    for name, value in state.items():
        if value.ndim > 1 and (largest := float(value.abs().max())):
            exponents[name] = math.ceil(math.log2(largest / most))
            packed[name] = (value.float() / 2.0 ** exponents[name]).to(torch.float8_e4m3fn)
    return packed, {EXPONENTS: json.dumps(exponents)}


def fill(module: M, path: Path, prefix: str = "", *, fresh: str | None = None) -> M:
    """Loads a file into a module: every name and every shape must match.

    Args:
        module: keeps its dtype.
        path: safetensors file.
        prefix: what the file puts before the module's own names.
        fresh: how names begin that the file may lack; what it lacks keeps its values.

    Raises:
        WeightsError: names the first mismatches of each kind.
    """
    found = {key.removeprefix(prefix): shape for key, shape in shapes(path).items()}
    wanted = {
        key: tuple(value.shape)
        for key, value in module.state_dict().items()
        if key in found or fresh is None or not key.startswith(fresh)
    }
    missing, unexpected = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    if missing or unexpected:
        raise WeightsError.mismatch(path, missing=missing, unexpected=unexpected)
    wrong = [key for key in sorted(wanted) if wanted[key] != found[key]]
    if wrong:
        listed = ", ".join(f"{key} {wanted[key]} but {found[key]}" for key in wrong[:3])
        raise WeightsError(
            f"{path} does not fit this model: {len(wrong)} tensors have other shapes: {listed}. "
            "Compare the model's config, or list known checkpoints with `pellucid models list`."
        )
    state = {key.removeprefix(prefix): value for key, value in read(path).items()}
    module.load_state_dict(state, strict=fresh is None)
    return module


def _cast(module: M, dtype: torch.dtype) -> M:
    nn.Module.to(
        module, dtype=dtype
    )  # diffusers' own `to` warns of half precision, which is the released one
    return module.eval()


def load_offset_encoder(
    source: str | Path, *, config: OffsetEncoder | None = None, dtype: torch.dtype = torch.float32
) -> OffsetEncoder:
    """Offset encoder from a released file, a catalog name, or a directory saved by `save_pretrained`.

    Args:
        source: see `locate`.
        config: model to fill; None takes the released configuration.
        dtype: of the result.
    """
    if Path(source).is_dir():
        return OffsetEncoder.from_pretrained(source, torch_dtype=dtype).eval()
    return _cast(fill(config or OffsetEncoder(), locate(source)), dtype)


def load_alpha_decoder(
    source: str | Path, *, config: AlphaDecoder | None = None, dtype: torch.dtype = torch.float32
) -> AlphaDecoder:
    """Alpha decoder; arguments of `load_offset_encoder`."""
    if Path(source).is_dir():
        return AlphaDecoder.from_pretrained(source, torch_dtype=dtype).eval()
    return _cast(fill(config or AlphaDecoder(), locate(source)), dtype)


def read_vae(path: Path) -> Any:  # noqa: ANN401 - see below
    """A VAE's folder, frozen, float32: ours, or any family's `AutoencoderKL`, which has the same methods."""
    own = MiniVAE.load_config(path).get("_class_name") == "MiniVAE"  # type: ignore[union-attr]
    vae = (MiniVAE if own else AutoencoderKL).from_pretrained(
        path, local_files_only=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
    )
    return vae.eval().requires_grad_(False)


def load_codec(folder: Path, vae: Any) -> RGBAAutoencoder:  # noqa: ANN401 - any diffusers VAE
    """The RGBA networks that training exported to `folder`, frozen, float32, over `vae` and on its device.

    Args:
        folder: holds `offset_encoder` and `alpha_decoder`, or a `vae` of four channels that is both; and
            `convention.json`, without which the convention is "embedded".
        vae: the frozen VAE that they were trained over; not copied.

    Raises:
        WeightsError: a part is absent, damaged, or does not fit the VAE.
    """
    try:
        parts = _inflated(folder / "vae") if (folder / "vae").is_dir() else _networks(folder)
        frozen: list[Any] = [part.eval().requires_grad_(False).to(vae.device) for part in parts]
        return RGBAAutoencoder(vae, *frozen, **_convention(folder / CONVENTION))
    except (OSError, RuntimeError, ValueError, InputError) as error:
        raise WeightsError(
            f"Expected RGBA networks of this model in {folder}, found {first_line(error)}. Fetch them again."
        ) from None


def _inflated(path: Path) -> list[Any]:
    vae = read_vae(path)
    return [InflatedEncoder(vae), InflatedDecoder(vae)]


def _networks(folder: Path) -> list[Any]:
    return [
        cls.from_pretrained(
            folder / name, local_files_only=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
        )
        for cls, name in ((OffsetEncoder, "offset_encoder"), (AlphaDecoder, "alpha_decoder"))
    ]


def _convention(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text()) if path.is_file() else {}
    if not isinstance(values, dict) or not set(values) <= CONVENTION_FIELDS:
        raise ValueError(f"{path.name} with other fields than {', '.join(sorted(CONVENTION_FIELDS))}")
    return values
