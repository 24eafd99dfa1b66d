"""Nobody who asks for much keeps others waiting."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pellucid.serving.fairness import Waiting, choose


def job(number: int, client: str, key: str = "", count: int = 1, work: float = 10) -> Waiting:
    return Waiting(number=number, client=client, batch_key=key, count=count, work=work)


def test_the_first_of_all_is_first() -> None:
    assert choose([], {}, 4) == []
    assert choose([job(2, "a"), job(1, "a")], {}, 4) == [job(1, "a")]


def test_a_client_with_a_thousand_jobs_does_not_delay_another() -> None:
    waiting = [job(number, "heavy") for number in range(1000)] + [job(1000, "light")]
    served = {"heavy": 10.0}
    assert choose(waiting, served, 1)[0].client == "light"


def test_a_batch_is_filled_from_all_clients_in_turn() -> None:
    waiting = [job(number, "heavy", "k") for number in range(6)] + [
        job(7, "light", "k"),
        job(8, "other", "x"),
    ]
    chosen = choose(waiting, {}, 4)
    assert [each.client for each in chosen] == ["heavy", "light", "heavy", "heavy"]


def test_what_may_kill_the_server_comes_last_and_alone() -> None:
    suspect = Waiting(number=1, client="a", batch_key="k", count=1, work=10, attempts=2)
    assert choose([suspect, job(2, "b", "k"), job(3, "a", "k")], {"b": 99.0}, 4) == [
        job(3, "a", "k"),
        job(2, "b", "k"),
    ]
    assert choose([suspect, replace(suspect, number=4)], {}, 4) == [suspect]


jobs = st.lists(
    st.builds(
        Waiting,
        number=st.integers(0, 10**6),
        client=st.sampled_from("abcd"),
        batch_key=st.sampled_from(["", "k", "l"]),
        count=st.integers(1, 10),
        work=st.floats(1, 1000),
    ),
    max_size=40,
    unique_by=lambda each: each.number,
)


@given(jobs, st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1000)), st.integers(1, 16))
def test_what_is_chosen_fits_together(waiting: list[Waiting], served: dict[str, float], most: int) -> None:
    chosen = choose(waiting, served, most)
    assert bool(chosen) == bool(waiting)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(waiting)
    if chosen:
        least = min(served.get(each.client, 0.0) for each in waiting)
        assert served.get(chosen[0].client, 0.0) == least
    if len(chosen) > 1:
        assert {each.batch_key for each in chosen} == {chosen[0].batch_key} != {""}
        assert sum(each.count for each in chosen) <= max(most, chosen[0].count)


@given(st.lists(st.sampled_from(["heavy", "heavy", "heavy", "light"]), min_size=20, max_size=60))
def test_a_client_waits_for_no_more_than_its_turn(clients: list[str]) -> None:
    """While both wait, neither is served more than one job ahead of the other."""
    waiting = [job(number, client) for number, client in enumerate(clients)]
    served = {"heavy": 0.0, "light": 0.0}
    while {each.client for each in waiting} == {"heavy", "light"}:
        (chosen,) = choose(waiting, served, 1)
        waiting.remove(chosen)
        served[chosen.client] += chosen.work
        assert abs(served["heavy"] - served["light"]) <= 10
