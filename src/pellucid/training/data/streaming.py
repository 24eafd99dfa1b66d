"""Images of sets larger than memory, in an order that is a pure function of the seed and a position.

So a run that was killed goes on with the images that the uninterrupted one would have seen. Nothing is kept
for it: the position follows from the step.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate, islice
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pellucid.data.datasets import cache_folder
from pellucid.data.records import Record
from pellucid.data.shard_index import count_shards
from pellucid.data.shards import decoded, read_packed
from pellucid.errors import ConfigError, FileError
from pellucid.rgba.types import AnyArray
from pellucid.training.data.in_memory import InMemoryDataset, augmented, prepared, shards, wanted
from pellucid.training.recipe import Recipe
from pellucid.training.rng import StepGenerator

# More would mix better; each is held in memory whole.
TOGETHER = 4
"""Shards whose images are shuffled together."""
HELD_OUT = 256
"""Held-out images that are kept in memory."""
BATCHES = {"vae": 2, "autoencoder": 1}
"""Batches of images in one forward pass of a stage."""
WORKERS = min(8, os.cpu_count() or 1)
"""Threads that decode batches ahead of the training."""


@dataclass(frozen=True, slots=True)
class Group:
    """Shards whose images are shuffled together, in one epoch of one part."""

    epoch: int
    number: int
    shards: tuple[int, ...]


@dataclass
class ShardSampler:
    """The order of one part's images, without end.

    In every epoch the shards are shuffled and dealt out to the parts; a part's shards are taken `together` at
    a time, and the images of those are shuffled.
    """

    counts: Sequence[int]
    """Images of each shard, none without any."""
    seed: int
    part: int = 0
    parts: int = 1
    together: int = TOGETHER
    weights: Sequence[Sequence[float]] = ()
    """Weight of each image of each shard; none at all, or an empty one for a shard, are weights of 1."""
    _ends: list[int] = field(default_factory=lambda: [0])

    def groups(self, epoch: int) -> list[Group]:
        """Returns the groups of an epoch, in order."""
        # every part shuffles all shards alike, then takes its own: nothing has to be sent between processes
        own_shards = np.random.default_rng([self.seed, epoch]).permutation(len(self.counts))[
            self.part :: self.parts
        ]
        some = [
            own_shards[start : start + self.together] for start in range(0, len(own_shards), self.together)
        ]
        return [
            Group(epoch, number, tuple(int(i) for i in shard_indices))
            for number, shard_indices in enumerate(some)
        ]

    def shuffled(self, group: Group) -> AnyArray:
        """Returns the order of a group's images, as indices into its shards one after the other."""
        rng = np.random.default_rng([self.seed, group.epoch, self.part, group.number])
        order = rng.permutation(self.size(group))
        if not any(self._weights(shard) for shard in group.shards):
            return order
        turns = np.concatenate([self._turns(shard, group.epoch) for shard in group.shards])
        return np.repeat(np.arange(len(turns)), turns)[order]

    def size(self, group: Group) -> int:
        """Counts how many images a group gives in its epoch: each as often as its weight says."""
        return sum(
            int(self._turns(shard, group.epoch).sum()) if self._weights(shard) else self.counts[shard]
            for shard in group.shards
        )

    def _weights(self, shard: int) -> Sequence[float]:
        return self.weights[shard] if self.weights else ()

    def _turns(self, shard: int, epoch: int) -> np.ndarray:
        """How often each image of a shard comes in an epoch, such that after many it is in proportion."""
        weights = np.asarray(self._weights(shard) or np.ones(self.counts[shard]))
        # each image begins elsewhere between two whole numbers, or all of weight 0.5 would come in one
        # epoch; multiples of the golden ratio are spread evenly
        phase = np.arange(1, len(weights) + 1) * ((5**0.5 - 1) / 2) % 1
        return (np.floor(weights * (epoch + 1) + phase) - np.floor(weights * epoch + phase)).astype(np.int64)

    def at(self, position: int, count: int) -> Iterator[tuple[Group, AnyArray]]:
        """Yields the images from `position` on, `count` of them, as a few groups and indices in each."""
        # ends of epochs, counted on as far as they are asked for; a resumed run counts from the first again
        while self._ends[-1] <= position:
            self._ends.append(self._ends[-1] + sum(map(self.size, self.groups(len(self._ends) - 1))))
        epoch = next(number for number, end in enumerate(self._ends) if end > position) - 1
        start = position - self._ends[epoch]
        while count:
            groups = self.groups(epoch)
            for group, end in zip(groups, accumulate(map(self.size, groups)), strict=True):
                first = self.size(group) - (end - start)
                if first < self.size(group) and count:
                    taken = self.shuffled(group)[first : first + count]
                    yield group, taken
                    start, count = start + len(taken), count - len(taken)
            epoch, start = epoch + 1, 0


