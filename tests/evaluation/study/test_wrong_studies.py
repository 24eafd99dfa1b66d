"""Plans, pairs and votes that are not as they should be: one clear error, nothing lost."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation.study.test_study_files import PLAN, made, plan, run
from pellucid.errors import FileError, InputError
from pellucid.evaluation.study.assignment import Answer, Desk
from pellucid.evaluation.study.pairs import PAIRS, VOTES, read_pairs
from pellucid.evaluation.study.pairs import PLAN as PLAN_NAME
from pellucid.evaluation.study.plan import read_plan
from pellucid.evaluation.study.votes import read_votes
from pellucid.files.images import write_image
from pellucid.files.locks import locked_folder

__all__ = ["plan"]
METHODS = 'methods = ["ours", "theirs"]'


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (METHODS, 'methods = ["ours", "ours"]', "names a method twice"),
        ("votes = 100", "votes = 1000000000000", "questions.0.votes"),
        ("[methods]", "raters_a_pair = 1000000000000\n[methods]", "raters_a_pair"),
        ('ours = "ours"', 'damaged = "ours"\nours = "ours"', "'damaged'"),
        ('ours = "ours"', '"" = "ours"\nours = "ours"', "''"),
        ('ours = "ours"', '"a\\u0001" = "ours"\nours = "ours"', "x01"),
        ('ours = "ours"', 'ours = "a\\u0000b"', "null"),
        ("[methods]", f"deep = {'[' * 10_000}\n[methods]", "recursion"),
        ("[methods]", 'prompts = "spaces.tsv"\n[methods]', "no tab in line 2"),
        ("[methods]", 'prompts = "twice.tsv"\n[methods]', "thing 0 again in line 2"),
    ],
)
def test_plans_that_cannot_be_are_told(plan: Path, old: str, new: str, told: str) -> None:
    (plan.parent / "spaces.tsv").write_text("thing 0\ta thing\nthing 1  a thing\n")
    (plan.parent / "twice.tsv").write_text("thing 0\ta thing\nthing 0\tanother\n")
    plan.write_text(PLAN.replace(old, new, 1))
    refused = run("create", plan, "-o", plan.parent / "study")
    assert isinstance(refused.exception, FileError)
    assert told in str(refused.exception)


def test_files_that_begin_with_a_byte_order_mark_are_read(plan: Path) -> None:
    (plan.parent / "prompts.tsv").write_text("thing 0\ta disc\n", encoding="utf-8-sig")
    plan.write_text(PLAN.replace("[methods]", 'prompts = "prompts.tsv"\n[methods]'), encoding="utf-8-sig")
    assert "a disc" in {pair.prompt for pair in made(plan)}


def test_images_of_one_name_are_not_chosen_silently(plan: Path) -> None:
    write_image(np.zeros((12, 12, 4), np.uint8), plan.parent / "ours" / "thing 0.webp")
    with pytest.raises(InputError, match=r"thing 0.png and thing 0.webp"):
        made(plan)


@pytest.mark.skipif(sys.platform == "win32", reason="names are checked there")
def test_names_may_hold_any_character_but_what_is_no_text(plan: Path) -> None:
    for method in ("ours", "theirs"):
        folder = plan.parent / method
        (folder / "thing 0.png").rename(folder / "a\u2028b\x85.png")
    assert made(plan) == read_pairs(plan.parent / "study")
    if sys.platform == "linux":
        (plan.parent / "ours" / "thing 1.png").rename(plan.parent / "ours" / os.fsdecode(b"\xff.png"))
        with pytest.raises(InputError, match="UTF-8"):
            made(plan)


def test_a_folder_with_a_plan_of_its_own_is_left_alone(plan: Path) -> None:
    other = plan.rename(plan.parent / "mine.toml")
    (plan.parent / PLAN_NAME).write_text("# another plan")
    refused = run("create", other, "-o", plan.parent)
    assert isinstance(refused.exception, InputError)
    assert (plan.parent / PLAN_NAME).read_text() == "# another plan"


def test_a_study_that_is_served_is_not_made_anew(plan: Path) -> None:
    with locked_folder(plan.parent / "study"):
        assert isinstance(run("create", plan, "-o", plan.parent / "study").exception, InputError)


EDITS: list[tuple[list[dict[str, object] | None], str]] = [
    ([], "no pairs"),
    ([{}, {}], "one twice"),
    ([{"left_file": "../../secret.png"}], "left_file"),
    ([{"id": 5}], "id: "),
    ([{"question": "other"}], "question other"),
    ([None], "object"),
]
"""Each change makes a line of the first pair; None one that is no pair at all."""


@pytest.mark.parametrize(("changes", "told"), EDITS)
def test_pairs_edited_by_hand_are_told(
    plan: Path, changes: list[dict[str, object] | None], told: str
) -> None:
    made(plan)
    path = plan.parent / "study" / PAIRS
    first: dict[str, object] = json.loads(path.read_text().splitlines()[0])
    rows = [[] if change is None else first | change for change in changes]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(FileError, match=told):
        Desk(plan.parent / "study")


VOTE = {
    "uid": "u", "time": 1, "rater": "ann", "question": "prefer", "pair": "aa", "prompt": "", "left": "ours",
    "right": "theirs", "outcome": "left",
}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (json.dumps({**VOTE, "mood": "happy"}), "mood: Extra inputs are not permitted"),
        (json.dumps({**VOTE, "right": "ours"}), "ours on both sides"),
        (json.dumps({**VOTE, "kind": "attention"}), "expected side"),
        (json.dumps({**VOTE, "left": "\ud800"}), "hex escape"),
        (json.dumps({**VOTE, "time": 10**400}), "finite"),
        ("[" * 100_000, "recursion"),
        ('{"a":' + "[" * 100_000 + "}", "recursion"),
        ("[]", "object"),
    ],
)
def test_votes_edited_by_hand_are_told(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / VOTES).write_text(f"{json.dumps(VOTE)}\n{line}\n")
    with pytest.raises(FileError, match="line 2") as refused:
        read_votes(tmp_path / VOTES)
    assert told in str(refused.value)


def test_votes_on_pairs_that_are_gone_cannot_be_taken_back(plan: Path) -> None:
    made(plan)
    (plan.parent / "study" / VOTES).write_text(json.dumps(VOTE) + "\n")
    with pytest.raises(InputError, match="pair of this study"):
        Desk(plan.parent / "study").withdraw("ann", "u")


def test_several_answers_of_one_person_to_a_pair_end_no_study(plan: Path) -> None:
    made(plan)
    desk = Desk(plan.parent / "study")
    (pair,) = desk.deal("ann")
    desk.answer("ann", [Answer(uid=f"u{number}", pair=pair.id, outcome="left") for number in range(100)])
    assert desk.progress()["prefer"].votes == 1
    assert not desk.progress()["prefer"].ended


def test_a_plan_whose_checks_were_taken_out_deals_none(plan: Path) -> None:
    plan.write_text(f"attention = 0.5\n{PLAN}")
    made(plan)
    path = plan.parent / "study" / PLAN_NAME
    path.write_text(path.read_text().replace("0.5", "0"))
    desk = Desk(plan.parent / "study")
    kinds: set[str] = set()
    for number in range(20):
        (pair,) = desk.deal("ann")
        kinds.add(pair.kind)
        desk.answer("ann", [Answer(uid=f"u{number}", pair=pair.id, outcome="left")])
    assert "attention" not in kinds


def test_names_are_neither_formulas_nor_markup(plan: Path) -> None:
    first, second = r"=cmd()", r"$\frac$ <b>"
    plan.write_text(
        f"title = '<i>T</i>'\n[methods]\n'{first}' = 'ours'\n'{second}' = 'theirs'\n"
        f"[[questions]]\nid = 'prefer'\ntext = 'Which?'\nmethods = ['{first}', '{second}']\nvotes = 30\n"
    )
    made(plan)
    folder = plan.parent / "study"
    desk = Desk(folder)
    for number in range(6):
        (pair,) = desk.deal("<u>")
        desk.answer("<u>", [Answer(uid=f"u{number}", pair=pair.id, outcome=("left", "right")[number % 2])])
    done = run("results", folder)
    assert done.exit_code == 0, done.exception
    with (folder / "results.csv").open() as file:
        assert {row["first"] for row in csv.DictReader(file)} <= {second, f"'{first}"}
    page = (folder / "results.html").read_text()
    assert not any(tag in page for tag in ("<b>", "<i>", "<u>"))
    assert read_plan(folder / PLAN_NAME).title == "<i>T</i>"
