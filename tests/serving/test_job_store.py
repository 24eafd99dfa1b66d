"""The store on SQLite and PostgreSQL: every accepted job ends once, whoever dies in between."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pellucid.errors import FileError, InputError
from pellucid.files.databases import writing
from pellucid.serving.failures import INTERNAL
from pellucid.serving.requests import SceneRequest
from pellucid.serving.store import MAX_ATTEMPTS, Full, JobStore, Limits, NewJob, open_job_store
from pellucid.serving.tables import FINAL, Base, Schema
from pellucid.serving.tokens import TokenStore
from postgres import programs, running

Make = Callable[..., JobStore]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with running() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.external)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Opens stores on one database."""
    database = None
    if request.param == "postgresql":
        database = request.getfixturevalue("postgresql")
    opened: list[JobStore] = []

    def make(**limits: float) -> JobStore:
        store = open_job_store(tmp_path, database, Limits(**limits))  # pyright: ignore
        opened.append(store)
        return store

    yield make
    if database is not None:  # the next test begins with none
        Base.metadata.drop_all(opened[0].engine)
    for store in opened:
        store.close()


def new(client: str = "a", seed: int = 1, **values: object) -> NewJob:
    request = SceneRequest.of({"task": "generate", "prompt": "a cat", "seed": seed})
    return NewJob(client=client, model="mini", request=request, work=10, **values)  # pyright: ignore


def test_a_job_is_taken_once_and_ends_once(make: Make) -> None:
    store = make()
    job_id = store.accept(new(images={"image": b"content"}))
    assert store.image(job_id, "image").read_bytes() == b"content"
    (job,) = store.claim("w", 4)
    assert (job.id, job.state, job.attempts) == (job_id, "running", 1)
    assert store.claim("w", 4) == []
    assert not store.finish(job_id, "another", [])
    assert store.finish(job_id, "w", [{"file": "result-0.png"}])
    assert not store.fail(job_id, "w", INTERNAL)
    found = store.get(job_id)
    assert found is not None
    assert (found.state, found.results) == ("done", [{"file": "result-0.png"}])


def test_threads_take_every_job_once(make: Make) -> None:
    store = make()
    ids = [store.accept(new(client=f"c{i % 3}", seed=i)) for i in range(60)]
    taken: list[str] = []

    def work(name: str) -> None:
        while jobs := store.claim(name, 4):
            for job in jobs:
                taken.append(job.id)
                assert store.finish(job.id, name, [])

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(taken) == Counter(ids)
    assert store.counts() == {"done": 60}


def test_a_full_queue_takes_no_more(make: Make) -> None:
    store = make(max_queue=3, max_queue_per_client=2)
    for _ in range(2):
        store.accept(new("a"))
    with pytest.raises(Full) as caught:
        store.accept(new("a", images={"image": b"x"}))
    assert caught.value.of_client
    store.accept(new("b"))
    with pytest.raises(Full) as caught:
        store.accept(new("c"))
    assert not caught.value.of_client
    assert caught.value.waiting == 30
    assert not list((store.folder / "jobs").rglob("given-*"))  # nothing of what was refused stays


def test_jobs_of_a_dead_worker_run_again_but_not_for_ever(make: Make) -> None:
    store = make()
    job_id = store.accept(new())
    for attempt in range(1, MAX_ATTEMPTS + 1):
        (job,) = store.claim(f"w{attempt}", 1)
        assert job.attempts == attempt
        assert store.recover(alone=False) == 0  # it has just given a sign of life
        assert store.recover(alone=True) == (1 if attempt < MAX_ATTEMPTS else 0)
        assert not store.finish(job_id, f"w{attempt}", [])  # it comes too late
    found = store.get(job_id)
    assert found is not None
    assert found.error is not None
    assert (found.state, found.error["code"]) == ("failed", "gave_up")


def test_what_waits_too_long_fails_and_what_is_old_goes(make: Make) -> None:
    store = make(deadline_s=0.05, keep_s=0.1)
    waiting, running = store.accept(new()), store.accept(new(deadline_s=60))
    time.sleep(0.1)
    (job,) = store.claim("w", 4)
    assert job.id == running
    assert store.sweep() == 1
    found = store.get(waiting)
    assert found is not None
    assert found.error is not None
    assert (found.state, found.error["code"]) == ("failed", "deadline_exceeded")
    assert store.stopped([running]) == set()
    store.finish(running, "w", [])
    store.files(running).mkdir(parents=True, exist_ok=True)
    time.sleep(0.15)
    store.sweep()
    assert store.get_all([waiting, running]) == []
    assert not store.files(running).exists()


@pytest.mark.parametrize("when", ["queued", "running", "done"])
def test_cancelling_and_removing(make: Make, when: str) -> None:
    store = make()
    job_id = store.accept(new())
    if when != "queued":
        store.claim("w", 1)
    if when == "done":
        store.finish(job_id, "w", [])
    assert store.cancel(job_id) == (when != "done")
    found = store.get(job_id)
    assert found is not None
    assert found.state == {"queued": "cancelled", "running": "running", "done": "done"}[when]
    if when == "running":
        assert store.stopped([job_id]) == {job_id}
        store.finish(job_id, "w", [{"file": "x"}])
        found = store.get(job_id)
        assert found is not None
        assert (found.state, found.results) == ("cancelled", [])
    assert found.state in FINAL
    store.remove(job_id)
    assert store.get(job_id) is None


def test_tokens_are_known_until_they_are_revoked(make: Make) -> None:
    store = make()
    tokens = TokenStore(store)
    secret, other = tokens.new("me"), tokens.new("you")
    assert (tokens.owner(secret), tokens.owner(other), tokens.owner(secret[:-1])) == ("me", "you", None)
    for token in tokens.all():
        assert secret not in (token.name, token.digest)
    with pytest.raises(InputError, match="a token called 'me'"):
        tokens.new("me")
    tokens.revoke("me")
    assert tokens.owner(secret) is None
    with pytest.raises(InputError, match="valid token"):
        tokens.revoke("me")
    with pytest.raises(InputError, match="1 to 80"):
        tokens.new(" ")


def test_tables_of_another_version_are_refused(make: Make) -> None:
    store = make()
    with writing(store.engine) as session:
        session.query(Schema).update({"version": 99})
    with pytest.raises(FileError, match="version 99"):
        make()
