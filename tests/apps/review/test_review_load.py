"""Several reviewers at once on a server that is killed: nothing is lost, nothing is doubled."""

import contextlib
import http.client
import os
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

import postgres
from pellucid.data.rounds.beginning import begin_round
from pellucid.data.rounds.database import open_store
from pellucid.data.rounds.outcomes import judgements
from pellucid.data.rounds.prompts import shipped_grammar
from pellucid.data.rounds.sampling import sample_round
from pellucid.data.rounds.tables import Sample, Verdict
from screening import PLAIN, draw
from sites import Killable, Site

NO_POSTGRES = pytest.mark.skipif(
    postgres.programs() is None, reason="no PostgreSQL; `apt-get install postgresql` brings it"
)
BOTH = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgres", id="postgres", marks=[pytest.mark.external, NO_POSTGRES]),
]


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """None for the file in the folder, or the URL of a PostgreSQL."""
    if request.param == "sqlite":
        yield None
    else:
        with postgres.running() as url:
            yield url


@dataclass(eq=False)  # threads are told apart by what they are
class Client(threading.Thread):
    """Judges until nothing is left, as the page does: what got no answer is sent again."""

    site: Site
    name_: str
    said: dict[str, int] = field(default_factory=dict)
    """Sample of each verdict that the server acknowledged, by uid."""
    repeats: int = 0
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def ask(self, path: str, body: object) -> dict[str, Any]:
        for _ in range(600):
            try:
                return self.site.json(path, body)
            # a server that is killed between its head and its body leaves half an answer
            except (http.client.HTTPException, OSError, ValueError):
                self.repeats += 1
                time.sleep(0.1)
        raise AssertionError("the server did not come back")

    def run(self) -> None:
        try:
            self.judge()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever joins
            self.failure = error

    def judge(self) -> None:
        rng = random.Random(self.name_)
        own = self.ask("/api/reviewers", {"name": self.name_})["id"]
        while items := self.ask("/api/deal", {"reviewer": own, "count": 10})["items"]:
            for item in items:
                entries: list[dict[str, Any]] = [
                    {
                        "uid": str(uuid.UUID(int=rng.getrandbits(128))),
                        "sample": sample["id"],
                        "task": item["task"],
                        "decision": rng.choice(["keep", "reject"]),
                    }
                    for sample in item["samples"]
                ]
                answer = self.ask("/api/verdicts", {"reviewer": own, "entries": entries})
                assert answer["kept"] == [entry["uid"] for entry in entries]
                self.said.update((entry["uid"], entry["sample"]) for entry in entries)


def review_under_fire(folder: Path, database: str | None, samples: int, kills: int) -> None:
    """Lets four reviewers judge a round whose server is killed again and again; nothing may be lost."""
    store = open_store(folder, database)
    begin_round(store, replace(PLAIN, samples=samples))
    sample_round(store, shipped_grammar(), draw, model="discs", batch_size=100)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    clients = [Client(Site(f"http://127.0.0.1:{port}"), name) for name in ("ann", "bob", "cid", "dan")]
    words = ["data", "rounds", "review", "--folder", folder, "--port", port]
    words += ["--database", database] if database else []
    with contextlib.closing(store), Killable(*words) as server:
        for client in clients:
            client.start()
        kill_in_the_middle(server, clients, samples, kills)
        for client in clients:
            client.join(timeout=300)
        assert [client.failure for client in clients] == [None] * 4
        server.kill()
        acknowledged = Counter(uid for client in clients for uid in client.said)
        with store.reading() as session:
            logged = {uid: id_ for uid, id_ in session.execute(select(Verdict.uid, Verdict.sample_id))}
            assert acknowledged.total() == samples
            assert set(acknowledged) == set(logged)  # none is lost, none is doubled
            assert len(judgements(session, 1)) == samples
            assert set(logged.values()) == set(session.scalars(select(Sample.id)))
            assert session.scalar(select(func.count(Verdict.id))) == samples
        if kills:
            assert sum(client.repeats for client in clients) > 0  # the kills were felt


def kill_in_the_middle(server: Killable, clients: list[Client], samples: int, kills: int) -> None:
    """Kills the server and starts it again, spread over the round, at no moment in particular."""
    rng = random.Random(0)
    for number in range(1, kills + 1):
        while sum(len(client.said) for client in clients) < samples * number / (kills + 1):
            time.sleep(rng.uniform(0.001, 0.02))
            assert any(client.is_alive() for client in clients), [client.failure for client in clients]
        server.kill()
        server.start()


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_a_server_that_is_killed_twice_loses_nothing(tmp_path: Path, database: str | None) -> None:
    review_under_fire(tmp_path / "rounds", database, samples=200, kills=2)


@pytest.mark.slow
@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_four_reviewers_on_2000_images_and_20_kills(tmp_path: Path, database: str | None) -> None:
    review_under_fire(tmp_path / "rounds", database, samples=2000, kills=20)


@pytest.mark.slow
@pytest.mark.external
@NO_POSTGRES
def test_postgres_does_what_sqlite_does(tmp_path: Path) -> None:
    """The store's own tests, on the other database."""
    with postgres.running() as url:
        env = os.environ | {"PELLUCID_TEST_DATABASE": url}
        folder = Path(__file__).parents[2] / "data" / "rounds"
        words = [
            "-q",
            "-p",
            "no:cacheprovider",
            str(folder / "test_review.py"),
            str(folder / "test_closing.py"),
        ]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=folder.parents[2],
            env=env,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout[-3000:]
