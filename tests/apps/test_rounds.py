"""`pellucid data rounds`: a whole round with the tiny model, by commands alone."""

import json
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


def test_status_of_nothing_says_what_to_do() -> None:
    assert "data rounds new" in run("status").stdout
