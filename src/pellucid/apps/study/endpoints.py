"""What the study page asks the server.

Endpoints are `def`, not async: each runs on a thread of its own and may wait for the disk.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from pellucid.apps.study.schemas import (
    AnswerLine,
    AnswersReply,
    AnswersRequest,
    DealReply,
    DealRequest,
    PairReply,
    SideName,
    StudyReply,
)
from pellucid.evaluation.study.assignment import Answer, Desk


def _desk_of(request: Request) -> Desk:
    return request.app.state.desk


OfApp = Annotated[Desk, Depends(_desk_of)]
router = APIRouter()


@router.get("/study")
def study(desk: OfApp) -> StudyReply:
    """Tells what is asked and how far the study is."""
    votes, wanted, ended = _progress(desk)
    questions = {question.id: question.text for question in desk.plan.questions}
    return StudyReply(
        id=desk.key,
        title=desk.plan.title,
        instructions=desk.plan.instructions,
        questions=questions,
        votes=votes,
        wanted=wanted,
        ended=ended,
    )


@router.post("/deal")
def deal(desk: OfApp, body: DealRequest) -> DealReply:
    """Deals pairs out to a rater; those in `holding` stay the page's."""
    _check_study(desk, body.study)
    pairs = [
        PairReply(**pair.shown()) for pair in desk.deal(body.rater, body.count, holding=set(body.holding))
    ]
    votes, wanted, ended = _progress(desk)
    return DealReply(pairs=pairs, answered=desk.answered(body.rater), votes=votes, wanted=wanted, ended=ended)


@router.post("/answers")
def answer(desk: OfApp, body: AnswersRequest) -> AnswersReply:
    """Takes lines in, in their order. They are on the disk when the reply is sent."""
    _check_study(desk, body.study)
    waiting: list[Answer] = []

    def write() -> None:
        if waiting:
            desk.answer(body.rater, waiting)
            waiting.clear()

    for line in body.lines:
        if isinstance(line, AnswerLine):
            waiting.append(Answer(**line.model_dump()))
        else:
            write()  # what is taken back may be among these
            desk.withdraw(body.rater, line.withdraws)
    write()
    return AnswersReply(kept=[line.uid for line in body.lines])


@router.get("/images/{pair}/{side}")
def image(desk: OfApp, pair: str, side: SideName) -> Response:
    """Sends one image of a pair: a copy under which nothing is written that tells where it is from."""
    found = desk.pairs.get(pair)
    if found is None:
        raise HTTPException(404, "No such pair.")
    # a pair of one study always shows the same images, and the page's address of them names the study
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(desk.image(found, side), media_type="image/png", headers=headers)


def _check_study(desk: Desk, study: str) -> None:
    # 503, so that a page that was left open keeps its answers until its study is served again
    if study not in ("", desk.key):
        raise HTTPException(503, "Another study, or another plan, is served here now. Load the page again.")


def _progress(desk: Desk) -> tuple[int, int, bool]:
    """Returns votes that count, votes that are wanted, and whether all questions have theirs."""
    each = desk.progress().values()
    votes = sum(min(progress.votes, progress.wanted) for progress in each)
    return votes, sum(progress.wanted for progress in each), all(progress.ended for progress in each)
