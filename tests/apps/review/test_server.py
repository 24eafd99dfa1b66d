"""The server of the screening page: what it answers, and whom it refuses."""

import http.client
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pellucid.data.rounds.database import Store
from screening import PLAIN, judge_all, served
from sites import Site

Opened = Callable[..., Store]


def line(sample: int, uid: str, **more: object) -> dict[str, Any]:
    return {"uid": uid.ljust(8, "-"), "sample": sample, "decision": "keep", "dwell_ms": 400, **more}


def test_a_page_enters_deals_judges_and_takes_back(opened: Opened) -> None:
    with served(opened()) as site:
        assert site.json("/api/session")["round"]["number"] == 1
        ann = site.json("/api/reviewers", {"name": " Ann "})
        assert ann["name"] == "Ann"
        assert site.json("/api/reviewers", {"name": "Ann"}) == ann
        items = site.json("/api/deal", {"reviewer": ann["id"], "count": 3})["items"]
        ids = [item["samples"][0]["id"] for item in items]
        more = site.json("/api/deal", {"reviewer": ann["id"], "count": 4, "holding": ids})["items"]
        assert len(more) == 1
        said = {"reviewer": ann["id"], "entries": [line(ids[0], "a"), line(ids[1], "b", reason="cut off")]}
        assert site.json("/api/verdicts", said) == {"kept": ["a-------", "b-------"], "new": 2}
        assert site.json("/api/verdicts", said)["new"] == 0
        back = {"uid": "c-------", "sample": ids[1], "undoes": "b-------"}
        site.json("/api/verdicts", {"reviewer": ann["id"], "entries": [back]})
        entries = site.json(f"/api/history?reviewer={ann['id']}")["entries"]
        assert [(each["sample"]["id"], each["taken_back"]) for each in entries] == [
            (ids[1], True),
            (ids[0], False),
        ]
        progress = site.json(f"/api/progress?reviewer={ann['id']}")
        assert progress["counts"] == {"keep": 1, "reject": 0, "disputed": 0, "open": 29}
        assert progress["pace"]["median_dwell_ms"] == 400


@pytest.mark.parametrize("spelling", ["ann", "ANN", " Ann  lee ", "\uff21nn lee", "ann\u00a0LEE"])
def test_a_name_is_one_person_however_it_is_spelt(opened: Opened, spelling: str) -> None:
    first = "Ann Lee" if "lee" in spelling.lower() else "Ann"
    with served(opened()) as site:
        ann = site.json("/api/reviewers", {"name": first})
        assert site.json("/api/reviewers", {"name": spelling}) == ann
        assert site.json("/api/reviewers", {"name": "Anna"})["id"] != ann["id"]
        assert site.json("/api/session")["reviewers"] == [first, "Anna"]


def test_answers_do_not_wait_for_acknowledgements(store: Store) -> None:
    """With Nagle's algorithm an answer on a connection that is kept takes 40 ms more."""
    with served(store) as site:
        connection = http.client.HTTPConnection(site.address.removeprefix("http://"))
        spent: list[float] = []
        for _ in range(15):
            started = time.perf_counter()
            connection.request("GET", "/api/session")
            connection.getresponse().read()
            spent.append(time.perf_counter() - started)
        connection.close()
    assert min(spent) < 0.035


def test_images_are_sent_as_they_lie_in_their_shard(opened: Opened) -> None:
    store = opened()
    with served(store) as site:
        status, content, headers = site.ask("/api/images/5")
        assert status == 200
        assert content.startswith(b"\x89PNG")
        assert content in (store.folder / "round-001" / "samples-000000.tar").read_bytes()
        assert headers["content-type"] == "image/png"
        assert "immutable" in headers["cache-control"]
        assert site.ask("/api/images/999")[0] == 404


def test_the_page_may_load_nothing_from_elsewhere(opened: Opened) -> None:
    with served(opened()) as site:
        for path in ("/", "/api/session", "/api/images/1"):
            assert "default-src 'self'" in site.ask(path)[2]["content-security-policy"]


def test_other_host_names_are_refused_when_local(store: Store) -> None:
    with served(store) as site:
        assert site.ask("/api/session", Host="evil.example:80")[0] == 421
        assert site.ask("/api/session", Host="localhost")[0] == 200
    with served(store, local_only=False) as site:
        assert site.ask("/api/session", Host="lab.example:80")[0] == 200


