"""Ingest from every kind of source: nothing flattened, every image accounted for, the same set from all."""

import csv
import json
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.hostile_files import write_hostile_files
from data.loose_images import checkerboard, encode, over, subject
from pellucid.data.captioning import CaptionTask, caption_shard
from pellucid.data.engines import LocalEngine
from pellucid.data.filters.rules import Rules, make_rules
from pellucid.data.ingest import parts
from pellucid.data.ingest.fetching import Fetcher
from pellucid.data.ingest.references import ImageReference, read_content
from pellucid.data.ingest.run import IngestPlan, ingest
from pellucid.data.ingest.sources import Columns, list_images
from pellucid.data.records import Record
from pellucid.data.shards import add_member, read_shard, write_shard
from pellucid.errors import ConfigError, FileError, InputError

COUNT = 6


def read_set(folder: Path) -> dict[str, np.ndarray]:
    return {
        record.name: rgba for shard in sorted(folder.glob("set-*.tar")) for record, rgba in read_shard(shard)
    }


def make_folder(place: Path) -> Path:
    folder = place / "loose"
    (folder / "below").mkdir(parents=True)
    for seed in range(COUNT):
        path = folder / ("below" if seed % 2 else ".") / f"red-thing_{seed}.png"
        path.write_bytes(encode(subject(seed)))
    (folder / "below" / "red-thing_1.txt").write_text("a  thing of\nglass")
    about = {"caption": "thing 3", "license": "CC0-1.0", "author": "Ann"}
    (folder / "below" / "red-thing_3.json").write_text(json.dumps(about))
    return folder


def make_zip(place: Path) -> Path:
    with zipfile.ZipFile(place / "loose.zip", "w") as archive:
        for seed in range(COUNT):
            archive.writestr(f"a/thing_{seed}.png", encode(subject(seed)))
        archive.writestr("a/thing_1.txt", "a thing of glass")
        archive.writestr("readme.md", "not an image")
    return place / "loose.zip"


def make_tar(place: Path) -> Path:
    with tarfile.open(place / "loose.tar", "w") as tar:
        for seed in range(COUNT):
            add_member(tar, f"{seed:04d}.png", encode(subject(seed)))
            about = {"caption": f"thing {seed}", "license": "CC0-1.0", "author": "Ann"}
            add_member(tar, f"{seed:04d}.json", json.dumps(about).encode())
    return place / "loose.tar"


def make_shard(place: Path) -> Path:
    samples = [
        (Record(name=f"s-{seed}", label=f"thing {seed}", licence="MIT"), subject(seed))
        for seed in range(COUNT)
    ]
    write_shard(samples, place / "ours.tar")
    return place / "ours.tar"


