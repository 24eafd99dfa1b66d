"""Tables of the server's store: jobs, and the tokens by which callers are known.

Times are seconds since 1970 in UTC: SQLite has no time zones, and both databases compare floats alike.
"""

from typing import Any, Literal

from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

State = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL: tuple[State, ...] = ("done", "failed", "cancelled")
"""States that a job does not leave."""
SCHEMA = 2
"""Of these tables; a store of another is refused, since jobs do not live long enough to be carried over."""


class Base(DeclarativeBase):
    """All tables of the store."""


class Schema(Base):
    """Which version of these tables a store has: one row."""

    __tablename__ = "server_schema"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Job(Base):
    """One accepted request, until its results expire."""

    __tablename__ = "server_jobs"
    __table_args__ = (
        Index("ix_server_jobs_state", "state", "number"),
        Index("ix_server_jobs_client", "client", "number"),
        Index("ix_server_jobs_started", "started_at"),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    """Order of acceptance."""
    id: Mapped[str] = mapped_column(String(32), unique=True)
    """Cannot be guessed: whoever knows it may fetch the results."""
    client: Mapped[str] = mapped_column(String(200))
    model: Mapped[str] = mapped_column(String(400))
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Plain values of a `SceneRequest`, seed included, so that a second try makes the same images."""
    images: Mapped[list[str]] = mapped_column(JSON, default=list)
    """Arguments of which the job's folder holds a file."""
    previews: Mapped[int] = mapped_column(default=0)
    """Unfinished images that are asked for."""
    batch_key: Mapped[str] = mapped_column(String(64), default="")
    work: Mapped[float]
    """What it costs, in images times steps: the measure of fairness."""
    count: Mapped[int]
    """Images that it makes."""
    state: Mapped[str] = mapped_column(String(16), default="queued")
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    accepted_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deadline_at: Mapped[float]
    """After this it fails, wherever it is."""
    expires_at: Mapped[float | None]
    """When its results go."""
    worker: Mapped[str] = mapped_column(String(100), default="")
    beat_at: Mapped[float | None]
    """Last sign of life of the worker that runs it."""
    attempts: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=0)
    """Of the pass that runs; a task of several models has several."""
    shown: Mapped[int] = mapped_column(default=0)
    """Unfinished images that are in the folder."""
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """Of a failed job: message, status, type, code, param."""
    results: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    """A `Result` for each image."""


class Token(Base):
    """A caller's secret, of which only a hash is kept."""

    __tablename__ = "server_tokens"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 in hexadecimal. The secret itself is 256 random bits, so that nothing slower is needed."""
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]
