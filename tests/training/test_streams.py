"""Images from shards: every one once an epoch, the same after a kill, in the layout of WebDataset."""

import gc
import json
import warnings
from collections import Counter
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.data.records import Record
from pellucid.data.shard_index import count_shards
from pellucid.data.shards import expanded, read_shard, resized, write_parts, write_shard
from pellucid.errors import ConfigError, FileError
from pellucid.training.data.in_memory import load_images
from pellucid.training.data.streaming import ShardSampler, open_stream
from pellucid.training.recipe import Recipe, read_recipe
from pellucid.training.rng import StepGenerator
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer

TINY = {"block_out_channels": (3, 12, 8, 16), "layers_per_block": 1, "latent_channels": 4}


def samples(count: int = 60) -> list[tuple[Record, np.ndarray]]:
    """Images whose first level of red tells their number."""
    rng = np.random.default_rng(0)
    found: list[tuple[Record, np.ndarray]] = []
    for i in range(count):
        rgba = rng.integers(0, 256, (16, 16, 4), dtype=np.uint8)
        rgba[..., 3] |= 1  # extending colours changes what is wholly transparent
        rgba[0, 0] = (i, 0, 0, 255)
        about = Record(
            name=f"p{i:03d}", label=f"thing {i}", keywords=("a", "b"), group="food", source="s", style="icon",
            licence="MIT", attribution="a", soft=0.0,
        )  # fmt: skip
        found.append((about, rgba))
    return found


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Eight shards, by a name with braces; counts are kept where nothing else is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    write_shard(samples(), tmp_path / "all.tar")
    paths, count = write_parts(resized([tmp_path / "all.tar"], 16), tmp_path / "some.tar", 8)
    assert (len(paths), count) == (8, 60)
    return str(tmp_path / "some-{000000..000007}.tar")


def recipe(data: str, **values: object) -> Recipe:
    usual = {"steps": 6, "sample_every": 0, "log_every": 1, "warmup_steps": 2, "batch_size": 4, "size_px": 16}
    return Recipe(stage="vae", data=(data,), model=TINY, **(usual | {"stream": True} | values))  # type: ignore[arg-type]


def numbers(rgba: torch.Tensor) -> list[int]:
    return (rgba[:, 0, 0, 0] * 255).round().int().tolist()


def test_an_epoch_has_every_image_once_and_the_next_another_order() -> None:
    counts = [5, 3, 9, 1, 7]
    order = ShardSampler(counts, seed=1, together=2)

    def named(position: int, count: int, order: ShardSampler = order) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for group, indices in order.at(position, count):
            every = [(shard, i) for shard in group.shards for i in range(counts[shard])]
            found += [every[index] for index in indices]
        return found

    epochs = [named(0, 25), named(25, 25)]
    assert all(len(set(epoch)) == 25 for epoch in epochs)
    assert epochs[0] != epochs[1]
    pieces = [each for start in range(0, 50, 4) for each in named(start, 4)]
    assert pieces[:50] == epochs[0] + epochs[1]
    assert named(30, 7, ShardSampler(counts, seed=1, together=2)) == named(30, 7)  # of a new process
    shares = [{shard for shard, _ in named(0, 8, ShardSampler(counts, 1, part, 2))} for part in (0, 1)]
    assert not shares[0] & shares[1]


def test_a_stream_gives_every_training_image_and_none_held_out(shards: str) -> None:
    stream = open_stream(recipe(shards))
    trained = [int(record.name[1:]) for record, _ in samples() if not record.held_out]
    held_out = [int(record.name[1:]) for record, _ in samples() if record.held_out]
    assert sorted(numbers(stream.rgba.float() / 255)) == held_out != []
    assert [record.held_out for record in stream.records] == [True] * len(held_out)
    seen: Counter[int] = Counter()
    for step in range(len(trained)):  # two batches of four: eight epochs
        draw = StepGenerator(torch.device("cpu"), 0, step, 0)
        for _ in range(2):
            seen.update(numbers(stream.only(held_out=False).batch(4, draw, augment=False)))
    assert seen == {number: 8 for number in trained}


def test_images_are_those_of_a_set_in_memory(shards: str) -> None:
    stream, known = open_stream(recipe(shards, groups=())), load_images(recipe(shards, stream=False))
    for step in range(4):
        found = stream.batch(4, StepGenerator(torch.device("cpu"), 0, step, 0), augment=False)
        wanted = known.rgba[numbers(found)].float() / 255
        assert torch.equal(found, wanted)