def make_parquet(place: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    rows = [
        {
            "image": {"bytes": encode(subject(seed)), "path": None},
            "text": f"thing {seed}",
            "license": "CC0-1.0",
        }
        for seed in range(COUNT)
    ]
    # several row groups, so that a row is looked for in the right one
    parquet.write_table(pyarrow.Table.from_pylist(rows), place / "loose.parquet", row_group_size=4)
    return place / "loose.parquet"


def make_dataset(place: Path) -> Path:
    import pyarrow
    import pyarrow.ipc

    folder = place / "dataset"
    folder.mkdir()
    rows = [
        {"image": {"bytes": encode(subject(seed)), "path": "x.png"}, "text": f"thing {seed}"}
        for seed in range(COUNT)
    ]
    table = pyarrow.Table.from_pylist(rows)
    with pyarrow.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as writer:
        writer.write_table(table)
    (folder / "dataset_info.json").write_text("{}")
    return folder


MAKERS = (make_folder, make_zip, make_tar, make_shard, make_parquet, make_dataset)


@pytest.mark.parametrize("make", MAKERS)
def test_every_kind_of_source_gives_the_same_pixels(make: Callable[[Path], Path], tmp_path: Path) -> None:
    source = make(tmp_path)
    manifest = ingest(IngestPlan(sources=(str(source),), folder=str(tmp_path / "set")), LocalEngine())
    assert manifest["images"] == manifest["listed"] == COUNT
    images = list(read_set(tmp_path / "set").values())
    for seed in range(COUNT):
        assert any(np.array_equal(image, subject(seed)) for image in images)


def test_captions_licences_and_authors_come_along(tmp_path: Path) -> None:
    by_name = {
        it.name: it.record for it in list_images(str(make_folder(tmp_path)), Record(name="", label=""))
    }
    assert by_name["below/red-thing_1.png"].label == "a thing of glass"
    assert by_name["red-thing_2.png"].label == "red thing 2"
    about = by_name["below/red-thing_3.png"]
    assert (about.label, about.licence, about.attribution) == ("thing 3", "CC0-1.0", "Ann")
    (record,) = [
        it.record for it in list_images(str(make_tar(tmp_path)), Record(name="", label="")) if "3" in it.name
    ]
    assert (record.label, record.licence, record.attribution) == ("thing 3", "CC0-1.0", "Ann")
    (record,) = [
        it.record
        for it in list_images(str(make_shard(tmp_path)), Record(name="", label="", licence="x"))
        if "3" in it.name
    ]
    assert (record.label, record.licence) == ("thing 3", "MIT")


def test_colour_under_alpha_0_is_not_flattened(tmp_path: Path) -> None:
    rgba = subject(1)
    rgba[rgba[..., 3] == 0, :3] = (200, 10, 60)
    folder = tmp_path / "loose"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode(rgba))
    ingest(IngestPlan(sources=(str(folder),), folder=str(tmp_path / "set")), LocalEngine())
    (image,) = read_set(tmp_path / "set").values()
    assert np.array_equal(image, rgba)


def test_each_reason_to_drop_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "loose"
    folder.mkdir()
    good = subject(1)
    halo = subject(6)
    halo[(halo[..., 3] > 0) & (halo[..., 3] < 255), :3] = (0, 255, 0)
    dirty = good.copy()
    dirty[..., 3] = np.where(
        (good[..., 3] == 0) & (np.indices(good.shape[:2]).sum(0) % 3 == 0), 4, good[..., 3]
    )
    files = {
        "good.png": encode(good),
        "same.webp": encode(good, "WEBP", lossless=True),
        "small.png": encode(good[::4, ::4]),
        "long.png": encode(np.tile(subject(2), (1, 6, 1))),
        "empty.png": encode(np.zeros_like(good)),
        "checker.jpg": encode(over(subject(3), checkerboard(96)), "JPEG", quality=85),
        "matte.jpg": encode(over(subject(4), np.full((96, 96, 3), 250)), "JPEG", quality=85),
        "opaque.png": encode(
            np.dstack(
                [
                    np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8),
                    np.full((96, 96), 255, np.uint8),
                ]
            )
        ),
        "halo.png": encode(halo),
        "dirty.png": encode(dirty),
        "cut.png": encode(subject(5))[:200],
        "text.png": b"no image",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    manifest = ingest(IngestPlan(sources=(str(folder),), folder=str(tmp_path / "set")), LocalEngine())
    dropped = {
        json.loads(line)["name"]: json.loads(line)["reason"]
        for line in (tmp_path / "set" / "dropped.jsonl").read_text().splitlines()
    }
    assert dropped == {
        "same_webp": "near-duplicate",
        "small_png": "too small",
        "long_png": "too long",
        "empty_png": "empty",
        "checker_jpg": "painted checkerboard",
        "matte_jpg": "plain background",
        "opaque_png": "opaque",
        "halo_png": "fringe",
        "dirty_png": "dirty alpha",
        "cut_png": "unreadable",
        "text_png": "unreadable",
    }
    assert manifest["images"] == 1
    assert manifest["listed"] == len(files)
    assert sum(manifest["dropped"].values()) == len(dropped)