@dataclass(frozen=True, slots=True)
class BatchIndex:
    """Which batch: its step, its part, and its number within that forward pass; part -1 is no training."""

    step: int
    part: int
    number: int


class Prefetcher:
    """Reads batches of uint8 images, ahead of those who ask for them."""

    def __init__(
        self,
        recipe: Recipe,
        names: Sequence[str],
        counts: Sequence[int],
        weights: Sequence[Sequence[float]] = (),
    ) -> None:
        self.recipe, self.names, self.counts = recipe, names, counts
        self.batches = BATCHES[recipe.stage]
        self.parts = range(recipe.accumulation)
        """Parts of a step that this process does, to know what is asked for next."""
        self.waited_s = 0.0
        """Seconds in which the training waited for images."""
        self.orders = {
            part: ShardSampler(counts, recipe.seed, part, recipe.accumulation, weights=weights)
            for part in range(recipe.accumulation)
            # draws beside the training come from another order, and so do not move the training on
        } | {-1: ShardSampler(counts, recipe.seed + 1, weights=weights)}
        # two pools: decoders wait for fetchers, and in one pool they could take all threads and wait forever
        self._decoders = ThreadPoolExecutor(WORKERS, "decode")
        self._fetchers = ThreadPoolExecutor(TOGETHER, "fetch")
        self._ahead: dict[BatchIndex, Future[Tensor]] = {}
        self._groups: OrderedDict[tuple[int, Group], list[Future[list[bytes]]]] = OrderedDict()
        self._lock = Lock()

    def take(self, place: BatchIndex, size: int) -> UInt8[Tensor, "b 4 h w"]:
        """Returns the images of a batch; those of the next ones are read meanwhile."""
        started = time.monotonic()
        # nothing is ahead at a run's start, or after it was resumed
        future = self._ahead.pop(place, None) or self._submit(place, size)
        if place.part >= 0:
            later = islice(self._after(place), 2 * WORKERS)
            self._ahead = {
                later_place: self._ahead.get(later_place) or self._submit(later_place, size)
                for later_place in later
            }
        batch = future.result()
        self.waited_s += time.monotonic() - started
        return batch

    def _after(self, place: BatchIndex) -> Iterator[BatchIndex]:
        """Yields the batches after one, in the order in which the training comes to them."""
        step = place.step
        while step < self.recipe.steps:
            for part in self.parts:
                for number in range(self.batches):
                    if (step, part, number) > (place.step, place.part, place.number):
                        yield BatchIndex(step, part, number)
            step += 1

    def _submit(self, place: BatchIndex, size: int) -> Future[Tensor]:
        # from the step alone, which is why nothing is kept for a resumed run
        position = (place.step * self.batches + place.number) * size
        picks = list(self.orders[place.part].at(position, size))
        return self._decoders.submit(self._batch, place.part, picks)

    def _batch(self, part: int, picks: Sequence[tuple[Group, AnyArray]]) -> Tensor:
        images: list[AnyArray] = []
        for group, indices in picks:
            packed = [content for shard in self._group(part, group) for content in shard.result()]
            images += [prepared(decoded(packed[int(index)]), self.recipe.size_px) for index in indices]
        return torch.from_numpy(np.stack(images))

    def _group(self, part: int, group: Group) -> list[Future[list[bytes]]]:
        """Returns the image files of a group's shards; fetches the next group and drops old ones."""
        with self._lock:
            for needed in (group, self._next(part, group)):
                # image files, not pixels: those of a few shards would not fit into memory
                if (part, needed) not in self._groups:
                    self._groups[part, needed] = [
                        self._fetchers.submit(self._fetch, shard) for shard in needed.shards
                    ]
                # so that the first of the dictionary is the one that was not asked for the longest
                self._groups.move_to_end((part, needed))
            files = self._groups[part, group]
            # three for each part: the present group, the next, and one that a late batch still reads
            while len(self._groups) > 3 * (len(self.parts) + 1):
                self._groups.popitem(last=False)
        return files

    def _next(self, part: int, group: Group) -> Group:
        groups = self.orders[part].groups(group.epoch)
        if group.number + 1 < len(groups):
            return groups[group.number + 1]
        return self.orders[part].groups(group.epoch + 1)[0]

    def _fetch(self, shard: int) -> list[bytes]:
        packed = [
            content
            for record, content in read_packed(self.names[shard])
            if wanted(self.recipe, record.group) and not record.held_out
        ]
        if len(packed) != self.counts[shard]:
            raise FileError(
                f"Expected {self.counts[shard]} images in {self.names[shard]}, found {len(packed)}: it was "
                "changed. Start the command again."
            )
        return packed


