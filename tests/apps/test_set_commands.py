"""`pellucid data stats`, `inspect` and `pull`: what people and scripts read."""

import json
from pathlib import Path

from click.testing import CliRunner

from data.loose_images import subject
from pellucid.apps.cli import cli
from pellucid.data.datasets import SOURCES
from pellucid.data.layer_composition import layer_triples, write_triples
from pellucid.data.records import Record
from pellucid.data.shards import write_shard


def said(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["data", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def make_set() -> None:
    records = [
        Record(name="a", label="a red cup", keywords=("cup", "mug"), licence="MIT", scores={"dirty": 1 / 3}),
        Record(name="b", label=" "),
    ]
    write_shard([(record, subject(number)) for number, record in enumerate(records)], Path("set.tar"))


def test_stats_count_in_columns_and_tell_what_has_no_caption() -> None:
    make_set()
    rows = {
        name.strip(): count
        for name, count in (line.rsplit(None, 1) for line in said("stats", "set.tar").splitlines())
    }
    assert rows["images"] == "2"
    assert rows["without a caption"] == "1"
    assert (rows["licence MIT"], rows["licence not stated"], rows["group none"]) == ("1", "1", "2")
    assert json.loads(said("stats", "set.tar", "--json"))["without caption"] == 1


def test_a_page_of_images_of_one_size_names_that_size() -> None:
    make_set()
    path = Path(said("stats", "set.tar", "--page", "page").splitlines()[-1])
    assert "without a caption" in path.read_text()
    assert path.with_name("side.svg").stat().st_size


def test_inspect_writes_no_python() -> None:
    make_set()
    text = said("inspect", "set.tar")
    assert "keywords: cup, mug\n" in text
    assert "  dirty: 0.3333\n" in text
    assert not set("{}()[]'") & set(text)


def test_the_help_of_pull_names_every_set() -> None:
    words = said("pull", "--help").replace(",", " ").replace(".", " ").split()
    assert set(SOURCES) <= set(words)


def test_a_set_that_is_not_there_is_told_so() -> None:
    message = str(CliRunner().invoke(cli, ["data", "stats", "fxemojis"]).exception)
    assert "Expected a shard at fxemojis, found no file" in message


def test_scenes_of_layers_are_told_from_single_images() -> None:
    fronts = [(Record(name="a", label="a cup"), subject(1))]
    backs = [(Record(name="b", label="a wood", group="background"), subject(2))]
    write_triples(layer_triples(fronts, backs, 1, size_px=32), Path("scenes.tar"))
    for command in ("stats", "inspect"):
        message = str(CliRunner().invoke(cli, ["data", command, "scenes.tar"]).exception)
        assert "found scenes of layers" in message
