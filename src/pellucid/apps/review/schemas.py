"""What the page and the server say to one another; web/review/src/api.ts has the same in TypeScript."""

from typing import Annotated

from pydantic import Field, StringConstraints

from pellucid.apps.web.messages import WRITABLE, Key, Message, Name
from pellucid.data.rounds.pace import Pace
from pellucid.data.rounds.tables import Decision, Task

Id = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""Number of a row; the databases' integers end there."""


StoreKey = Annotated[str, StringConstraints(max_length=40)]
"""`RoundReply.store` of the page; empty asks for no comparison."""


class ReviewerRequest(Message):
    """A person begins, or comes back."""

    name: Name


class ReviewerReply(Message):
    """Who one is for the server."""

    id: int
    name: str


class RoundReply(Message):
    """The round that is open. Its model is not told: reviewers are blind to it."""

    store: str
    """Of the folder of rounds: numbers of images and reviewers mean others in another one."""
    number: int
    goal: int
    reasons: list[str]


class SessionReply(Message):
    """What the page needs before anybody has a name."""

    round: RoundReply | None
    reviewers: list[str]


class DealRequest(Message):
    """A page asks for images to judge."""

    store: StoreKey = ""
    reviewer: Id
    count: Annotated[int, Field(ge=1, le=200)]
    holding: list[Id] = Field(default=[], max_length=1000)
    disputed: bool = False


class SampleReply(Message):
    """An image to show."""

    id: int
    width: int
    height: int
    prompt: str


class ItemReply(Message):
    """What is judged at once."""

    task: Task
    samples: list[SampleReply]


class DealReply(Message):
    """Images that were dealt out; none if nothing is left."""

    items: list[ItemReply]


class EntryRequest(Message):
    """A line for the log; see `data.rounds.verdicts.Entry`."""

    uid: Key
    sample: Id
    task: Task = "first"
    decision: Decision | None = None
    undoes: Key | None = None
    reason: Annotated[str, StringConstraints(max_length=80), WRITABLE] = ""
    batch: Annotated[str, StringConstraints(max_length=64), WRITABLE] = ""
    mode: Annotated[str, StringConstraints(max_length=8), WRITABLE] = "single"
    dwell_ms: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    background: Annotated[str, StringConstraints(max_length=16), WRITABLE] = ""
    made_at: Annotated[float, Field(ge=0)] = 0


class VerdictsRequest(Message):
    """Lines for the log, oldest first."""

    store: StoreKey = ""
    reviewer: Id
    entries: Annotated[list[EntryRequest], Field(min_length=1, max_length=500)]


class VerdictsReply(Message):
    """Lines are on the disk when this is sent."""

    kept: list[str]
    """Uids of all lines of the request, which the page may forget now."""
    new: int
    """How many were not known before."""


class PastReply(Message):
    """A decision of one's own."""

    id: int
    uid: str
    sample: SampleReply
    task: Task
    decision: Decision
    reason: str
    batch: str
    made_at: float
    taken_back: bool


class HistoryReply(Message):
    """Decisions of one's own, the latest first."""

    entries: list[PastReply]


class ProgressReply(Message):
    """How far the round is, and how fast one judges."""

    round: int | None
    counts: dict[str, int]
    goal: int
    pace: Pace
