"""Reads and fills from safetensors files, the only format that is ever opened: others can run code."""

import json
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pellucid.errors import WeightsError, first_line
from pellucid.files.tables import is_table

M = TypeVar("M", bound=nn.Module)
EXPONENTS = "pellucid-exponents"
"""Key of a file's metadata: JSON of the powers of two that tensors in 8 bits are to be multiplied by."""


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Reads names and shapes without loading the tensors.

    Raises:
        WeightsError: the file is absent or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names: list[str] = file.keys()
            found: dict[str, list[int]] = {name: file.get_slice(name).get_shape() for name in names}
            return {name: tuple(shape) for name, shape in found.items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file ({first_line(error)}). Fetch it again."
        ) from error


def read(path: Path) -> dict[str, Tensor]:
    """Loads all tensors of a file to the CPU; see `tensors_in`."""
    with tensors_in(path) as tensor:
        return {name: tensor(name) for name in shapes(path)}


@contextmanager
def tensors_in(path: Path) -> Generator[Callable[[str], Tensor]]:
    """Opens a file and yields a function that loads one tensor by its name, on the CPU.

    Tensors of `in_eight_bits` come as half precision.

    Raises:
        WeightsError: the file, or what its metadata says of 8-bit tensors, is damaged.
    """
    names = shapes(path)
    with safe_open(path, framework="pt") as file:

        def metadata() -> Mapping[str, str]:
            return file.metadata() or {}

        exponents = _exponents(path, metadata(), names)

        def tensor(name: str) -> Tensor:
            value: Tensor = file.get_tensor(name)
            return (value.float() * 2.0 ** exponents[name]).half() if name in exponents else value

        yield tensor


def _exponents(path: Path, metadata: Mapping[str, str], names: Mapping[str, object]) -> Mapping[str, int]:
    text = metadata.get(EXPONENTS, "{}")
    try:
        exponents = json.loads(text)
    except ValueError:
        exponents = None
    # beyond half precision's range a damaged exponent would turn weights into infinities unsaid
    if not _are_powers(exponents) or not set(exponents) <= set(names):
        raise WeightsError(
            f"Expected a power of two for each 8-bit tensor in the metadata of {path}, found {text[:80]!r}. "
            "Fetch or train the file again."
        )
    return exponents


def _are_powers(found: object) -> TypeGuard[dict[str, int]]:
    return is_table(found) and all(type(power) is int and abs(power) <= 64 for power in found.values())


def in_eight_bits(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Packs matrices and convolutions as 8-bit floats (e4m3), for a file of half the size.

    Each is first multiplied by a power of two that brings its largest value near the format's, since trained
    differences are so small that they would lose their digits.

    Returns:
        What to save, and the metadata without which it cannot be read.
    """
    most = torch.finfo(torch.float8_e4m3fn).max
    packed, exponents = dict(state), dict[str, int]()
    for name, value in state.items():
        if value.ndim > 1 and (largest := float(value.abs().max())):
            # rounded up, so that no value lies beyond the format; powers of two scale without rounding
            exponents[name] = math.ceil(math.log2(largest / most))
            packed[name] = (value.float() / 2.0 ** exponents[name]).to(torch.float8_e4m3fn)
    return packed, {EXPONENTS: json.dumps(exponents)}


class NoInit(TorchFunctionMode):
    """Builds modules in its block without the random values that a file replaces at once.

    The meta device would do it too, at two to three times the cost: it runs each initialisation in Python.

    Example:
        with NoInit():
            module = Network()
        fill(module, path)
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Returns a tensor as it is where it would be initialised, and calls everything else."""
        if getattr(func, "__module__", "") == nn.init.__name__:
            # torch's initialisers name their tensor when they ask a mode
            return (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def fill(module: M, path: Path, prefix: str = "", *, fresh: str | tuple[str, ...] | None = None) -> M:
    """Loads a file into a module: every name and every shape must match.

    Args:
        module: keeps its dtype.
        path: safetensors file.
        prefix: what the file puts before the module's own names.
        fresh: how names begin that the file may lack, one or several; what it lacks keeps its values.

    Raises:
        WeightsError: names the first mismatches of each kind.
    """
    stored = {key.removeprefix(prefix): shape for key, shape in shapes(path).items()}
    wanted = {
        key: tuple(value.shape)
        for key, value in module.state_dict().items()
        if key in stored or fresh is None or not key.startswith(fresh)
    }
    missing, unexpected = wanted.keys() - stored.keys(), stored.keys() - wanted.keys()
    if missing or unexpected:
        raise WeightsError.mismatch(path, missing=missing, unexpected=unexpected)
    wrong = [key for key in sorted(wanted) if wanted[key] != stored[key]]
    if wrong:
        listed = ", ".join(f"{key} {wanted[key]} but {stored[key]}" for key in wrong[:3])
        raise WeightsError(
            f"{path} does not fit this model: {len(wrong)} tensors have other shapes: {listed}. "
            "Compare the model's config, or list known checkpoints with `pellucid models list`."
        )
    state = {key.removeprefix(prefix): value for key, value in read(path).items()}
    module.load_state_dict(state, strict=fresh is None)
    return module
