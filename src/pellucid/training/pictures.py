"""Training pictures in memory, and batches drawn from them with an explicit generator."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pellucid.data.records import Record
from pellucid.data.shards import read_shard, resize_rgba
from pellucid.data.sources import SOURCES, pull
from pellucid.errors import ConfigError
from pellucid.training.config import Recipe


@dataclass(frozen=True, slots=True)
class Pictures:
    """All pictures of a run at its size."""

    records: tuple[Record, ...]
    rgba: UInt8[Tensor, "n 4 h w"]
    """Straight alpha."""

    def batch(self, size: int, generator: torch.Generator, *, augment: bool) -> Float[Tensor, "b 4 h w"]:
        """Pictures drawn with equal chance, straight alpha in [0, 1]; flipped and moved if `augment`."""
        return self.take(
            torch.randint(len(self.records), (size,), generator=generator), generator, augment=augment
        )

    def take(self, index: Tensor, generator: torch.Generator, *, augment: bool) -> Float[Tensor, "b 4 h w"]:
        """The pictures at `index`, straight alpha in [0, 1]; flipped and moved if `augment`."""
        rgba = self.rgba[index].float().div_(255)
        if not augment:
            return rgba
        flip = torch.rand(len(index), generator=generator) < 0.5
        rgba = torch.where(flip[:, None, None, None], rgba.flip(-1), rgba)
        reach = rgba.shape[-1] // 8
        rows, columns = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        return torch.roll(rgba, (rows, columns), dims=(-2, -1))


def load_pictures(recipe: Recipe, *, held_out: bool | None = False) -> Pictures:
    """Reads a recipe's sets at its size: without the held-out pictures, only those (True), or all (None).

    Raises:
        ConfigError: nothing is left.
    """
    records: list[Record] = []
    rgba: list[np.ndarray] = []
    for name in recipe.data:
        shard = pull(name) if name in SOURCES else Path(name)
        for record, picture in read_shard(shard):
            if held_out in (None, record.held_out) and record.group in recipe.groups:
                records.append(record)
                rgba.append(resize_rgba(picture, recipe.size_px, recipe.size_px).transpose(2, 0, 1))
    if not records:
        raise ConfigError(f"No pictures in {recipe.data} match groups {recipe.groups}. Mend the recipe.")
    return Pictures(tuple(records), torch.from_numpy(np.stack(rgba)))