def test_a_restart_does_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_folder(tmp_path)
    plan = IngestPlan(sources=(str(source),), folder=str(tmp_path / "set"), part_length=2)
    whole = ingest(
        IngestPlan(sources=(str(source),), folder=str(tmp_path / "other"), part_length=2), LocalEngine()
    )
    read: list[str] = []

    def stop_after_three(reference: ImageReference, fetcher: Fetcher) -> bytes:
        read.append(reference.name)
        if len(read) == 4:
            raise KeyboardInterrupt
        return read_content(reference, fetcher)

    monkeypatch.setattr(parts, "read_content", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        ingest(plan, LocalEngine())
    first = read[:2]
    again = ingest(plan, LocalEngine())
    assert not set(first) & set(read[4:])  # the part that was whole is not read again
    assert [shard["sha256"] for shard in again["shards"]] == [shard["sha256"] for shard in whole["shards"]]
    assert ingest(plan, LocalEngine()) == again
    with pytest.raises(InputError, match="rules"):
        ingest(
            IngestPlan(
                sources=(str(source),),
                folder=str(tmp_path / "set"),
                part_length=2,
                rules=Rules(min_side_px=8),
            ),
            LocalEngine(),
        )


def test_a_plugin_that_raises_drops_its_image_alone(tmp_path: Path) -> None:
    source = make_folder(tmp_path)
    rules = Rules(
        rules=("data.test_ingest:refuse_third",),
        scores={"mean": "data.test_ingest:mean_score"},
        min_scores={"mean": 0.0},
    )
    manifest = ingest(
        IngestPlan(sources=(str(source),), folder=str(tmp_path / "set"), rules=rules), LocalEngine()
    )
    assert manifest["dropped"] == {"failed": 1, "no threes": 1}
    scores = [
        record.scores["mean"]
        for shard in (tmp_path / "set").glob("set-*.tar")
        for record, _ in read_shard(shard)
    ]
    assert len(scores) == COUNT - 2
    assert all(value > 0 for value in scores)


def refuse_third(rgba: np.ndarray, record: Record) -> str | None:
    if "4" in record.name:
        raise ZeroDivisionError
    return "no threes" if "3" in record.name else None


@pytest.mark.parametrize(
    "about", [b'{"name": "cat", "label": 3}', b'{"name": ["a"], "label": "b"}', b"[1]", b"{", b"\xff"]
)
def test_a_description_of_another_form_leaves_the_name(about: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add_member(tar, "red-thing.png", encode(subject(0)))
        add_member(tar, "red-thing.json", about)
    (found,) = list_images(str(tmp_path / "a.tar"), Record(name="", label=""))
    assert found.record.label in {"red thing", "cat", "b"}


@pytest.mark.parametrize(
    "name", ["a::b.png", "a b.png", "img[1].png", "a*b?.png", "~x.png", "a#b%20.png", "quo'te\".png"]
)
def test_no_name_of_a_file_is_a_pattern_or_an_address(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "in::to"
    folder.mkdir()
    (folder / name).write_bytes(encode(subject(1)))
    (reference,) = list_images(str(folder), Record(name="", label=""))
    assert read_content(reference, Fetcher()) == encode(subject(1))


def test_a_named_column_comes_before_an_address_and_no_address_is_told(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    rows = [{"image": encode(subject(0)), "url": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=1)
    none = Record(name="", label="")
    (found,) = list_images(str(path), none, Columns(image="image"))
    assert read_content(found, Fetcher()) == encode(subject(0))
    (found,) = list_images(str(path), none)
    with pytest.raises(FileError, match="found none"):
        read_content(found, Fetcher())


def test_a_shard_that_went_through_datasets_keeps_its_records(tmp_path: Path) -> None:
    """`load_dataset("webdataset")` makes one column of what stood in each .json."""
    import pyarrow
    from pyarrow import parquet

    ours = Record(name="s-1", label="a cup", licence="MIT", scores={"dirty": 0.5})
    other = {"caption": "a bowl", "license": "CC0-1.0"}
    rows = [
        {"webp": {"bytes": encode(subject(1)), "path": None}, "json": each}
        for each in (ours.to_json(), other)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=2)
    found = list_images(str(tmp_path / "a.parquet"), Record(name="", label=""), Columns(image="webp"))
    first, second = [reference.record for reference in found]
    assert first == ours
    assert (second.label, second.licence) == ("a bowl", "CC0-1.0")


def mean_score(rgba: np.ndarray, record: Record) -> float:
    return float(rgba.mean())


def not_a_number(rgba: np.ndarray, record: Record) -> float:
    return float("nan")


def test_a_score_that_is_no_number_drops_its_image(tmp_path: Path) -> None:
    rules = Rules(scores={"a": "data.test_ingest:not_a_number"})
    record = Record(name="a", label="b")
    outcome = parts.judge(subject(0), record, rules)
    assert isinstance(outcome, parts.Dropped)
    assert "a nan" in outcome.detail


def test_plugins_lie_in_the_working_folder_and_those_that_break_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_filter_a.py").write_text("def rule(rgba, record): return None")
    (tmp_path / "own_filter_b.py").write_text("1 / 0")
    (tmp_path / "own_filter_c.py").write_text("def rule(")
    assert make_rules({"rules": ["own_filter_a:rule"]}).rules == ("own_filter_a:rule",)
    for name in ("own_filter_b:rule", "own_filter_c:rule", "absent:rule", "own_filter_a:absent"):
        with pytest.raises(ConfigError, match=f"found '{name}'"):
            make_rules({"rules": [name]})


def test_a_wrong_rule_is_told_by_its_name_and_a_wrong_value_by_its_rule() -> None:
    with pytest.raises(ConfigError, match="found nope"):
        make_rules({"nope": 1})
    with pytest.raises(ConfigError, match="another value of min_side_px, found 'abc'"):
        make_rules({"min_side_px": "abc"})


def test_a_table_without_the_column_names_those_it_has(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["adress", "text"], ["http://x/y.png", "a"]])
    with pytest.raises(InputError, match="found adress, text"):
        list(list_images(str(tmp_path / "a.csv"), Record(name="", label=""), Columns()))
    with pytest.raises(FileError, match="cannot be read"):
        list(list_images(str(tmp_path / "absent.zip"), Record(name="", label="")))


def test_sources_and_sinks_are_urls(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/in/thing.png", encode(subject(1)))
    manifest = ingest(IngestPlan(sources=("memory://in",), folder="memory://out/set"), LocalEngine())
    assert manifest["images"] == 1
    assert memory.exists("/out/set/set-000000.tar")
    assert not memory.exists("/out/set/parts")


def test_damaged_and_hostile_files_are_all_accounted_for(tmp_path: Path) -> None:
    listed = write_hostile_files(tmp_path / "hostile", 150)
    manifest = ingest(
        IngestPlan(sources=(str(tmp_path / "hostile"),), folder=str(tmp_path / "set")), LocalEngine()
    )
    lines = (tmp_path / "set" / "dropped.jsonl").read_text().splitlines()
    assert manifest["listed"] == listed
    assert manifest["images"] + len(lines) == listed
    assert {"bomb_png", "wide_png", "long_png"} <= {json.loads(line)["name"] for line in lines}


def test_captions_come_from_a_server_a_function_or_keywords(tmp_path: Path) -> None:
    source = make_shard(tmp_path)
    for captioner, label in (("keywords", "thing 3"), ("data.test_ingest:caption", "a thing of 3 letters")):
        output = str(tmp_path / f"{label}.tar")
        task = CaptionTask(shard=str(source), output=output, captioner=captioner)
        counts = caption_shard(task)
        assert caption_shard(task) == counts
        labels = {record.name: record.label for record, _ in read_shard(output)}
        assert labels["s-3"] == label
        assert counts == {"images": len(labels), "failed": COUNT - len(labels)}


def caption(rgba: np.ndarray, record: Record) -> str:
    if record.name == "s-1":
        raise ZeroDivisionError
    return f"a thing of  {record.name[-1]} letters"


def test_names_stay_apart_whatever_sources_call_their_images(tmp_path: Path) -> None:
    for folder, names in (("a", ("cat", "cat-2")), ("b", ("cat", "cat-2", "cat-2-2"))):
        samples = [(Record(name=name, label=name), subject(len(name) + ord(folder))) for name in names]
        write_shard(samples, tmp_path / f"{folder}.tar")
    plan = IngestPlan(
        sources=(str(tmp_path / "a.tar"), str(tmp_path / "b.tar")),
        folder=str(tmp_path / "set"),
        rules=Rules(duplicates=True),
    )
    assert ingest(plan, LocalEngine())["images"] == len(read_set(tmp_path / "set")) == 5
