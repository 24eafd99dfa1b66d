"""Training images in memory, and batches drawn from them with an explicit generator."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from pellucid.data.datasets import shards_of
from pellucid.data.image_folder import BACKGROUND
from pellucid.data.land_photos import calmest
from pellucid.data.records import HELD_OUT_SHARE, Record, draw_weights
from pellucid.data.shards import Sample, read_shard
from pellucid.errors import ConfigError
from pellucid.rgba.padding import extend_colour
from pellucid.rgba.resizing import resize_sample
from pellucid.training.data.subjects import belongs
from pellucid.training.recipe import Recipe

MOST_HELD_OUT = 0.25
"""Largest share of images that are held out by their labels."""


@dataclass(frozen=True, slots=True)
class InMemoryDataset:
    """All images of a run at its size."""

    records: tuple[Record, ...]
    rgba: UInt8[Tensor, "n 4 h w"]
    """Straight alpha, colour as `extend_colour` leaves it."""
    larger: UInt8[Tensor, "n 4 h2 w2"] | None = field(default=None, kw_only=True)
    """The same images at a whole multiple of that size, for a decoder that enlarges."""
    weights: Float[Tensor, " n"] | None = field(init=False, repr=False)
    """`record_weights` of the records."""

    def __post_init__(self) -> None:
        weights = record_weights(self.records)
        object.__setattr__(self, "weights", None if weights is None else weights.to(self.rgba.device))

    def only(self, *, held_out: bool) -> "InMemoryDataset":
        """Returns those that `held_out_flags` holds out for measuring, or the others."""
        flags = held_out_flags(self.records)
        return self.at([index for index, flag in enumerate(flags) if flag == held_out])

    @property
    def targets(self) -> UInt8[Tensor, "n 4 h2 w2"]:
        """Returns what a decoder is to make of the images' latents."""
        return self.rgba if self.larger is None else self.larger

    @property
    def count(self) -> int:
        """Returns how many there are to draw batches from."""
        return len(self.records)

    def at(self, index: Sequence[int]) -> "InMemoryDataset":
        """Returns the images at `index`."""
        larger = None if self.larger is None else self.larger[list(index)]
        return InMemoryDataset(tuple(self.records[i] for i in index), self.rgba[list(index)], larger=larger)

    def to(self, device: torch.device) -> "InMemoryDataset":
        """Returns the same images on another device."""
        larger = None if self.larger is None else self.larger.to(device)
        return InMemoryDataset(self.records, self.rgba.to(device), larger=larger)

    def batch(self, size: int, generator: torch.Generator, *, augment: bool) -> Float[Tensor, "b 4 h w"]:
        """Draws images by `Record.weight`: straight alpha in [0, 1]; changed by `augmented` on request."""
        rgba = self.rgba[self._drawn(size, generator)].float().div_(255)
        return augmented(rgba, generator) if augment else rgba

    def batch_and_targets(
        self, size: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "b 4 h w"], Float[Tensor, "b 4 h2 w2"]]:
        """Draws as `batch`, augmented, and returns beside the images what is to be decoded.

        That is the images themselves, or their `larger` versions after the same changes.
        """
        if self.larger is None:
            rgba = self.batch(size, generator, augment=True)
            return rgba, rgba
        drawn = self._drawn(size, generator)
        rgba, larger = (images[drawn].float().div_(255) for images in (self.rgba, self.larger))
        return augmented_together(rgba, larger, generator)

    def _drawn(self, size: int, generator: torch.Generator) -> Tensor:
        if self.weights is None:
            return torch.randint(len(self.records), (size,), generator=generator, device=self.rgba.device)
        return torch.multinomial(self.weights, size, replacement=True, generator=generator)


def record_weights(records: Sequence[Record]) -> Float[Tensor, " n"] | None:
    """Returns `draw_weights` as a tensor."""
    weights = draw_weights(records)
    return None if weights is None else torch.tensor(weights, dtype=torch.float32)


def held_out_flags(records: Sequence[Record]) -> list[bool]:
    """Returns which images are held out: by a hash of the label, 5 % of many.

    Where that takes none or all of them, as happens with few labels, the label with the lowest or highest
    hash goes to the other side. Where a label is more than a quarter of all images, as in a set of one's own
    with few captions, 5 % of the images and at least one are held out by a hash of their names instead. Two
    images are enough to train and to measure.
    """
    flags = [record.held_out for record in records]
    # by hash, not by name, so that the label that moves is no special one
    labels = sorted({record.label for record in records}, key=_hash)
    if len(labels) > 1 and len(set(flags)) < 2:
        moved = labels[-1] if all(flags) else labels[0]
        flags = [flag != (record.label == moved) for flag, record in zip(flags, records, strict=True)]
    if 0 < sum(flags) <= MOST_HELD_OUT * len(flags):
        return flags
    count = min(max(1, round(HELD_OUT_SHARE * len(records))), len(records) - 1)
    # the place too, since names may repeat
    places = sorted(range(len(records)), key=lambda place: (_hash(records[place].name), place))
    chosen = set(places[:count])
    return [place in chosen for place in range(len(records))]


def check_split(recipe: Recipe, trained: int, held_out: int) -> None:
    """Refuses a run that would find no image for its first step or its first sample grid.

    Args:
        recipe: of a stage that measures itself on held-out images.
        trained: images to train on.
        held_out: images to measure on.

    Raises:
        ConfigError: there are none of one kind.
    """
    if not trained or (not held_out and 0 < recipe.sample_every <= recipe.steps):
        raise ConfigError(
            f"Expected two images or more, to hold one out, found {trained} to train on and {held_out} held "
            "out. Add images, or set sample_every to 0."
        )


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def augmented(rgba: Float[Tensor, "b 4 h w"], generator: torch.Generator) -> Float[Tensor, "b 4 h w"]:
    """Flips images, exchanges channels and moves half of them, without a device sync.

    By whole pixels only: what is resampled has softer edges than what the decoder will meet.
    """
    return _changed(rgba, *_changes(rgba, generator))


