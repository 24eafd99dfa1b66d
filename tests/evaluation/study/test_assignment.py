"""Pairs go to as many raters as planned, until the votes are there; what was answered survives a kill."""

import signal
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import InputError
from pellucid.evaluation.study import analyse, read_votes
from pellucid.evaluation.study.assignment import REPEAT_AFTER, Answer, Desk
from pellucid.evaluation.study.pairs import VOTES, create_study
from pellucid.evaluation.study.plan import read_plan
from pellucid.files.images import write_image

PLAN = """
title = "Three methods"
raters_a_pair = 2
swapped = 0.3
attention = 0.1
[methods]
a = "a"
b = "b"
c = "c"
[[questions]]
id = "prefer"
text = "Which image do you prefer?"
methods = ["a", "b", "c"]
votes = 60
[[questions]]
id = "crisp"
text = "Which edges are better?"
methods = ["a", "b"]
votes = 20
"""


class Clock:
    """Time that tests move on."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for method in "abc":
        (tmp_path / method).mkdir()
        for number in range(12):
            write_image(np.full((4, 4, 4), number, np.uint8), tmp_path / method / f"{number}.png")
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    create_study(read_plan(plan), plan, tmp_path / "study", tmp_path)
    return tmp_path / "study"


def answers_all(desk: Desk, raters: str, uid: "count[int]") -> dict[str, list[str]]:
    """Lets raters take turns until nobody gets a pair, and returns what each was shown."""
    shown: dict[str, list[str]] = defaultdict(list)
    going = list(raters)
    while going:
        for rater in list(going):
            if not (pairs := desk.deal(rater)):
                going.remove(rater)
                continue
            shown[rater].append(pairs[0].id)
            outcome = pairs[0].expected or "left"
            desk.answer(rater, [Answer(uid=f"u{next(uid)}", pair=pairs[0].id, outcome=outcome, dwell_ms=900)])
    return shown


def test_a_study_ends_with_the_planned_votes_by_several_raters_each(folder: Path) -> None:
    desk = Desk(folder)
    shown = answers_all(desk, "pqr", count())
    assert all(each.ended and each.votes == each.wanted for each in desk.progress().values())
    votes = read_votes(folder / VOTES)
    raters = Counter(vote.pair for vote in votes if vote.kind == "plain")
    assert set(raters.values()) == {2}
    assert {vote.plan for vote in votes} == {desk.plan.digest}
    for rater, pairs in shown.items():
        assert len(pairs) == len(set(pairs)) == desk.answered(rater)
        kinds = [desk.pairs[pair].kind for pair in pairs]
        assert 1 <= kinds.count("attention") <= 0.1 * len(kinds) + 2
        for place, pair in enumerate(pairs):
            if desk.pairs[pair].kind == "swapped":
                assert place - pairs.index(desk.pairs[pair].of) >= REPEAT_AFTER
    assert any(desk.pairs[pair].kind == "swapped" for pairs in shown.values() for pair in pairs)
    assert len({tuple(pairs) for pairs in shown.values()}) == 3
    found = analyse(folder / VOTES, plan=desk.plan, resamples=20)
    assert found.notes == ()
    assert found.questions["crisp"].percent.n == 10


def test_a_lease_keeps_a_pair_from_others_and_ends(folder: Path) -> None:
    clock = Clock()
    desk = Desk(folder, clock=clock, lease_seconds=60)
    first = desk.deal("p", 10)
    assert desk.deal("p", 10) == first
    held = [pair.id for pair in first]
    assert desk.deal("p", 10, holding=held) == []
    assert len(desk.deal("p", 11, holding=held)) == 1
    everyone = Counter(pair.of for rater in "pqrstu" for pair in desk.deal(rater, 20) if pair.kind == "plain")
    assert max(everyone.values()) <= 2
    assert desk.deal("z", 20) == []  # as many are out as votes are wanted
    clock.now += 61
    assert len(desk.deal("z", 20)) == 20


def test_an_answer_counts_though_its_lease_has_ended_and_once_though_it_is_sent_twice(folder: Path) -> None:
    clock = Clock()
    desk = Desk(folder, clock=clock)
    (pair,) = desk.deal("p")
    clock.now += 1e6
    answer = Answer(uid="u", pair=pair.id, outcome="tie")
    assert desk.answer("p", [answer, answer]) == 1
    assert desk.answer("p", [answer]) == 0
    assert Desk(folder).answer("p", [answer]) == 0
    assert desk.answered("p") == Desk(folder).answered("p") == 1
    with pytest.raises(InputError, match="pair of this study"):
        desk.answer("p", [Answer(uid="v", pair="elsewhere", outcome="tie")])


def test_a_vote_that_is_taken_back_is_asked_again(folder: Path) -> None:
    desk = Desk(folder)
    (pair,) = desk.deal("p")
    desk.answer("p", [Answer(uid="u", pair=pair.id, outcome="left")])
    with pytest.raises(InputError, match="vote of yours"):
        desk.withdraw("q", "u")
    assert desk.withdraw("p", "u") == pair
    assert desk.deal("p") == [pair]
    desk.answer("p", [Answer(uid="u", pair=pair.id, outcome="left")])  # sent late: it was taken back
    assert desk.answered("p") == 0
    desk.answer("p", [Answer(uid="u2", pair=pair.id, outcome="right")])
    assert [vote.outcome for vote in read_votes(folder / VOTES)] == ["right"]


VOTER = """
import sys
from pathlib import Path
from pellucid.evaluation.study.assignment import Answer, Desk
desk, place = Desk(Path(sys.argv[1])), 0
while pairs := desk.deal(sys.argv[2]):
    uid = f"{sys.argv[2]}-{place}"
    desk.answer(sys.argv[2], [Answer(uid=uid, pair=pairs[0].id, outcome="left")])
    print(uid, flush=True)
    place += 1
"""


def test_a_killed_program_loses_no_answer_that_it_took(folder: Path) -> None:
    taken: list[str] = []
    for run in range(2):
        words = [sys.executable, "-c", VOTER, str(folder), f"r{run}"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            taken += [program.stdout.readline().strip() for _ in range(7)]
            program.send_signal(signal.SIGKILL)
            taken += [line.strip() for line in program.stdout]
        if run == 0:  # and one that died in the middle of a line
            with (folder / VOTES).open("ab") as file:
                file.write(b'{"uid":"torn","time":17')
    assert len(taken) >= 14
    votes = [vote.uid for vote in read_votes(folder / VOTES)]
    # the last of a run may be on the disk though its sender was not told
    assert set(votes) >= set(taken)
    assert len(votes) <= len(taken) + 2
    assert sum(each.votes for each in Desk(folder).progress().values()) <= len(votes)
