"""Weights of records: draws in proportion, and without any the draws of versions that had none."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_streams import numbers, recipe, samples

from pellucid.data.records import Record
from pellucid.data.shards import write_shard
from pellucid.errors import ConfigError
from pellucid.training.data.in_memory import InMemoryDataset
from pellucid.training.data.streaming import ShardSampler, open_stream
from pellucid.training.data.text_image import TextImageDataset


def dataset(weights: list[float]) -> InMemoryDataset:
    records = tuple(Record(name=f"r{i}", label=f"r{i}", weight=weight) for i, weight in enumerate(weights))
    rgba = torch.zeros(len(weights), 4, 2, 2, dtype=torch.uint8)
    rgba[:, 0] = torch.arange(len(weights), dtype=torch.uint8)[:, None, None]
    return InMemoryDataset(records, rgba)


def test_images_in_memory_are_drawn_by_weight() -> None:
    drawn = numbers(dataset([1, 2, 1, 4]).batch(20_000, torch.Generator().manual_seed(0), augment=False))
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    assert shares == pytest.approx([0.125, 0.25, 0.125, 0.5], abs=0.01)


def test_equal_weights_draw_as_before_to_the_bit() -> None:
    before = torch.randint(5, (64,), generator=torch.Generator().manual_seed(3)).tolist()
    assert numbers(dataset([1] * 5).batch(64, torch.Generator().manual_seed(3), augment=False)) == before


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_that_is_no_chance_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"weights above 0.*r1"):
        dataset([1, weight])


def test_captioned_images_are_drawn_by_weight() -> None:
    drawn = TextImageDataset.__new__(TextImageDataset)
    weights = torch.tensor([1, 2, 1, 4.0]).double()
    chance = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    for among in (2, 4):
        drawn.weight_sums = weights.cumsum(0)
        index = drawn._drawn(chance, torch.full((20_000,), among))  # pyright: ignore[reportPrivateUsage]
        assert np.bincount(index, minlength=among) / 20_000 == pytest.approx(
            weights[:among] / weights[:among].sum(), abs=0.015
        )
        drawn.weight_sums = None
        even = drawn._drawn(chance, torch.tensor(among))  # pyright: ignore[reportPrivateUsage]
        assert torch.equal(even, (chance * among).long())


def test_a_stream_takes_images_by_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    given = {i: weight for i, weight in enumerate([2, 1, 0.5, 1, 3, 1.5] * 10)}
    trained = [int(record.name[1:]) for record, _ in samples() if not record.held_out]
    weighted = [(replace(record, weight=given[int(record.name[1:])]), rgba) for record, rgba in samples()]
    for part in range(3):
        write_shard(weighted[part * 20 : part * 20 + 20], tmp_path / f"s-{part}.tar")
    for _ in range(2):  # the second time from counts that were kept
        stream = open_stream(recipe(str(tmp_path / "s-{0..2}.tar"), steps=400))
        order = stream.reader.orders[0]
        seen: Counter[int] = Counter()
        epochs = 4
        total = round(epochs * sum(given[number] for number in trained))
        for group, indices in order.at(0, total):
            every = [number for shard in group.shards for number in trained if number // 20 == shard]
            seen.update([every[int(index)] for index in indices])
        assert all(abs(seen[number] - epochs * given[number]) <= 1 for number in trained)


def test_a_stream_without_weights_keeps_its_order() -> None:
    counts = [5, 3, 9, 1, 7]
    plain, ones = ShardSampler(counts, 1), ShardSampler(counts, 1, weights=[[1.0] * n for n in counts])
    for position in range(0, 60, 4):
        for (group, a), (same, b) in zip(plain.at(position, 4), ones.at(position, 4), strict=True):
            assert group == same
            assert a.tolist() == b.tolist()
