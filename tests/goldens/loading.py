"""Reads golden vectors and makes the weights that they were made with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from goldens import golden_weights

HERE = Path(__file__).parent
M = TypeVar("M", bound=torch.nn.Module)


class Golden:
    def __init__(self, name: str) -> None:
        self.arrays = dict(np.load(HERE / f"{name}.npz"))
        self.meta = json.loads(str(self.arrays.pop("meta")))

    def __getitem__(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[key])

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def fill(self, module: M, prefix: str = "") -> M:
        filled = golden_weights.fill_module(module, self.meta["salt"], self.meta["overrides"], prefix=prefix)
        return filled.eval().requires_grad_(False)


def keys(name: str) -> dict[str, tuple[int, ...]]:
    return {row[0]: tuple(map(int, row[1].split("x"))) for row in table(name)}


def table(name: str) -> list[list[str]]:
    lines = (HERE / "keys" / f"{name}.tsv").read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def close(found: torch.Tensor, wanted: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


def alpha_last(x: torch.Tensor, dim: int = 1) -> torch.Tensor:
    return torch.roll(x, -1, dim)


def alpha_first(x: torch.Tensor, dim: int = 1) -> torch.Tensor:
    return torch.roll(x, 1, dim)


Builder = Callable[[], torch.nn.Module]
