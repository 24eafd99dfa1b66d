"""Engines: the same shards from each, whatever dies on the way, and duplicates that two workers share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.dying_tasks import refuse_three
from data.loose_images import encode, subject
from pellucid.data.engines import Engine, LocalEngine, RayEngine, make_engine
from pellucid.data.filters.rules import Rules
from pellucid.data.ingest.assembly import Manifest
from pellucid.data.ingest.run import IngestPlan, ingest
from pellucid.data.records import Record
from pellucid.errors import InputError

COUNT = 12
ENGINES = ["processes", pytest.param("ray", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def ray_engine() -> Iterator[Engine]:
    import ray

    # Ray's own files: it measures disks and looks for a cluster, and warns where it finds too little
    os.environ |= {"RAY_DISABLE_IMPORT_WARNING": "1", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    yield RayEngine(workers=2)
    ray.shutdown()


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "ray":
        return request.getfixturevalue("ray_engine")
    return make_engine(request.param, workers=2)


def make_images(folder: Path) -> Path:
    """Twelve images; the last is a copy of the first, so that they fall to different tasks."""
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"{number:02d}.png").write_bytes(encode(subject(number % (COUNT - 1))))
    return folder


def run(images: Path, name: str, engine: Engine, **rules: object) -> Manifest:
    plan = IngestPlan(
        sources=(str(images),),
        folder=str(images.parent / name),
        part_length=3,
        shard_length=5,
        rules=Rules.model_validate(rules),
        common=Record(name="", label="", source=str(images)),
    )
    return ingest(plan, engine)


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_all_engines_write_the_same_shards(engine: Engine, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    expected = run(images, "local", LocalEngine())
    assert expected["dropped"] == {"near-duplicate": 1}  # the copy is examined by another task than the first
    assert run(images, "other", engine) == expected


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_a_worker_that_dies_once_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    expected = run(images, "local", LocalEngine())
    (tmp_path / "once").touch()
    found = run(images, "other", engine, scores={"dies": "data.dying_tasks:die_once"})
    assert not (tmp_path / "once").exists()
    assert (found["images"], found["dropped"]) == (expected["images"], expected["dropped"])
    again = run(images, "again", LocalEngine(), scores={"dies": "data.dying_tasks:die_once"})
    assert found == again


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_an_image_that_kills_every_worker_is_set_aside(engine: Engine, tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    found = run(images, "other", engine, rules=["data.dying_tasks:die_of_third"])
    assert found["dropped"] == {"near-duplicate": 1, "failed": 1}
    assert found["images"] == COUNT - 2
    assert "02_png" in (tmp_path / "other" / "dropped.jsonl").read_text()


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_what_a_task_raises_is_raised_as_it_is(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"^3$"):
        list(engine.map(refuse_three, [1, 2, 3]))


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(InputError, match="local, processes, ray"):
        make_engine("spark")