@dataclass(frozen=True, slots=True)
class StreamingDataset(InMemoryDataset):
    """Images in shards, with the interface of those in memory; `records` and `rgba` are held-out ones."""

    reader: Prefetcher
    # a list, since the dataset is frozen and its copies on other devices count on together
    asked: list[int] = field(default_factory=lambda: [0])
    """How many batches were drawn beside the training: for the first weights, and in exports."""

    @property
    def count(self) -> int:
        """Returns how many there are in the shards to draw batches from."""
        return sum(self.reader.counts)

    def only(self, *, held_out: bool) -> InMemoryDataset:
        """Returns the held-out ones, in memory; or all others."""
        return InMemoryDataset(self.records, self.rgba) if held_out else self

    def to(self, device: torch.device) -> "StreamingDataset":
        """Returns the same, with batches on another device."""
        return StreamingDataset(self.records, self.rgba.to(device), self.reader, self.asked)

    def batch(self, size: int, generator: torch.Generator, *, augment: bool) -> Float[Tensor, "b 4 h w"]:
        """Returns the images at an index of the order, straight alpha in [0, 1], `augmented` on request."""
        if isinstance(generator, StepGenerator):
            place = BatchIndex(generator.step, generator.part, generator.batches)
            generator.batches += 1
        else:
            place = BatchIndex(self.asked[0], -1, 0)
            self.asked[0] += 1
        batch = self.reader.take(place, size)
        if self.rgba.device.type == "cuda":
            # pinned memory is copied while the GPU goes on
            batch = batch.pin_memory()
        rgba = batch.to(self.rgba.device, non_blocking=True).float().div_(255)
        return augmented(rgba, generator) if augment else rgba


def open_stream(recipe: Recipe) -> StreamingDataset:
    """Returns a recipe's shards as a stream.

    Raises:
        ConfigError: there are fewer shards with images than forward passes in a step.
        FileError: a shard is absent or none.
    """
    names = shards(recipe)
    counts = count_shards(names, cache_folder() / "counts")
    sizes = [
        sum(n for group, n in shard_counts.training.items() if wanted(recipe, group))
        for shard_counts in counts
    ]
    filled = [index for index, size in enumerate(sizes) if size]
    if len(filled) < recipe.accumulation:
        raise ConfigError(
            f"Expected {recipe.accumulation} or more shards with images of {recipe.groups}, one for each "
            f"forward pass of a step, found {len(filled)}. Write smaller ones: `pellucid data pack --each`."
        )
    held_out = [
        name
        for name, shard_counts in zip(names, counts, strict=True)
        if any(wanted(recipe, group) for group in shard_counts.held_out)
    ]
    samples = list(islice(_held_out(recipe, held_out), HELD_OUT))
    records = tuple(record for record, _ in samples)
    rgba = [prepared(decoded(packed), recipe.size_px) for _, packed in samples]
    shape = (0, 4, recipe.size_px, recipe.size_px)
    kept = np.stack(rgba) if rgba else np.zeros(shape, np.uint8)
    weights = [
        [weight for group, weight in counts[index].weights if wanted(recipe, group)] for index in filled
    ]
    reader = Prefetcher(
        recipe,
        [names[index] for index in filled],
        [sizes[index] for index in filled],
        weights if any(weights) else (),
    )
    return StreamingDataset(records, torch.from_numpy(kept), reader)


def _held_out(recipe: Recipe, names: Sequence[str]) -> Iterator[tuple[Record, bytes]]:
    for name in names:
        for record, packed in read_packed(name):
            if record.held_out and wanted(recipe, record.group):
                yield record, packed


def find_prefetcher(stage: object) -> Prefetcher | None:
    """Returns what reads a stage's images, where they are streamed."""
    images = getattr(stage, "images", None)
    return images.reader if isinstance(images, StreamingDataset) else None
