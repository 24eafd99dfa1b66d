"""`pellucid study create | results`: plans, pairs, reports."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from evaluation.study.test_analysis import Raters
from pellucid.apps.cli import cli
from pellucid.errors import FileError, InputError
from pellucid.evaluation.study.pairs import IMAGES, PAIRS, VOTES, Pair, create_study, damaged, read_pairs
from pellucid.evaluation.study.plan import Plan, power, read_plan, votes_needed
from pellucid.evaluation.study.votes import VoteLog
from pellucid.files.images import read_rgba, write_image

PLAN = """
title = "Native or matted"
[methods]
ours = "ours"
theirs = "theirs"
[[questions]]
id = "prefer"
text = "Which image do you prefer?"
methods = ["ours", "theirs"]
votes = 100
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    for place, method in enumerate(("ours", "theirs")):
        (tmp_path / method).mkdir()
        for number in range(40):
            rgba = np.full((12, 12, 4), 90 * place + number, np.uint8)
            write_image(rgba, tmp_path / method / f"thing {number}.png")
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def made(plan: Path, folder: str = "study") -> list[Pair]:
    return create_study(read_plan(plan), plan, plan.parent / folder, plan.parent)


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["study", *map(str, words)])


def test_pairs_follow_from_the_plan_and_tell_nothing(plan: Path) -> None:
    pairs = made(plan)
    assert pairs == made(plan) == read_pairs(plan.parent / "study")
    kinds = Counter(pair.kind for pair in pairs)
    assert kinds["plain"] == 40
    assert 0 < kinds["swapped"] < 15
    assert len({pair.id for pair in pairs}) == len(pairs)
    assert sum(pair.left == "ours" for pair in pairs if pair.kind == "plain") == 20
    by_id = {pair.id: pair for pair in pairs}
    for pair in pairs:
        known = " ".join(pair.shown().values())
        assert not any(word in known for word in ("ours", "theirs", "plain", "swapped", "attention", ".png"))
        if pair.kind == "swapped":
            first = by_id[pair.of]
            assert (pair.left_file, pair.right_file) == (first.right_file, first.left_file)
        if pair.kind == "attention":
            assert {pair.left, pair.right} > {"damaged"}
            assert (pair.left == "damaged") == (pair.expected == "right")
            assert all(
                (plan.parent / "study" / IMAGES / name).is_file()
                for name in (pair.left_file, pair.right_file)
            )
    plan.write_text(f"seed = 1\n{PLAN}")
    assert [pair.left for pair in made(plan, "other")] != [pair.left for pair in pairs]


def test_a_damaged_copy_is_plainly_worse(plan: Path) -> None:
    rgba = read_rgba(plan.parent / "ours" / "thing 3.png")
    rgba[4:8, 4:8] = 255
    assert np.abs(damaged(rgba).astype(int) - rgba).mean() > 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("votes = 100", "votes = 0"), r"questions.0.votes"),
        (('theirs = "theirs"', 'other = "theirs"'), r"names theirs without a folder"),
        (("title", "titel"), r"title: Field required"),
        (('id = "prefer"', 'id = "No id!"'), r"questions.0.id"),
        (("[methods]", "[methods"), r"found"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan: Path, change: tuple[str, str], words: str) -> None:
    plan.write_text(PLAN.replace(*change))
    with pytest.raises(FileError, match=words):
        read_plan(plan)


def test_methods_must_have_all_images_at_one_size(plan: Path) -> None:
    write_image(np.zeros((5, 12, 4), np.uint8), plan.parent / "ours" / "thing 4.png")
    with pytest.raises(InputError, match="at one size"):
        made(plan)
    (plan.parent / "ours" / "thing 4.png").unlink()
    with pytest.raises(InputError, match=r"image of thing 4 by ours, found 1 missing"):
        made(plan)


def test_more_votes_than_pairs_can_give_are_refused(plan: Path) -> None:
    plan.write_text(PLAN.replace("votes = 100", "votes = 121"))
    with pytest.raises(InputError, match=r"121 votes on prefer, found 40, each for 3 raters"):
        made(plan)


def test_the_plan_cannot_change_under_votes(plan: Path) -> None:
    made(plan)
    VoteLog(plan.parent / "study" / VOTES).add(Raters({"ours": 1, "theirs": 0}).votes(2))
    made(plan)
    plan.write_text(PLAN.replace("Which", "What"))
    made(plan)  # words alone: results tell that the votes are of another plan
    plan.write_text(f"seed = 3\n{PLAN}")
    with pytest.raises(InputError, match="for which votes lie"):
        made(plan)
    assert len((plan.parent / "study" / PAIRS).read_text().splitlines()) >= 40


def test_power_is_that_of_the_exact_test() -> None:
    rng = np.random.default_rng(0)
    from scipy.stats import binomtest

    for n, rate in ((20, 0.7), (100, 0.6)):
        won = rng.binomial(n, rate, 400)
        simulated = np.mean([binomtest(int(k), n).pvalue <= 0.05 for k in won])
        assert power(n, rate) == pytest.approx(simulated, abs=0.08)
    assert power(200, 0.5) <= 0.05
    for rate in (0.6, 0.65):
        n = votes_needed(rate)
        assert power(n, rate) >= 0.8
        assert power(n - 20, rate) < 0.8


def test_results_are_printed_and_written(plan: Path) -> None:
    folder = plan.parent / "study"
    done = run("create", plan, "-o", folder)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(folder)
    assert "65% wins" in done.stderr
    votes = [
        vote.model_copy(update={"question": "prefer", "plan": read_plan(plan).digest})
        for vote in Raters({"ours": 1.0, "theirs": 0.0}).votes(30)
    ]
    VoteLog(folder / VOTES).add(votes)
    done = run("results", folder)
    assert done.exit_code == 0, done.output
    assert "ours over theirs" in done.stdout
    values = json.loads((folder / "results.json").read_text())
    assert values["questions"]["prefer"]["votes"] == 150
    (row,) = csv.DictReader((folder / "results.csv").read_text().splitlines())
    assert float(row["low"]) < float(row["rate"]) < float(row["high"])
    page = (folder / "results.html").read_text()
    assert "Which image do you prefer?" in page
    assert "150 votes" in done.stdout
    assert "://" not in page.replace("http://www.w3.org", "")  # no other host
    assert (folder / "results-prefer.svg").read_bytes().startswith(b"<?xml")
    assert "image/svg+xml;base64" in page


def test_a_folder_without_a_study_is_told(plan: Path) -> None:
    done = run("results", plan.parent / "ours")
    assert done.exit_code == 1
    assert "Expected a plan of a study" in str(done.exception) + done.output


def test_every_field_of_a_plan_has_a_default_or_is_asked_for() -> None:
    required = {name for name, field in Plan.model_fields.items() if field.is_required()}
    assert required == {"title", "questions", "methods"}