def test_a_streamed_run_that_is_taken_up_again_is_bit_equal(shards: str, tmp_path: Path) -> None:
    made = recipe(shards, accumulation=2)

    def run(name: str) -> Trainer:
        return Trainer(made, make_stage(made, torch.device("cpu")), tmp_path / name)

    whole = run("whole")
    whole.train()
    first = run("parts")
    for _ in range(3):
        first.one_step()
    first.save()
    second = run("parts")
    second.train()
    for name, value in whole.exported().state_dict().items():
        assert torch.equal(value, second.exported().state_dict()[name]), name
    exports = [tmp_path / name / "export" / "vae" / "config.json" for name in ("whole", "parts")]
    assert exports[0].read_text() == exports[1].read_text()
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert all(0 <= line["data_wait"] <= 1 for line in lines)


def test_too_few_shards_and_stages_that_keep_latents_are_refused(shards: str) -> None:
    with pytest.raises(ConfigError, match="Expected 9 or more shards"):
        open_stream(recipe(shards, accumulation=9))
    with pytest.raises(ConfigError, match="only in stages vae, autoencoder"):
        Recipe(stage="base", data=(shards,), steps=1, stream=True)


def test_counts_are_kept_until_a_shard_changes(shards: str, tmp_path: Path) -> None:
    paths = expanded(shards)
    found = count_shards(paths, tmp_path / "counts")
    assert (
        sum(each.training["food"] for each in found) + sum(each.held_out.get("food", 0) for each in found)
        == 60
    )
    kept = sorted((tmp_path / "counts").iterdir())
    assert len(kept) == 8
    write_shard(samples(3), Path(paths[0]))
    assert count_shards(paths, tmp_path / "counts")[0].training == {"food": 3}


def test_shards_are_read_from_any_file_system(shards: str) -> None:
    memory = fsspec.filesystem("memory")
    for path in expanded(shards):
        memory.pipe(f"/set/{Path(path).name}", Path(path).read_bytes())
    there = "memory://set/some-{000000..000007}.tar"
    made = [open_stream(recipe(data)) for data in (shards, there, expanded(shards)[0].replace("000000", "*"))]
    batches = [each.batch(4, StepGenerator(torch.device("cpu"), 0, 2, 0), augment=False) for each in made]
    assert torch.equal(batches[0], batches[1])
    assert torch.equal(batches[0], batches[2])
    assert len(load_images(recipe(there, stream=False)).records) == 60
    with pytest.raises(FileError, match="nothing-"):
        expanded("/nowhere/nothing-*.tar")
    with pytest.raises(FileError, match=r"memory://set/absent\.tar cannot be read: FileNotFoundError"):
        open_stream(recipe("memory://set/absent.tar"))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["cats [2024]", "cats {2024}", "{a,b}", "{1..3}", "what?", "all*"])
def test_a_file_that_is_there_is_no_pattern(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name / "pictures.tar")
    Path(path).parent.mkdir()
    Path(path).touch()
    assert expanded(path) == [path]


def test_webdataset_reads_our_shards_and_we_read_its(shards: str, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # WebDataset closes none of its files
        theirs = list(webdataset.WebDataset(shards, shardshuffle=False).decode("rgba8"))
        gc.collect()  # its last file is in a cycle
    assert [each["json"]["name"] for each in theirs] == [record.name for record, _ in samples()]
    assert np.array_equal(theirs[5]["webp"], samples()[5][1])
    with webdataset.TarWriter(str(tmp_path / "theirs.tar")) as writer:
        for record, rgba in samples(4):
            writer.write({"__key__": record.name, "png": Image.fromarray(rgba), "json": record.to_json()})
    for (wanted, image), (found, back) in zip(samples(4), read_shard(tmp_path / "theirs.tar"), strict=True):
        assert found == wanted
        assert np.array_equal(back, image)


def test_a_recipe_may_name_urls(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('data = ["s3://bucket/set-{000..099}.tar"]\nstream = true\n[vae]\nsteps = 3\n')
    assert read_recipe(path, "vae").stream
    assert len(expanded(read_recipe(path, "vae").data[0])) == 100
