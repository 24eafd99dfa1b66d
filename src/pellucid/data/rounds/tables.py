"""Tables of the rounds' store. A change here owes a migration in `migrations/versions`.

Times are seconds since 1970 in UTC: SQLite has no time zones, and both databases compare floats alike.
"""

from typing import Literal

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

State = Literal["sampling", "open", "closing", "closed"]
Decision = Literal["keep", "reject"]
Task = Literal["first", "second", "ruling"]
"""Why a reviewer sees an image: to judge it, to judge it once more, or to settle a dispute about it."""
LeaseState = Literal["held", "done", "expired"]


class Base(DeclarativeBase):
    """All tables of the store."""


class Round(Base):
    """One turn of the loop: images of one model, screened by people."""

    __tablename__ = "rounds"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(16))
    data: Mapped[list[str]] = mapped_column(JSON)
    """Shards or names of sets that the round's model learned."""
    settings: Mapped[dict[str, object]] = mapped_column(JSON)
    """`RoundSettings` as plain values."""
    model: Mapped[str] = mapped_column(String(400), default="")
    """Name of the model and the hash of its weights; empty until images are sampled."""
    sampling: Mapped[dict[str, object]] = mapped_column(JSON, default=dict)
    """How its images were made; a resumed run must say the same."""
    data_version: Mapped[str] = mapped_column(String(64))
    """Hash of `data`, kept with every verdict."""
    created_at: Mapped[float] = mapped_column(Float)
    opened_at: Mapped[float | None] = mapped_column(Float)
    closed_at: Mapped[float | None] = mapped_column(Float)
    outcome: Mapped[dict[str, object]] = mapped_column(JSON, default=dict)
    """Counts and agreement at the time of closing, so that the history needs no old verdicts."""


class Sample(Base):
    """One image of a round, and where its file lies in a shard."""

    __tablename__ = "samples"
    __table_args__ = (
        UniqueConstraint("round_number", "kind", "place"),
        Index("ix_samples_queue", "round_number", "kind", "position"),
        Index("ix_samples_group", "round_number", "group_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    round_number: Mapped[int] = mapped_column(ForeignKey("rounds.number"))
    kind: Mapped[str] = mapped_column(String(8))
    """"made", or "gold" for hidden images with a known verdict."""
    place: Mapped[int]
    """Index within the round and kind, of which seed and prompt follow."""
    shard: Mapped[str] = mapped_column(String(400))
    """Path below the rounds' folder."""
    # in PostgreSQL a plain integer ends at 2 GiB, and shards may be larger
    offset: Mapped[int] = mapped_column(BigInteger)
    length: Mapped[int]
    """Bytes of the image file within the shard."""
    media_type: Mapped[str] = mapped_column(String(32))
    width: Mapped[int]
    height: Mapped[int]
    prompt: Mapped[str]
    prompt_class: Mapped[str] = mapped_column(String(100), default="")
    uncertainty: Mapped[float | None] = mapped_column(Float)
    fingerprint: Mapped[str] = mapped_column(String(32), default="")
    """Perceptual hashes of `grouping.fingerprint`."""
    group_key: Mapped[int | None]
    """Images of the same number are shown together: near-duplicates, or those of one prompt."""
    position: Mapped[int] = mapped_column(default=0)
    """Place in the order of review."""
    needed: Mapped[int] = mapped_column(default=1)
    """Reviewers who should judge it: 1, or 2 in the overlap share."""
    remaining: Mapped[int] = mapped_column(default=1)
    """`needed` less the leases that are held or done; 0 or less is not dealt out."""
    expected: Mapped[str | None] = mapped_column(String(8))
    """Known verdict of a gold image."""


class Reviewer(Base):
    """A person who judges, known by the name that he or she chose."""

    __tablename__ = "reviewers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    created_at: Mapped[float] = mapped_column(Float)


class Lease(Base):
    """An image dealt out to a reviewer. It expires, so that a closed laptop blocks nobody."""

    __tablename__ = "leases"
    __table_args__ = (
        # whatever races, nobody is dealt an image twice for one purpose
        UniqueConstraint("sample_id", "reviewer_id", "task"),
        Index("ix_leases_mine", "reviewer_id", "round_number", "state"),
        Index("ix_leases_expiry", "round_number", "state", "expires_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    round_number: Mapped[int] = mapped_column(ForeignKey("rounds.number"))
    reviewer_id: Mapped[int] = mapped_column(ForeignKey("reviewers.id"))
    task: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(8))
    expires_at: Mapped[float] = mapped_column(Float)
    returned_at: Mapped[float | None] = mapped_column(Float)
    """When its verdict was last taken back; such images come first."""


class Verdict(Base):
    """A line of the log of decisions. Lines are only added: taking one back is another line."""

    __tablename__ = "verdicts"
    __table_args__ = (
        Index("ix_verdicts_round", "round_number", "reviewer_id", "id"),
        Index("ix_verdicts_sample", "sample_id", "reviewer_id", "task"),
        Index("ix_verdicts_undoes", "undoes"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), unique=True)
    """Made by the page, so that a verdict that is sent twice counts once."""
    round_number: Mapped[int] = mapped_column(ForeignKey("rounds.number"))
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    reviewer_id: Mapped[int] = mapped_column(ForeignKey("reviewers.id"))
    task: Mapped[str] = mapped_column(String(8))
    decision: Mapped[str | None] = mapped_column(String(8))
    """None in a line that takes another back."""
    undoes: Mapped[str | None] = mapped_column(String(64))
    """`uid` of the line that this one takes back."""
    reason: Mapped[str] = mapped_column(String(80), default="")
    batch: Mapped[str] = mapped_column(String(64), default="")
    """Same for decisions that were committed together, as a page of the grid."""
    mode: Mapped[str] = mapped_column(String(8), default="single")
    dwell_ms: Mapped[int] = mapped_column(default=0)
    background: Mapped[str] = mapped_column(String(16), default="")
    """What the image lay on when it was judged."""
    made_at: Mapped[float] = mapped_column(Float)
    """By the reviewer's clock."""
    received_at: Mapped[float] = mapped_column(Float)
    model: Mapped[str] = mapped_column(String(400), default="")
    data_version: Mapped[str] = mapped_column(String(64), default="")