def test_a_token_guards_the_data_and_not_the_page(opened: Opened) -> None:
    with served(opened(), token="secret") as site:
        assert site.ask("/api/session")[0] == 401
        assert Site(site.address, "wrong").ask("/api/session")[0] == 401
        assert Site(site.address, "secret").ask("/api/session")[0] == 200
        assert site.ask("/")[0] == 200


@pytest.mark.parametrize(
    "entry",
    [
        {"uid": "short", "sample": 1, "decision": "keep"},
        {"uid": "long enough", "sample": 1, "decision": "keep"},  # a space
        {"uid": "12345678", "sample": 1, "decision": "maybe"},
        {"uid": "12345678", "sample": 1, "decision": "keep", "dwell_ms": -1},
        {"uid": "12345678", "sample": 1, "decision": "keep", "unknown": 1},
        {"uid": "12345678", "sample": 9999, "decision": "keep"},
        {"uid": "12345678", "sample": 1},
    ],
)
def test_lines_that_make_no_sense_are_refused(opened: Opened, entry: dict[str, Any]) -> None:
    with served(opened()) as site:
        ann = site.json("/api/reviewers", {"name": "ann"})["id"]
        assert site.ask("/api/verdicts", {"reviewer": ann, "entries": [entry]})[0] == 422
        assert site.ask("/api/verdicts", {"reviewer": 77, "entries": [line(1, "a")]})[0] == 422


@pytest.mark.parametrize("name", ["", " ", "a\0b", "a\x1b[2J", "\u202egnp", "\ud800", "a" * 81])
def test_names_that_cannot_be_shown_are_refused(opened: Opened, name: str) -> None:
    with served(opened()) as site:
        assert site.ask("/api/reviewers", {"name": name})[0] == 422


def test_numbers_beyond_the_database_are_refused(opened: Opened) -> None:
    with served(opened()) as site:
        assert site.json("/api/reviewers", {"name": "Zoë 日本 👩\u200d🔬"})["name"].startswith("Zoë")
        assert site.ask("/api/deal", {"reviewer": 10**30, "count": 1})[0] == 422
        entry = {"uid": "12345678", "sample": 10**30, "decision": "keep"}
        assert site.ask("/api/verdicts", {"reviewer": 1, "entries": [entry]})[0] == 422
        for path in (f"images/{10**30}", f"history?reviewer={10**30}", f"progress?reviewer={10**30}"):
            assert site.ask(f"/api/{path}")[0] == 422


def test_gold_and_source_are_not_told(opened: Opened) -> None:
    with served(opened(replace(PLAIN, samples=5))) as site:
        ann = site.json("/api/reviewers", {"name": "ann"})["id"]
        (item, *_) = site.json("/api/deal", {"reviewer": ann, "count": 1})["items"]
        assert set(item["samples"][0]) == {"id", "width", "height", "prompt"}


def test_without_an_open_round_there_is_nothing_to_do(store: Store, opened: Opened) -> None:
    with served(store) as site:
        assert site.json("/api/session") == {"round": None, "reviewers": []}
        ann = site.json("/api/reviewers", {"name": "ann"})["id"]
        assert site.json("/api/deal", {"reviewer": ann, "count": 5}) == {"items": []}
        assert site.json(f"/api/progress?reviewer={ann}")["round"] is None
    opened()
    judge_all(store, "ann", lambda _: "keep")
    with served(store) as site:
        assert site.json("/api/deal", {"reviewer": ann, "count": 5}) == {"items": []}


def test_a_page_of_other_rounds_keeps_its_verdicts(opened: Opened) -> None:
    with served(opened()) as site:
        own = site.json("/api/session")["round"]["store"]
        assert own
        ann = site.json("/api/reviewers", {"name": "Ann"})["id"]
        for store, status in (("0123456789abcdef", 503), (own, 200)):
            deal = {"store": store, "reviewer": ann, "count": 1}
            assert site.ask("/api/deal", deal)[0] == status
            said = {"store": store, "reviewer": ann, "entries": [line(1, "a")]}
            assert site.ask("/api/verdicts", said)[0] == status