def augmented_together(
    rgba: Float[Tensor, "b 4 h w"], larger: Float[Tensor, "b 4 h2 w2"], generator: torch.Generator
) -> tuple[Float[Tensor, "b 4 h w"], Float[Tensor, "b 4 h2 w2"]]:
    """Changes images and their larger versions alike, as `augmented`; whole pixels of the smaller ones."""
    changes = _changes(rgba, generator)
    # moves are shares of a side, so they are whole pixels of the larger images, too
    return _changed(rgba, *changes), _changed(larger, *changes)


def _changes(rgba: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws an affine map (b, 2, 3) and an order of the channels (b, 3) for each image."""
    count, device = len(rgba), rgba.device
    draw = partial(_uniform, count, generator, device)
    # one draw for each kind of change, so that a batch's numbers do not depend on what is applied
    flip = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    moved = draw(0, 1) < 0.5
    one, zero = torch.ones_like(flip), torch.zeros_like(flip)
    sides = (rgba.shape[3], rgba.shape[2])
    # whole pixels: the grid runs from -1 to 1, so a pixel is 2 / side of it
    x, y = (torch.where(moved, draw(-side / 8, side / 8).round() * 2 / side, zero) for side in sides)
    rows = [torch.stack([flip, zero, x], 1), torch.stack([zero, one, y], 1)]
    # ranks of random numbers are a permutation for each image, without waiting for the device
    order = torch.rand(count, 3, generator=generator, device=device).argsort(dim=1)
    order = torch.where((draw(0, 1) < 0.3)[:, None], order, torch.arange(3, device=device))
    return torch.stack(rows, 1), order


def _changed(rgba: Tensor, affine: Tensor, order: Tensor) -> Tensor:
    grid = functional.affine_grid(affine, list(rgba.shape), align_corners=False)
    # nearest, since interpolated edges are softer than those of images that a user decodes
    rgba = functional.grid_sample(rgba, grid, mode="nearest", align_corners=False)
    colour = rgba[:, :3].gather(1, order[:, :, None, None].expand(-1, -1, *rgba.shape[2:]))
    return torch.cat([colour, rgba[:, 3:]], dim=1)


# not within `_changes`: the tests' checks of types would be made anew at every batch
def _uniform(
    count: int, generator: torch.Generator, device: torch.device, low: float, high: float
) -> Float[Tensor, " count"]:
    return torch.rand(count, generator=generator, device=device) * (high - low) + low


def shards(recipe: Recipe) -> list[str]:
    """Returns all shards of a recipe."""
    return [shard for name in recipe.data for shard in shards_of(name)]


def wanted(recipe: Recipe, group: str) -> bool:
    """Tells whether a recipe takes images of a group."""
    return belongs(group, recipe.groups)


def load_images(recipe: Recipe) -> InMemoryDataset:
    """Reads a recipe's sets at its size.

    Raises:
        ConfigError: nothing is left.
    """
    # threads suffice here too: Pillow lets go of the interpreter while it decodes
    with ThreadPoolExecutor() as pool:
        parts = list(pool.map(partial(_wanted_samples, recipe), shards(recipe)))
    samples = _calm([sample for part in parts for sample in part], recipe)
    if not samples:
        raise ConfigError(
            f"No images in {', '.join(recipe.data)} are of the groups {', '.join(recipe.groups)}. Name other "
            "groups, or none for all."
        )
    # threads suffice, since OpenCV lets go of the interpreter while it resizes
    with ThreadPoolExecutor() as pool:

        def at(size_px: int) -> Tensor:
            prepare = partial(prepared, size_px=size_px)
            return torch.from_numpy(np.stack(list(pool.map(prepare, (image for _, image in samples)))))

        rgba, upscale = at(recipe.size_px), recipe.upscale
        larger = at(recipe.size_px * upscale) if upscale > 1 else None
    return InMemoryDataset(tuple(record for record, _ in samples), rgba, larger=larger)


def _wanted_samples(recipe: Recipe, shard: str) -> list[Sample]:
    return [sample for sample in read_shard(shard) if wanted(recipe, sample[0].group)]


def load_samples(recipe: Recipe) -> list[Sample]:
    """Reads a recipe's sets, backgrounds included, as they are but no larger than its size."""
    samples = (sample for shard in shards(recipe) for sample in read_shard(shard))
    resized = [
        (record, resize_sample(rgba, recipe.size_px, recipe.size_px))
        for record, rgba in samples
        if (wanted(recipe, record.group) or record.group == BACKGROUND) and not record.held_out
    ]
    return _calm(resized, recipe)


def _calm(samples: list[Sample], recipe: Recipe) -> list[Sample]:
    """Returns all but the backgrounds with much fine detail, where the recipe leaves these out."""
    if recipe.low_detail_fraction == 1:
        return samples
    grounds = [sample for sample in samples if sample[0].group == BACKGROUND]
    return [candidate for candidate in samples if candidate[0].group != BACKGROUND] + calmest(
        grounds, recipe.low_detail_fraction
    )


def prepared(image: np.ndarray, size_px: int) -> np.ndarray:
    """uint8 (h, w, 4) -> uint8 (4, size_px, size_px), colour extended under transparent pixels."""
    return extend_colour(resize_sample(image, size_px, size_px)).transpose(2, 0, 1)
