"""What votes say, on simulated raters whose preferences are known."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import FileError, InputError
from pellucid.evaluation.study import QuestionResults, Vote, analyse, read_votes
from pellucid.evaluation.study.analysis import holm
from pellucid.evaluation.study.clusters import two_way
from pellucid.evaluation.study.preferences import Fit, fit, moves
from pellucid.evaluation.study.votes import VoteLog

quick = partial(analyse, resamples=40)


@dataclass(frozen=True)
class Raters:
    """People of known preferences."""

    scores: Mapping[str, float]
    count: int = 5
    tie: float = 0.3
    left_bias: float = 0.0
    prompt_spread: float = 0.0
    seed: int = 0

    def votes(self, prompts: int = 40, question: str = "q") -> Iterable[Vote]:
        rng = np.random.default_rng(self.seed)
        names: list[str] = sorted(self.scores)
        for prompt in range(prompts):
            by_prompt = {name: rng.normal(0, self.prompt_spread) for name in names}
            for rater in range(self.count):
                left, right = (names[int(i)] for i in rng.permutation(len(names))[:2])
                a, b = (math.exp(self.scores[name] + by_prompt[name]) for name in (left, right))
                a *= math.exp(self.left_bias)
                shares = np.array([a, b, self.tie * math.sqrt(a * b)])
                outcome = ("left", "right", "tie")[int(rng.choice(3, p=shares / shares.sum()))]
                yield Vote(
                    uid=f"{question}-{prompt}-{rater}", time=prompt, rater=f"r{rater}", question=question,
                    pair=f"{question}-{prompt}", prompt=f"p{prompt}", left=left, right=right, outcome=outcome,
                    dwell_ms=1500,
                )  # fmt: skip


def test_two_methods_get_a_rate_an_exact_test_and_wilsons_interval() -> None:
    votes = list(Raters({"ours": 1.2, "theirs": 0.0}).votes(60))
    found = quick(votes).questions["q"]
    (pair,) = found.pairs
    won = sum(vote.winner == "ours" for vote in votes)
    lost = sum(vote.winner == "theirs" for vote in votes)
    assert (pair.first, pair.wins, pair.losses) == ("ours", won, lost)
    assert pair.wins + pair.losses + pair.ties == found.votes == 300
    assert pair.rate.value == won / (won + lost)
    # the exact sign test by its definition
    n, low = won + lost, min(won, lost)
    tail = sum(math.comb(n, k) for k in range(low + 1)) / 2**n
    assert pair.p_value == pytest.approx(min(1, 2 * tail), rel=1e-6)
    truth = 1.2
    apart = found.methods["ours"].score.value - found.methods["theirs"].score.value
    assert apart == pytest.approx(truth, abs=0.5)
    assert found.methods["ours"].rank == (1, 1)
    assert not found.methods["theirs"].ties_for_first
    assert found.refused == ()


def test_several_methods_are_ranked_with_intervals() -> None:
    scores = {"a": 1.0, "b": 0.9, "c": -0.8, "d": -1.1}
    found = quick(list(Raters(scores, count=6).votes(80))).questions["q"]
    fitted = [found.methods[name].score for name in scores]
    assert sum(each.value for each in fitted) == pytest.approx(0, abs=1e-6)
    middle = np.mean(list(scores.values()))
    assert (
        sum(
            each.low <= truth - middle <= each.high
            for each, truth in zip(fitted, scores.values(), strict=True)
        )
        >= 3
    )
    assert found.methods["a"].ties_for_first
    assert found.methods["b"].ties_for_first
    assert found.methods["c"].rank[0] >= 3
    assert len(found.pairs) == 6
    assert all(pair.p_holm >= pair.p_value for pair in found.pairs)


def test_davidsons_scores_are_exact_where_they_are_known() -> None:
    # three to one without ties is a difference of ln 3, whatever the ties of another pair
    wins = np.array([[0.0, 30, 10], [10, 0, 10], [10, 10, 0]])
    two = fit(wins[:2, :2], np.zeros((2, 2)))
    assert two.scores[0] - two.scores[1] == pytest.approx(math.log(3), abs=1e-3)
    tied = fit(np.array([[0.0, 10], [10, 0]]), np.array([[0.0, 20], [20, 0]]))
    assert tied.scores == pytest.approx([0, 0], abs=1e-6)
    # P(tie) = v / (2 + v) = 1/2 at equal strength
    assert tied.tie == pytest.approx(2, rel=1e-3)


def test_a_method_that_never_loses_is_refused_by_name() -> None:
    votes = [vote for vote in Raters({"ours": 1.0, "theirs": 0.0}).votes(20) if vote.winner == "ours"]
    found = quick(votes).questions["q"]
    assert found.methods == {}
    assert "ours never lost" in found.refused[0]
    assert found.pairs[0].rate.value == 1  # what can be said is said


def test_ties_alone_give_no_scores() -> None:
    votes = [vote.model_copy(update={"outcome": "tie"}) for vote in Raters({"a": 0, "b": 0}).votes(4)]
    found = quick(votes).questions["q"]
    assert "are ties" in found.refused[0]
    assert found.methods == {}
    assert found.pairs[0].p_value == 1


def test_one_person_alone_is_told() -> None:
    found = quick(list(Raters({"a": 0.5, "b": 0.0}, count=1).votes(30)))
    assert "one person" in found.notes[0]


def test_methods_that_nobody_compared_get_no_common_scale_and_change_nothing() -> None:
    ours = list(Raters({"a": 0.5, "b": 0.0}).votes(30))
    alone = quick(ours).questions["q"]
    others = [
        vote.model_copy(update={"uid": f"x{vote.uid}", "left": f"x{vote.left}", "right": f"x{vote.right}"})
        for vote in Raters({"a": 2.0, "b": 0.0}, seed=3).votes(30)
    ]
    both = quick([*ours, *others]).questions["q"]
    assert "no common scale" in both.refused[0]
    assert "a, b" in both.refused[0]
    for name in ("a", "b"):
        assert both.methods[name].score.value == pytest.approx(alone.methods[name].score.value, abs=1e-4)
    assert both.pairs[0].rate == alone.pairs[0].rate


def test_inattentive_and_hasty_raters_are_dropped_with_a_reason() -> None:
    votes = list(Raters({"ours": 1.0, "theirs": 0.0}).votes(30))
    for number in range(4):
        for rater, passes in (("r0", number == 0), ("r1", True)):
            votes.append(
                Vote(
                    uid=f"c{number}{rater}", time=0, rater=rater, question="q", pair=f"c{number}", prompt="c",
                    left="x", right="y", outcome="left" if passes else "right", expected="left",
                    kind="attention", dwell_ms=900,
                )
            )  # fmt: skip
    votes = [vote.model_copy(update={"dwell_ms": 80}) if vote.rater == "r2" else vote for vote in votes]
    found = quick(votes)
    assert found.dropped.keys() == {"r0", "r2"}
    assert found.dropped["r0"] == "passed 1 of 4 attention checks"
    assert "80 ms" in found.dropped["r2"]
    assert found.questions["q"].raters == 3
    with pytest.raises(InputError, match="5 raters dropped"):
        quick(votes, min_dwell_ms=5000)


def test_position_bias_and_swapped_pairs_are_measured() -> None:
    biased = list(Raters({"a": 0.0, "b": 0.0}, left_bias=1.0).votes(40))
    swapped = [
        vote.model_copy(
            update={"uid": f"s{vote.uid}", "kind": "swapped", "left": vote.right, "right": vote.left}
        )
        for vote in biased[:40]
    ]
    found = quick([*biased, *swapped]).questions["q"]
    assert found.left_wins.low > 0.55
    assert found.p_left < 0.001
    # the same side again is the other method
    ties = sum(vote.outcome == "tie" for vote in biased[:40])
    assert found.swapped_same.value == ties / 40


def test_questions_are_adjusted_together() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    votes = [vote for question in ("one", "two") for vote in Raters({"a": 0.4, "b": 0}).votes(30, question)]
    found = quick(votes, plan="none").questions
    assert found.keys() == {"one", "two"}
    assert max(each.pairs[0].p_holm for each in found.values()) >= max(
        each.pairs[0].p_value for each in found.values()
    )
    assert quick(votes, plan="other").notes == (
        f"{len(votes)} of {len(votes)} votes were given under another plan",
    )


def test_a_sweep_has_an_interval_with_a_width() -> None:
    votes = [vote for vote in Raters({"ours": 1.0, "theirs": 0.0}).votes(20) if vote.winner == "ours"]
    (pair,) = quick(votes).questions["q"].pairs
    assert pair.rate_with_ties.value == 1
    assert 0.5 < pair.rate_with_ties.low < 0.99
    assert pair.p_value < pair.p_clustered < 0.01  # five raters are few


def test_raters_who_differ_widen_the_interval() -> None:
    def study(raters_agree: bool) -> QuestionResults:
        rng = np.random.default_rng(0)
        rates = [0.6] * 4 if raters_agree else [0.9, 0.7, 0.5, 0.3]
        votes = [
            Vote(
                uid=f"{prompt}-{rater}", time=0, rater=f"r{rater}", question="q", pair=f"{prompt}",
                prompt=f"p{prompt}", left="a", right="b",
                outcome="left" if rng.random() < rates[rater] else "right",
            )
            for prompt in range(60) for rater in range(4)
        ]  # fmt: skip
        return quick(votes).questions["q"]

    alike, apart = (study(agree) for agree in (True, False))
    widths = [each.pairs[0].rate_with_ties.high - each.pairs[0].rate_with_ties.low for each in (alike, apart)]
    assert widths[1] > 2 * widths[0]
    scores = [each.methods["a"].score.high - each.methods["a"].score.low for each in (alike, apart)]
    assert scores[1] > 1.5 * scores[0]
    # what takes votes as independent sees nothing of it
    wilsons = [each.pairs[0].rate.high - each.pairs[0].rate.low for each in (alike, apart)]
    assert wilsons[1] == pytest.approx(wilsons[0], rel=0.05)


def test_independent_votes_have_the_variance_of_independent_votes() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, 4000).astype(float)
    parts = (values - values.mean())[:, None] / 4000
    found = two_way(parts, rng.integers(0, 400, 4000), rng.integers(0, 100, 4000))
    assert found.variance[0] == pytest.approx(0.25 / 4000, rel=0.2)
    alone = two_way(parts, np.zeros(4000, int), np.zeros(4000, int))  # one rater and prompt tell nothing more
    assert alone.variance[0] == pytest.approx(0.25 / 4000, rel=0.01)


def test_scores_move_with_a_vote_as_foretold() -> None:
    rng = np.random.default_rng(0)
    left = rng.integers(0, 3, 300)
    right = (left + rng.integers(1, 3, 300)) % 3
    outcome = rng.choice([0.0, 0.5, 1.0], 300, p=[0.3, 0.2, 0.5])

    def fitted(weights: np.ndarray) -> Fit:
        wins, ties = np.zeros((3, 3)), np.zeros((3, 3))
        for side, won, lost in ((1.0, left, right), (0.0, right, left)):
            np.add.at(wins, (won[outcome == side], lost[outcome == side]), weights[outcome == side])
        np.add.at(ties, (left[outcome == 0.5], right[outcome == 0.5]), weights[outcome == 0.5])
        return fit(wins, ties + ties.T)

    whole = fitted(np.ones(300))
    foretold = moves(whole, left, right, outcome)
    assert foretold.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-4)
    for vote in (0, int(np.flatnonzero(outcome == 0.5)[0])):
        weights = np.ones(300)
        weights[vote] += 0.5
        assert (fitted(weights).scores - whole.scores) / 0.5 == pytest.approx(
            foretold[vote], rel=0.1, abs=2e-4
        )


def test_repetitions_measure_steadiness_and_do_not_count_as_votes() -> None:
    votes = list(Raters({"a": 0.5, "b": 0.0}).votes(20))
    again = [
        vote.model_copy(
            update={"uid": f"s{vote.uid}", "kind": "swapped", "left": vote.right, "right": vote.left}
        )
        for vote in votes
    ]
    alone, both = quick(votes).questions["q"], quick([*votes, *again]).questions["q"]
    assert both.pairs == alone.pairs
    assert both.votes == alone.votes == 100
    assert both.alpha == alone.alpha
    assert both.swapped_same.n == 100


def test_the_same_votes_give_the_same_figures() -> None:
    votes = list(Raters({"a": 0.4, "b": 0}).votes(20))
    assert quick(votes) == quick(votes)


def test_a_vote_counts_once_and_can_be_taken_back(tmp_path: Path) -> None:
    votes = list(Raters({"a": 0.4, "b": 0}).votes(3))
    log = VoteLog(tmp_path / "votes.jsonl")
    assert log.add(votes) == votes
    assert log.add(votes[:4]) == []
    log.add([votes[0].model_copy(update={"withdrawn": True})])
    assert VoteLog(tmp_path / "votes.jsonl").add(votes) == []
    assert read_votes(tmp_path / "votes.jsonl") == votes[1:]


@pytest.mark.parametrize("cut", [1, 20, 60, 150])
def test_a_torn_line_loses_no_other(tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    path, votes = tmp_path / "votes.jsonl", list(Raters({"a": 0.4, "b": 0}).votes(2))
    VoteLog(path).add(votes[:5])
    path.write_bytes(path.read_bytes() + votes[5].model_dump_json().encode()[:cut])
    assert read_votes(path) == votes[:5]
    assert "torn" in caplog.text
    VoteLog(path).add(votes[5:])  # a start after the kill
    assert read_votes(path) == votes


def test_a_disk_that_fills_up_in_the_middle_of_a_line_spoils_no_later_vote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, votes = tmp_path / "votes.jsonl", list(Raters({"a": 0.4, "b": 0}).votes(2))
    log = VoteLog(path)
    log.add(votes[:3])

    def full(number: int) -> None:
        with path.open("ab") as file:
            file.truncate(path.stat().st_size - 30)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(FileError, match="Free some space"):
            log.add(votes[3:5])
    log.add(votes[3:])
    assert read_votes(path) == votes


@pytest.mark.parametrize("words", ["a } b", "}"])
def test_a_line_torn_after_a_brace_in_its_words_is_torn(tmp_path: Path, words: str) -> None:
    path, votes = tmp_path / "votes.jsonl", list(Raters({"a": 0.4, "b": 0}).votes(1))
    VoteLog(path).add(votes)
    line = votes[0].model_copy(update={"uid": "new", "prompt": words}).model_dump_json()
    path.write_text(path.read_text() + line[: line.index("}") + 1])
    assert read_votes(path) == votes


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"uid": "a"}', '{"uid": "a", "time": NaN}'])
def test_a_line_that_is_no_vote_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "votes.jsonl"
    VoteLog(path).add(Raters({"a": 0.4, "b": 0}).votes(1))
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(FileError, match="line 6"):
        read_votes(path)
