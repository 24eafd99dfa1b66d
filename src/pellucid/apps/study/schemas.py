"""What the study page and its server say to one another; web/study/src/api.ts has the same in TypeScript."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from pellucid.apps.web.messages import WRITABLE, Key, Message, Name
from pellucid.data.names import name_key
from pellucid.evaluation.study.votes import Outcome

PairId = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[0-9a-f]+$")]
StudyId = Annotated[str, StringConstraints(max_length=40)]
"""`StudyReply.id` of the study that the page shows; empty asks for no comparison."""
Rater = Annotated[Name, AfterValidator(name_key)]
"""A name or a code. "Ann" and " ann" are one person, who should see no pair twice."""


class StudyReply(Message):
    """What the page needs before anybody begins."""

    id: str
    """Of the plan and its images: another study has another one."""
    title: str
    instructions: str
    questions: dict[str, str]
    """Id -> what is asked."""
    votes: int
    wanted: int
    ended: bool


class DealRequest(Message):
    """Asks for pairs."""

    study: StudyId = ""
    rater: Rater
    count: Annotated[int, Field(ge=1, le=50)]
    holding: list[PairId] = Field(default=[], max_length=200)
    """Pairs that the page has, or whose answers are on their way; they count towards `count`."""


class PairReply(Message):
    """All that a page may know of a pair."""

    id: str
    question: str
    prompt: str
    background: str


class DealReply(Message):
    """Pairs to judge, and how far things are."""

    pairs: list[PairReply]
    answered: int
    """By this rater, checks included."""
    votes: int
    wanted: int
    ended: bool


class AnswerLine(Message):
    """One answer."""

    uid: Key
    pair: PairId
    outcome: Outcome
    dwell_ms: Annotated[float, Field(ge=0, le=86_400_000, allow_inf_nan=False)] = 0
    background: Annotated[str, StringConstraints(max_length=16), WRITABLE] = ""


class WithdrawalLine(Message):
    """Takes an answer back."""

    uid: Key
    withdraws: Key


class AnswersRequest(Message):
    """Lines of one rater, in the order in which they were given."""

    study: StudyId = ""
    rater: Rater
    lines: Annotated[list[AnswerLine | WithdrawalLine], Field(min_length=1, max_length=200)]


class AnswersReply(Message):
    """Says which lines are on the disk."""

    kept: list[str]


SideName = Literal["left", "right"]
