"""Who gets which image, and what becomes of what people say about it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import func, select

from pellucid.data.records import Record
from pellucid.data.rounds.beginning import find_round
from pellucid.data.rounds.database import Store
from pellucid.data.rounds.history import all_rounds, round_status
from pellucid.data.rounds.outcomes import fates, judgements
from pellucid.data.rounds.pace import pace
from pellucid.data.rounds.reviewers import enter_reviewer
from pellucid.data.rounds.tables import Decision, Lease, Reviewer, Sample, Verdict
from pellucid.data.rounds.verdicts import Entry, history
from pellucid.errors import InputError
from screening import PLAIN, deal, draw, ids, judge_all, reviewer, say, served, verdict

Opened = Callable[..., Store]


def test_no_image_goes_to_two_reviewers(opened: Opened) -> None:
    store = opened()
    first, second = deal(store, "ann", 10), deal(store, "bob", 10)
    assert len(set(ids(first)) | set(ids(second))) == 20
    assert ids(deal(store, "ann", 10)) == ids(first)  # a page that is loaded again shows the same
    assert len(ids(deal(store, "ann", 15))) == 15


def test_the_overlap_share_goes_to_two_and_never_to_one_twice(opened: Opened) -> None:
    store = opened(replace(PLAIN, overlap=0.4, samples=100))
    for name in ("ann", "bob", "cid"):
        judge_all(store, name, lambda _: "keep")
    with store.reading() as session:
        counts = session.execute(
            select(Sample.needed, func.count(Verdict.id), func.count(Verdict.reviewer_id.distinct()))
            .join(Verdict, Verdict.sample_id == Sample.id)
            .group_by(Sample.id)
        ).all()
        assert len(counts) == 100
        assert all(needed == verdicts == people for needed, verdicts, people in counts)
        assert 25 <= sum(needed == 2 for needed, *_ in counts) <= 55
        assert set(session.scalars(select(Sample.remaining))) == {0}


def test_a_lease_expires_and_comes_back_even_to_its_owner(opened: Opened) -> None:
    store = opened()
    first = ids(deal(store, "ann", 30, now=100))
    assert deal(store, "bob", 5, now=200) == []
    assert ids(deal(store, "bob", 5, now=701)) == first[:5]
    assert len(ids(deal(store, "ann", 30, now=702))) == 25


def test_a_late_verdict_of_an_expired_lease_is_kept(opened: Opened) -> None:
    store = opened()
    (sample,) = ids(deal(store, "ann", 1, now=100))
    assert ids(deal(store, "bob", 1, now=800)) == [sample]
    say(store, "ann", verdict(sample, "keep"), now=900)
    say(store, "bob", verdict(sample, "keep"), now=901)
    with store.reading() as session:
        assert [each.reviewer for each in judgements(session, 1)] == [1, 2]
        assert session.get_one(Sample, sample).remaining == -1
    assert sample not in ids(deal(store, "cid", 30, now=902))


def test_a_verdict_that_is_sent_again_counts_once(opened: Opened) -> None:
    store = opened()
    (sample,) = ids(deal(store, "ann", 1))
    entry = verdict(sample, "keep", "one")
    assert say(store, "ann", entry) == ["one"]
    assert say(store, "ann", entry, entry) == []
    with store.reading() as session:
        assert session.scalar(select(func.count(Verdict.id))) == 1


def test_nothing_is_added_if_one_line_is_wrong(opened: Opened) -> None:
    store = opened()
    (sample,) = ids(deal(store, "ann", 1))
    for wrong in (verdict(9999, "keep"), Entry(uid="x", sample=sample)):
        with pytest.raises(InputError, match="verdict on a known image"):
            say(store, "ann", verdict(sample, "keep"), wrong)
    with store.reading() as session:
        assert session.scalar(select(func.count(Verdict.id))) == 0


@pytest.mark.parametrize("undo_first", [False, True])
def test_what_is_taken_back_is_shown_again_first(opened: Opened, undo_first: bool) -> None:
    store = opened()
    dealt = ids(deal(store, "ann", 3))
    lines = [verdict(dealt[1], "keep", "a"), Entry(uid="b", sample=dealt[1], undoes="a")]
    for line in reversed(lines) if undo_first else lines:  # a queue on its way may change the order
        say(store, "ann", line)
    assert ids(deal(store, "ann", 3)) == [dealt[1], dealt[0], dealt[2]]
    say(store, "ann", verdict(dealt[1], "reject", "c"))
    assert ids(deal(store, "ann", 3))[:2] == [dealt[0], dealt[2]]
    with store.reading() as session:
        assert fates(session, 1)[dealt[1]] == "reject"
        assert session.scalar(select(func.count(Verdict.id))) == 3  # the log forgets nothing


def test_undo_reaches_back_to_the_first_verdict_of_an_earlier_day(opened: Opened) -> None:
    store = opened()
    judge_all(store, "ann", lambda _: "keep")
    id_ = reviewer(store, "ann")
    taken: list[int] = []
    for _ in range(30):
        with store.reading() as session:
            ann = session.get_one(Reviewer, id_)
            past = [each for each in history(session, ann, 1, count=100) if not each.taken_back]
        last = past[0].verdict
        taken.append(last.sample_id)
        say(
            store,
            "ann",
            Entry(uid=f"u{last.id}", sample=last.sample_id, undoes=last.uid),
            now=float(len(taken)),
        )
    assert len(set(taken)) == 30
    assert ids(deal(store, "ann", 30, now=30)) == taken[::-1]


def test_history_is_read_in_pages(opened: Opened) -> None:
    store = opened()
    judge_all(store, "ann", lambda _: "keep")
    with store.reading() as session:
        ann = session.get_one(Reviewer, reviewer(store, "ann"))
        first = history(session, ann, 1, count=20)
        rest = history(session, ann, 1, before=first[-1].verdict.id, count=20)
    assert [len(first), len(rest)] == [20, 10]
    assert first[-1].verdict.id > rest[0].verdict.id


def test_gold_and_second_looks_come_hidden_and_in_their_shares(opened: Opened) -> None:
    samples = [(Record(name=f"g{i}", label="gold"), draw([""], [i])[0]) for i in range(40)]
    settings = replace(PLAIN, samples=300, gold=0.1, second_look=0.1)
    store = opened(settings, gold=[("keep", samples[:20]), ("reject", samples[20:])])
    rng = np.random.default_rng(0)

    def decide(sample: Sample) -> Decision:
        return "keep" if sample.expected == "keep" or rng.random() < 0.3 else "reject"

    tasks = judge_all(store, "ann", decide)
    with store.reading() as session:
        status = round_status(session, find_round(session, None))
        order = list(
            session.scalars(select(Sample.kind).join(Lease, Lease.sample_id == Sample.id).order_by(Lease.id))
        )
    shown = sum(tasks.values())
    assert 0.05 < tasks["second"] / shown < 0.16
    assert 0.05 < order.count("gold") / shown < 0.16
    assert "gold" not in order[:1] or "gold" in order[1:]
    quality, _ = status.reviewers["ann"]
    assert quality.gold.n == order.count("gold")
    assert quality.gold.value > 0.75
    assert 0.3 < quality.self_agreement.value < 0.9
    # gold and second looks are no images of the round
    assert sum(status.counts.values()) == 300
    assert status.acceptance.low < 0.3 < status.acceptance.high


def test_disputes_are_settled_by_a_ruling(opened: Opened) -> None:
    store = opened(replace(PLAIN, overlap=1, samples=10))
    judge_all(store, "ann", lambda _: "keep")
    judge_all(store, "bob", lambda each: "keep" if each.place % 2 else "reject")
    disputed = deal(store, "cid", 10, disputed=True)
    assert {item.task for item in disputed} == {"ruling"}
    assert [sample.place % 2 for item in disputed for sample in item.samples] == [0] * 5
    assert deal(store, "dan", 10, disputed=True) == []  # held by cid
    for sample in ids(disputed):
        say(store, "cid", verdict(sample, "keep", task="ruling"))
    with store.reading() as session:
        assert set(fates(session, 1).values()) == {"keep"}
        status = round_status(session, find_round(session, None))
    assert status.percent_agreement.value == 0.5
    assert deal(store, "dan", 10, now=9e9, disputed=True) == []


def test_a_group_is_dealt_out_as_one(opened: Opened) -> None:
    store = opened(replace(PLAIN, grouping="prompt", samples=100))
    items = deal(store, "ann", 40)
    assert max(len(item.samples) for item in items) > 1
    for item in items:
        assert len({sample.group_key for sample in item.samples}) == 1
    again = deal(store, "ann", 40)
    assert [ids([item]) for item in again] == [ids([item]) for item in items]


def test_threads_that_deal_and_judge_at_once_lose_and_double_nothing(opened: Opened) -> None:
    store = opened(replace(PLAIN, samples=200))
    names = ("ann", "bob", "cid", "dan")
    for name in names:
        reviewer(store, name)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(judge_all, store, name, lambda _: "keep") for name in names]
        for call in calls:
            call.result()
    with store.reading() as session:
        found = judgements(session, 1)
        assert len(found) == len({each.sample for each in found}) == 200
        assert session.scalar(select(func.count(Verdict.id))) == 200


def test_pace_leaves_pauses_out_and_sees_haste() -> None:
    times = [float(i) for i in range(11)] + [5000.0 + i for i in range(10)]
    found = pace(times, [100] * 6 + [400] * 14 + [100])
    assert found.per_hour == pytest.approx(3600)
    assert found.median_dwell_ms == 400
    assert found.hasty_runs == 1
    assert pace([], []).verdicts == 0


def test_two_spellings_of_an_older_store_are_one_person(opened: Opened) -> None:
    """Up to 0.2 "Ann" and "ann" were two reviewers; such stores open, and nobody agrees with herself."""
    store = opened(replace(PLAIN, overlap=1.0))
    items = deal(store, "Ann", 5)
    shown = ids(items)
    say(store, "Ann", *(verdict(each, "keep") for each in shown[:3]))
    say(store, "ann", *(verdict(each, "keep") for each in shown[:3]))
    say(store, "bob", verdict(shown[0], "reject"))
    assert not set(ids(deal(store, "ann", 30))) & set(shown)
    with store.reading() as session:
        (status,) = all_rounds(session)
    assert list(status.reviewers) == ["Ann", "bob"]
    assert status.percent_agreement.n == 1
    with store.writing() as session:
        assert enter_reviewer(session, "ANN").name == "Ann"
    with served(store) as site:
        assert site.json("/api/session")["reviewers"] == ["Ann", "bob"]
