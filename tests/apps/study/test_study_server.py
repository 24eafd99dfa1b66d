"""The server of the study page: what it tells, what it takes, and what it loses: nothing."""

import errno
import io
import os
import random
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pellucid.apps.cli import cli
from pellucid.apps.study.app import create_app
from pellucid.evaluation.study.assignment import Desk
from pellucid.evaluation.study.pairs import VOTES, read_pairs
from pellucid.evaluation.study.votes import Vote, read_votes
from pellucid.files.locks import locked_folder
from sites import Killable, Site, serving

Studied = Callable[..., Path]


def answer(pair: str, uid: str, outcome: str = "left") -> dict[str, Any]:
    return {
        "uid": uid.ljust(8, "-"),
        "pair": pair,
        "outcome": outcome,
        "dwell_ms": 700,
        "background": "#000000",
    }


def test_a_page_is_dealt_pairs_answers_and_takes_back(studied: Studied) -> None:
    folder = studied()
    with serving(create_app(Desk(folder))) as site:
        study = site.json("/api/study")
        assert study["questions"] == {"prefer": "Which disc do you prefer?"}
        assert (study["votes"], study["wanted"], study["ended"]) == (0, 20, False)
        dealt = site.json("/api/deal", {"rater": " Ann  B", "count": 3})
        ids = [pair["id"] for pair in dealt["pairs"]]
        assert len(ids) == 3
        more = site.json("/api/deal", {"rater": "ann b", "count": 4, "holding": ids})
        assert len(more["pairs"]) == 1  # one person, however the name is spelt
        lines = [
            answer(ids[0], "a"),
            answer(ids[1], "b", "tie"),
            {"uid": "c-------", "withdraws": "a-------"},
        ]
        said = {"rater": "Ann B", "lines": [*lines, answer(ids[0], "d", "right")]}
        votes: dict[str, Vote] = {}
        for _ in range(2):  # what is sent again counts once
            assert site.json("/api/answers", said)["kept"] == [f"{uid}-------" for uid in "abcd"]
            votes = {vote.uid[0]: vote for vote in read_votes(folder / VOTES)}
            assert {uid: vote.outcome for uid, vote in votes.items()} == {"b": "tie", "d": "right"}
        assert {vote.rater for vote in votes.values()} == {"ann b"}
        after = site.json("/api/deal", {"rater": "ann b", "count": 9, "holding": ids})
        assert after["answered"] == 2
        assert not {ids[0], ids[1]} & {pair["id"] for pair in after["pairs"]}


