"""The store of jobs on the disk: every accepted job is in it until it finished once, whoever crashes between.

Each change is one transaction. A job runs under its worker's name, and only that worker can finish it; a
worker that gives no sign of life loses its jobs to the queue.
"""

import contextlib
import shutil
import time
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Engine, delete, func, select, text, true, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pellucid.errors import FileError, PellucidError
from pellucid.files.atomic import write_atomically
from pellucid.files.databases import open_engine, reading, unusable, writing
from pellucid.serving.failures import GAVE_UP, LATE, Failure
from pellucid.serving.fairness import Waiting, choose
from pellucid.serving.tables import FINAL, SCHEMA, Base, Job, Schema

if TYPE_CHECKING:  # which loads torch; tokens are made without
    from pellucid.serving.requests import SceneRequest

DATABASE_FILE = "server.sqlite"
LOCK = 0x70656D
"""Key of PostgreSQL's advisory lock for accepting and claiming."""
MAX_ATTEMPTS = 10
"""A job under which the server died so often is not tried again: it may be what kills it."""
LEASE_S = 20.0
"""How long a worker may give no sign of life."""
FAIR_S = 60.0
"""How far back it counts what a client was served."""


class Full(PellucidError):
    """The queue takes no more: all of it, or this client's share."""

    def __init__(self, *, of_client: bool, waiting: float) -> None:
        """`waiting` is the work that is queued, images times steps."""
        whose = "your share of the queue" if of_client else "the queue"
        super().__init__(f"Expected room in {whose}, found it full. Try again later.")
        self.of_client, self.waiting = of_client, waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the store holds, and for how long."""

    max_queue: int = 200
    max_queue_per_client: int = 100
    deadline_s: float = 600
    keep_s: float = 3600
    """How long results stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A request that is to be accepted."""

    client: str
    model: str
    request: "SceneRequest"
    work: float
    images: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """Content of the images, by argument."""
    previews: int = 0
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class JobStore:
    """A folder with files of jobs, and the database that says how each stands."""

    folder: Path
    engine: Engine
    limits: Limits = field(default_factory=Limits)

    def accept(self, new: NewJob) -> str:
        """Writes a job down and returns its id; once this returns it will finish or fail, whatever happens.

        Raises:
            Full: the queue is.
            FileError: the disk is.
        """
        job_id = uuid.uuid4().hex
        for name, content in new.images.items():
            path = self.image(job_id, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        now = time.time()
        row = Job(
            id=job_id, client=new.client, model=new.model, request=new.request.to_json(),
            images=sorted(new.images), previews=new.previews, batch_key=new.request.batch_key,
            work=new.work, count=new.request.count, accepted_at=now,
            deadline_at=now + (new.deadline_s or self.limits.deadline_s),
        )  # fmt: skip
        try:
            with self._changing() as session:
                self._check_room(session, new.client)
                session.add(row)
        except BaseException:
            self._remove_files(job_id)
            raise
        return job_id

    def _check_room(self, session: Session, client: str) -> None:
        queued = select(func.count(), func.coalesce(func.sum(Job.work), 0.0)).where(Job.state == "queued")
        count, waiting = session.execute(queued).one()
        if count >= self.limits.max_queue:
            raise Full(of_client=False, waiting=waiting)
        own, own_waiting = session.execute(queued.where(Job.client == client)).one()
        if own >= self.limits.max_queue_per_client:
            raise Full(of_client=True, waiting=own_waiting)

    def claim(self, worker: str, max_images: int) -> list[Job]:
        """Takes the next jobs for a worker: several that can be sampled together, or none."""
        now = time.time()
        with self._changing() as session:
            rows = session.execute(
                select(Job.number, Job.client, Job.batch_key, Job.count, Job.work, Job.attempts)
                .where(Job.state == "queued", Job.deadline_at > now)
                .order_by(Job.number)
            ).all()
            lately = select(Job.client, func.sum(Job.work)).where(Job.started_at > now - FAIR_S)
            served = {client: work for client, work in session.execute(lately.group_by(Job.client)).all()}
            numbers = [each.number for each in choose([Waiting(*row) for row in rows], served, max_images)]
            if not numbers:
                return []
            session.execute(
                update(Job)
                .where(Job.number.in_(numbers))
                .values(
                    state="running",
                    worker=worker,
                    started_at=now,
                    beat_at=now,
                    step=0,
                    attempts=Job.attempts + 1,
                )
            )
            found = session.scalars(select(Job).where(Job.number.in_(numbers))).all()
            return sorted(found, key=lambda job: numbers.index(job.number))

    def stopped(self, ids: Sequence[str]) -> set[str]:
        """Returns which of some running jobs nobody waits for any more: cancelled, or past their time."""
        now = time.time()
        with reading(self.engine) as session:
            wanted = select(Job.id).where(
                Job.id.in_(ids), Job.state == "running", ~Job.cancel_requested, Job.deadline_at > now
            )
            return set(ids) - set(session.scalars(wanted))

    def report(self, ids: Sequence[str], step: int, steps: int) -> None:
        """Writes down how far running jobs are."""
        self._update_running(ids, step=step, steps=steps, beat_at=time.time())

    def beat(self, worker: str) -> None:
        """Gives a sign of life for all jobs of a worker."""
        with self._changing() as session:
            session.execute(
                update(Job).where(Job.worker == worker, Job.state == "running").values(beat_at=time.time())
            )

    def show(self, job_id: str, shown: int) -> None:
        """Says that so many unfinished images of a job can be fetched."""
        self._update_running([job_id], shown=shown)

    def _update_running(self, ids: Sequence[str], **values: object) -> None:
        with self._changing() as session:
            session.execute(update(Job).where(Job.id.in_(ids), Job.state == "running").values(**values))

    def finish(self, job_id: str, worker: str, results: Sequence[Mapping[str, object]]) -> bool:
        """Ends a job with its results; tells whether it was still this worker's, or what it made is lost.

        A job that was cancelled meanwhile is cancelled.
        """
        return self._end(job_id, worker, state="done", results=list(results))

    def fail(self, job_id: str, worker: str, failure: Failure) -> bool:
        """Ends a job with the reason why it made nothing."""
        return self._end(job_id, worker, state="failed", error=failure.to_json())

    def _end(self, job_id: str, worker: str, **values: object) -> bool:
        now = time.time()
        with self._changing() as session:
            job = session.scalar(select(Job).where(Job.id == job_id))
            if job is None or job.state != "running" or job.worker != worker:
                return False
            if job.cancel_requested:
                values = {"state": "cancelled"}
            if job.expires_at is None:  # else it was removed while it ran, and goes at once
                values = {**values, "expires_at": now + self.limits.keep_s}
            for name, value in {**values, "finished_at": now}.items():
                setattr(job, name, value)
            return True

    def recover(self, *, alone: bool) -> int:
        """Puts jobs of workers that died back into the queue; returns how many.

        Args:
            alone: whether no other process uses the store, so that whatever runs is of a dead one. Otherwise
                those without a sign of life for `LEASE_S`.
        """
        return self._requeue(true() if alone else Job.beat_at < time.time() - LEASE_S)

    def _requeue(self, which: ColumnElement[bool]) -> int:
        now = time.time()
        dead = (Job.state == "running", which)
        with self._changing() as session:
            given_up = update(Job).where(*dead, Job.attempts >= MAX_ATTEMPTS)
            session.execute(
                given_up.values(
                    state="failed",
                    error=GAVE_UP.to_json(),
                    finished_at=now,
                    expires_at=now + self.limits.keep_s,
                )
            )
            again = update(Job).where(*dead).values(state="queued", worker="", step=0, shown=0)
            return session.execute(again).rowcount  # pyright: ignore - of an update it has one

    def cancel(self, job_id: str) -> bool:
        """Cancels a job: at once if it waits, at its next step if it runs; tells whether it was not over."""
        now = time.time()
        with self._changing() as session:
            job = session.scalar(select(Job).where(Job.id == job_id))
            if job is None or job.state in FINAL:
                return False
            job.cancel_requested = True
            if job.state == "queued":
                job.state, job.finished_at, job.expires_at = "cancelled", now, now + self.limits.keep_s
            return True

    def remove(self, job_id: str) -> None:
        """Cancels a job and forgets it with all its files; what runs is forgotten when it has stopped."""
        self.cancel(job_id)
        with self._changing() as session:
            session.execute(update(Job).where(Job.id == job_id).values(expires_at=0.0))
        self.sweep()

    def sweep(self) -> int:
        """Fails what waited too long, and forgets jobs whose results expired; returns how many ended."""
        now = time.time()
        late = update(Job).where(Job.state == "queued", Job.deadline_at <= now)
        with self._changing() as session:
            found = session.execute(
                late.values(
                    state="failed",
                    error=LATE.to_json(),
                    finished_at=now,
                    expires_at=now + self.limits.keep_s,
                )
            )
            expired = session.scalars(select(Job.id).where(Job.state.in_(FINAL), Job.expires_at <= now)).all()
            session.execute(delete(Job).where(Job.id.in_(expired)))
        # the row first: files without a row are swept once more, a row without its files would lie
        for job_id in expired:
            self._remove_files(job_id)
        return found.rowcount  # pyright: ignore - of an update it has one

    def get(self, job_id: str) -> Job | None:
        """Returns a job as it stands; None where there is none of that id."""
        return next(iter(self.get_all([job_id])), None)

    def get_all(self, ids: Sequence[str]) -> list[Job]:
        """Returns those of some jobs that exist, as they stand."""
        with reading(self.engine) as session:
            return list(session.scalars(select(Job).where(Job.id.in_(ids))))

    def of_client(self, client: str | None, limit: int, before: int | None = None) -> list[Job]:
        """Returns a client's latest jobs, the newest first; None is everybody's."""
        wanted = select(Job).order_by(Job.number.desc()).limit(limit)
        wanted = wanted if client is None else wanted.where(Job.client == client)
        wanted = wanted if before is None else wanted.where(Job.number < before)
        with reading(self.engine) as session:
            return list(session.scalars(wanted))

    def counts(self) -> dict[str, int]:
        """Returns how many jobs are in each state."""
        with reading(self.engine) as session:
            rows = session.execute(select(Job.state, func.count()).group_by(Job.state)).all()
            return {state: count for state, count in rows}

    def pace(self) -> float:
        """Returns how many seconds a unit of work took of late; 1 where nothing was made yet."""
        done = select(Job.work, Job.started_at, Job.finished_at).where(Job.state == "done")
        with reading(self.engine) as session:
            rows = session.execute(done.order_by(Job.number.desc()).limit(20)).all()
        work = sum(row.work for row in rows)
        return sum((row.finished_at or 0) - (row.started_at or 0) for row in rows) / work if work else 1.0

    def image(self, job_id: str, name: str) -> Path:
        """Returns where the content of an image argument lies."""
        return self.files(job_id) / f"given-{name}"

    def files(self, job_id: str) -> Path:
        """Returns the folder of a job's files."""
        return self.folder / "jobs" / job_id[:2] / job_id

    def _remove_files(self, job_id: str) -> None:
        shutil.rmtree(self.files(job_id), ignore_errors=True)

    @contextlib.contextmanager
    def _changing(self) -> Generator[Session]:
        """Opens a session that writes; one at a time, as SQLite has it by itself."""
        with writing(self.engine) as session:
            if self.engine.dialect.name == "postgresql":
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            yield session

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


def open_job_store(folder: Path, database: str | None = None, limits: Limits | None = None) -> JobStore:
    """Opens the store, and makes it where there is none.

    Args:
        folder: where files of jobs lie, and the SQLite file.
        database: a URL such as postgresql://user@host/name; None is a file in the folder.
        limits: of the queue.

    Raises:
        FileError: the database cannot be reached, is none, or has another version's tables.
        InputError: the URL is none, or its driver is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(database or f"sqlite:///{(folder / DATABASE_FILE).as_posix()}")
    try:
        with engine.execution_options(immediate=True).begin() as connection:
            if engine.dialect.name == "postgresql":  # two servers may begin at once
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            Base.metadata.create_all(connection)
            with Session(connection) as session:
                version = session.scalar(select(Schema.version))
                if version is None:
                    session.add(Schema(version=SCHEMA))
                    session.commit()
    except DBAPIError as error:
        engine.dispose()
        raise unusable("server's", engine, error) from error
    if version not in (None, SCHEMA):
        engine.dispose()
        raise FileError(
            f"The server's database has tables of version {version}, and this Pellucid knows {SCHEMA}. "
            "Name another --state folder, or use the version that made it."
        )
    return JobStore(folder, engine, limits or Limits())
