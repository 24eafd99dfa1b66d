"""`pellucid data rounds`: a whole round with the tiny model, by commands alone."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from building import present
from data.verdict_scores.test_learning import judged
from pellucid.apps.cli import cli
from pellucid.data.rounds.database import open_store
from pellucid.data.rounds.tables import Sample
from pellucid.data.shards import read_shard
from pellucid.data.verdict_scores.learning import learn
from screening import judge_all


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["data", "rounds", *arguments])


def said(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_round_from_new_to_close(model: str) -> None:
    Path("prompts.tsv").write_text("a b\t2\tletters\nc d\n")
    assert said("new", "--samples", "6", "--overlap", "0", "--second-look", "0")["round"] == 1
    sampling = ("sample", "--model", model, "--prompts", "prompts.tsv", "--steps", "1", "--licence", "CC0")
    assert said(*sampling)["round"] == 1
    records = [record for record, _ in read_shard(Path("rounds/round-001/samples-000000.tar"))]
    assert len(records) == 6
    name, _, digest = records[0].model.rpartition(" ")
    assert (name, len(digest)) == (model, 16)
    assert {record.label for record in records} <= {"a b", "c d"}
    result = run("close")
    assert "6 not judged" in str(result.exception)
    store = open_store(Path("rounds"))
    judge_all(store, "ann", lambda each: "keep" if each.place < 2 else "reject")
    store.close()
    closed = said("close")
    assert (closed["kept"], closed["rejected"]) == (2, 4)
    assert Path(closed["path"]).is_file()
    recipe = tomllib.loads(Path(closed["path"]).read_text())
    assert all(Path(each).is_absolute() for each in recipe["data"])  # it may be used from anywhere
    (status,) = said("status")["rounds"]
    assert status["counts"] == {"keep": 2, "reject": 4, "disputed": 0, "open": 0}
    assert status["acceptance"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    text = run("status").stdout
    assert "round 1 (closed): 6 images" in text
    assert "acceptance 33.3%" in text
    assert said("new", "--samples", "1")["round"] == 2
    result = run("sample", "--prompts", "prompts.tsv", "--grammar", "prompts.tsv")
    assert result.exit_code == 2


def test_what_a_learned_score_is_least_sure_of_comes_first(model: str) -> None:
    Path("prompts.tsv").write_text("a b\nc d\n")
    learn([judged(number) for number in range(60)], recall=0.9, source="test").save(Path("scores"))
    said("new", "--samples", "6", "--grouping", "none", "--order", "uncertainty")
    said("sample", "--model", model, "--prompts", "prompts.tsv", "--steps", "1", "--scores", "scores")
    store = open_store(Path("rounds"))
    with store.reading() as session:
        uncertain = list(session.scalars(select(Sample.uncertainty).order_by(Sample.position)))
    store.close()
    assert len(uncertain) == 6
    assert uncertain == sorted(map(present, uncertain), reverse=True)


def test_options_stand_under_headings() -> None:
    for command in ("new", "sample", "review", "close", "status"):
        text = run(command, "--help").stdout
        assert "Store:" in text
        assert "--database" in text


@pytest.mark.parametrize("command", ["status", "review", "close", "sample"])
@pytest.mark.parametrize("made", [False, True])
def test_a_misspelt_folder_is_an_error_and_becomes_no_store(command: str, made: bool) -> None:
    folder = Path("ronuds")
    if made:
        folder.mkdir()
    result = run(command, "--folder", str(folder))
    assert "Expected rounds in ronuds, found none" in str(result.exception)
    assert "`pellucid data rounds new --folder ronuds`" in str(result.exception)
    assert list(Path().rglob("*")) == ([folder] if made else [])


def test_a_misspelt_database_is_an_error_and_becomes_no_store() -> None:
    said("new")
    result = run("status", "--database", "sqlite:///other.sqlite")
    assert "Expected rounds in sqlite:///other.sqlite, found none" in str(result.exception)
    assert "`pellucid data rounds new --database sqlite:///other.sqlite`" in str(result.exception)
    assert not Path("other.sqlite").exists()
    assert said("new", "--folder", "elsewhere", "--database", "sqlite:///other.sqlite")["round"] == 1
    assert said("status", "--folder", "elsewhere", "--database", "sqlite:///other.sqlite")["rounds"]
    assert "found none" in str(
        run("status", "--folder", "no", "--database", "sqlite:///other.sqlite").exception
    )


def test_a_second_round_says_how_to_finish_the_first(model: str) -> None:
    Path("prompts.tsv").write_text("a b\n")
    said("new", "--samples", "2", "--folder", "my rounds")
    again = ("new", "--folder", "my rounds")
    message = str(run(*again).exception)
    assert "found it sampling" in message
    for command in ("sample", "review", "close"):
        assert f"`pellucid data rounds {command} --folder 'my rounds'`" in message
    assert "--partial" in message
    said("sample", "--model", model, "--prompts", "prompts.tsv", "--steps", "1", "--folder", "my rounds")
    message = str(run(*again).exception)
    assert "rounds sample" not in message
    assert "neither kept nor rejected" in message
    said("close", "--partial", "--folder", "my rounds")
    assert said(*again)["round"] == 2