def test_a_page_learns_nothing_that_tells_methods(studied: Studied) -> None:
    folder = studied()
    with serving(create_app(Desk(folder))) as site:
        _, content, _ = site.ask("/api/deal", {"rater": "ann", "count": 12})
        words = ("green", '"red', "plain", "swapped", "attention", "damaged", "png", "expected")
        text = content.decode().replace("prefer", "")  # the question's id
        assert not [word for word in words if word in text]
        heads: list[list[str]] = []
        pairs = read_pairs(folder)
        for pair in pairs:
            for side in ("left", "right"):
                status, png, headers = site.ask(f"/api/images/{pair.id}/{side}")
                assert status == 200
                image = Image.open(io.BytesIO(png))
                assert image.info == {}
                colour = np.asarray(image)[16, 16]
                method = pair.left if side == "left" else pair.right
                if method != "damaged":
                    assert (colour[1] > colour[0]) == (method == "green")
                heads.append(
                    sorted(name for name in headers if name.lower() not in ("date", "content-length"))
                )
        assert all(head == heads[0] for head in heads)
        assert site.ask("/api/images/0000/left")[0] == 404
        assert site.ask(f"/api/images/{pairs[0].id}/above")[0] == 422
        assert site.ask("/pairs.jsonl")[0] == site.ask("/api/../pairs.jsonl")[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("deal", {"rater": "", "count": 1}, "rater"),
        ("deal", {"rater": "a\u0000b", "count": 1}, "rater"),
        ("deal", {"rater": "ann", "count": 0}, "count"),
        ("answers", {"rater": "ann", "lines": []}, "lines"),
        ("answers", {"rater": "ann", "lines": [answer("beef", "u")]}, "pair of this study"),
        ("answers", {"rater": "ann", "lines": [{**answer("beef", "u"), "outcome": "both"}]}, "outcome"),
        (
            "answers",
            {"rater": "ann", "lines": [{"uid": "u-------", "withdraws": "v-------"}]},
            "vote of yours",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    studied: Studied, path: str, body: dict[str, Any], words: str
) -> None:
    folder = studied()
    with serving(create_app(Desk(folder))) as site:
        status, content, _ = site.ask(f"/api/{path}", body)
        assert status == 422
        assert words in content.decode()
    assert not (folder / VOTES).exists() or read_votes(folder / VOTES) == []


def test_a_secret_and_a_foreign_host_keep_people_out(studied: Studied) -> None:
    folder = studied()
    with serving(create_app(Desk(folder), token="secret")) as site:
        assert site.ask("/api/study")[0] == 401
        assert Site(site.address, "secret").json("/api/study")["title"] == "Green or red"
        assert site.ask("/api/study", Host="evil.example")[0] == 421


def test_one_server_a_study(studied: Studied) -> None:
    folder = studied()
    with locked_folder(folder):
        result = CliRunner().invoke(cli, ["study", "serve", str(folder), "--port", "0"])
    assert "found another command writing into it" in str(result.exception)
    result = CliRunner().invoke(cli, ["study", "serve", str(folder.parent / "green"), "--port", "0"])
    assert "Expected a plan of a study" in str(result.exception)
    assert not (folder.parent / "green" / ".lock").exists()


class Person(threading.Thread):
    """Answers until nothing is left, as the page does: what got no reply is sent again."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(daemon=True)
        self.site, self.rater, self.said, self.repeats = site, name, list[str](), 0

    def ask(self, path: str, body: object) -> dict[str, Any]:
        for _ in range(600):
            try:
                return self.site.json(path, body)
            # a server that is killed within a reply leaves an HTTPException, which is no OSError
            except (OSError, ValueError, HTTPException):
                self.repeats += 1
                time.sleep(0.05)
        raise AssertionError("the server did not come back")

    def run(self) -> None:
        draw = random.Random(self.rater)
        while pairs := self.ask("/api/deal", {"rater": self.rater, "count": 3})["pairs"]:
            for pair in pairs:
                uid = str(uuid.UUID(int=draw.getrandbits(128)))
                lines = [answer(pair["id"], uid, draw.choice(["left", "right", "tie"]))]
                assert self.ask("/api/answers", {"rater": self.rater, "lines": lines})["kept"] == [uid]
                self.said.append(uid)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_server_that_is_killed_loses_no_answer(studied: Studied, kills: int) -> None:
    folder = studied(pairs=30 * kills, votes=60 * kills, raters=3)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    people = [Person(Site(f"http://127.0.0.1:{port}"), name) for name in ("ann", "bob", "cid", "dan")]
    with Killable("study", "serve", folder, "--port", port) as server:
        for person in people:
            person.start()
        for number in range(1, kills + 1):
            while sum(len(person.said) for person in people) < 60 * kills * number / (kills + 1):
                time.sleep(0.005)
                assert any(person.is_alive() for person in people)
            server.kill()
            server.start()
        for person in people:
            person.join(timeout=120)
    acknowledged = Counter(uid for person in people for uid in person.said)
    logged = Counter(vote.uid for vote in read_votes(folder / VOTES))
    assert acknowledged == logged  # none is lost, none is doubled
    assert sum(vote.kind == "plain" for vote in read_votes(folder / VOTES)) >= 60 * kills
    assert sum(person.repeats for person in people) > 0  # the kills were felt


def test_a_disk_that_is_full_refuses_nothing_for_good(
    studied: Studied, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = studied()
    desk = Desk(folder)
    said = {"rater": "ann", "lines": [answer(read_pairs(folder)[0].id, "a")]}

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with serving(create_app(desk)) as site:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            status, content, _ = site.ask("/api/answers", said)
            # 422 would tell the page to forget the answer
            assert (status, "No space left" in content.decode()) == (503, True)
            assert "No space left" in caplog.text
        assert site.json("/api/answers", said)["kept"] == ["a-------"]
    assert [vote.uid for vote in read_votes(folder / VOTES)] == ["a-------"]


def test_a_page_of_another_study_keeps_its_answers(studied: Studied) -> None:
    folder = studied()
    desk = Desk(folder)
    line = answer(read_pairs(folder)[0].id, "a")
    with serving(create_app(desk)) as site:
        for study, status in (("0123456789abcdef", 503), (desk.key, 200)):
            assert site.ask("/api/deal", {"study": study, "rater": "ann", "count": 1})[0] == status
            assert site.ask("/api/answers", {"study": study, "rater": "ann", "lines": [line]})[0] == status


def test_an_image_that_was_removed_is_told_without_paths(studied: Studied) -> None:
    folder = studied()
    pair = read_pairs(folder)[0]
    (folder / "images" / pair.left_file).unlink()
    with serving(create_app(Desk(folder))) as site:
        status, content, _ = site.ask(f"/api/images/{pair.id}/left")
    assert (status, str(folder) in content.decode()) == (422, False)


def test_bodies_that_are_large_deep_or_no_json_are_refused(studied: Studied) -> None:
    folder = studied()
    with serving(create_app(Desk(folder))) as site:
        host, port = site.address.removeprefix("http://").split(":")
        for head, body, status in (
            ("Content-Length: 99999999999", b"", 413),
            ("Transfer-Encoding: chunked", b"0\r\n\r\n", 413),
            ("Content-Length: 200000", b"[" * 200_000, 422),
            ("Content-Length: 2", b"\xff\xfe", 422),
            ("Content-Length: 4", b"null", 422),
        ):
            request = f"POST /api/answers HTTP/1.1\r\nHost: localhost\r\n{head}\r\nConnection: close\r\n"
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(f"{request}Content-Type: application/json\r\n\r\n".encode() + body)
                assert connection.recv(12).decode() in (f"HTTP/1.1 {status}", "HTTP/1.1 400")
        for path in (
            "/%00",
            "/api/images/%00/left",
            "/api/images/..%2f..%2fplan.toml/left",
            f"/{'x' * 5000}",
        ):
            assert site.ask(path)[0] in (404, 422)
        assert site.json("/api/study")["votes"] == 0
