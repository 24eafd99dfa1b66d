"""What the page asks the server.

Endpoints are `def`, not async: each runs on a thread of its own and may wait for the disk.
"""

import hashlib
import time
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from pellucid.apps.review.schemas import (
    DealReply,
    DealRequest,
    HistoryReply,
    Id,
    ItemReply,
    PastReply,
    ProgressReply,
    ReviewerReply,
    ReviewerRequest,
    RoundReply,
    SampleReply,
    SessionReply,
    VerdictsReply,
    VerdictsRequest,
)
from pellucid.data.rounds.assignment import Dealer
from pellucid.data.rounds.beginning import find_round
from pellucid.data.rounds.database import Store
from pellucid.data.rounds.history import pace_of
from pellucid.data.rounds.images import read_image
from pellucid.data.rounds.outcomes import fates, judgements
from pellucid.data.rounds.reviewers import enter_reviewer, people
from pellucid.data.rounds.settings import RoundSettings
from pellucid.data.rounds.tables import Reviewer, Round, Sample
from pellucid.data.rounds.verdicts import Entry, Past, add_entries, history
from pellucid.errors import InputError

FRESH_S = 2.0
"""How old the figures of a round may be: all reviewers ask for them, and they read the whole log."""


def _store_of(request: Request) -> Store:
    return request.app.state.store


OfApp = Annotated[Store, Depends(_store_of)]
router = APIRouter()


@router.get("/session")
def session_now(store: OfApp) -> SessionReply:
    """Tells which round is open, and who has reviewed before."""
    with store.reading() as session:
        names = sorted({each.name for each in people(session).values()})
        round_ = _open_round(session)
        return SessionReply(
            round=None if round_ is None else _round_reply(round_, _store_key(session)), reviewers=names
        )


@router.post("/reviewers")
def enter(store: OfApp, body: ReviewerRequest) -> ReviewerReply:
    """Finds a reviewer by name, or makes one."""
    with store.writing() as session:
        return ReviewerReply.model_validate(enter_reviewer(session, body.name))


@router.post("/deal")
def deal(store: OfApp, body: DealRequest) -> DealReply:
    """Deals out images to judge; those in `holding` stay the page's."""
    with store.writing() as session:
        _check_store(session, body.store)
        round_ = _open_round(session)
        if round_ is None:
            return DealReply(items=[])
        dealer = Dealer(session, round_, _reviewer(session, body.reviewer), time.time())
        give = dealer.deal_disputed if body.disputed else dealer.deal
        items = give(body.count, holding=set(body.holding))
        return DealReply(
            items=[
                ItemReply(task=item.task, samples=[_sample_reply(each) for each in item.samples])
                for item in items
            ]
        )


@router.post("/verdicts")
def add_verdicts(store: OfApp, body: VerdictsRequest) -> VerdictsReply:
    """Adds lines to the log. They are on the disk when the answer is sent."""
    entries = [Entry(**entry.model_dump()) for entry in body.entries]
    with store.writing() as session:
        _check_store(session, body.store)
        new = add_entries(session, _reviewer(session, body.reviewer), entries)
    # here the transaction is on the disk
    return VerdictsReply(kept=[entry.uid for entry in entries], new=len(new))


@router.get("/history")
def past(
    store: OfApp, reviewer: Id, before: Id = 0, count: Annotated[int, Query(ge=1, le=500)] = 60
) -> HistoryReply:
    """Lists one's own decisions in the latest round."""
    with store.reading() as session:
        number = find_round(session, None).number
        found = history(session, _reviewer(session, reviewer), number, before=before, count=count)
        return HistoryReply(entries=[_past_reply(each) for each in found])


@router.get("/progress")
def progress_now(request: Request, reviewer: Id) -> ProgressReply:
    """Tells how far the round is and how fast one judges."""
    progress: Progress = request.app.state.progress
    return progress.of(reviewer)


@router.get("/images/{sample_id}")
def image(store: OfApp, sample_id: Id) -> Response:
    """Sends an image file as it lies in its shard; nothing is decoded."""
    with store.reading() as session:
        sample = session.get(Sample, sample_id)
    if sample is None:
        raise HTTPException(404, "No such image.")
    content = read_image(store.folder / sample.shard, sample.offset, sample.length)
    # an id of one store always means the same bytes, and the page's address of them names the store
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(content, media_type=sample.media_type, headers=headers)


class Progress:
    """Figures of the open round, read anew every `FRESH_S` at most."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._read_at = float("-inf")
        self._reply = ({}, 0, None, [])

    def of(self, reviewer: int) -> ProgressReply:
        """Returns the round's figures and the reviewer's pace."""
        if time.monotonic() - self._read_at > FRESH_S:
            self._read()
        counts, goal, number, found = self._reply
        return ProgressReply(round=number, counts=counts, goal=goal, pace=pace_of(found, reviewer))

    def _read(self) -> None:
        with self.store.reading() as session:
            round_ = _open_round(session)
            if round_ is None:
                self._reply = ({}, 0, None, [])
            else:
                found = judgements(session, round_.number)
                fate_of = list(fates(session, round_.number, found).values())
                counts = {fate: fate_of.count(fate) for fate in ("keep", "reject", "disputed", "open")}
                goal = RoundSettings.from_plain(round_.settings).keep
                self._reply = (counts, goal, round_.number, found)
        self._read_at = time.monotonic()


def _open_round(session: Session) -> Round | None:
    query = select(Round).where(Round.state == "open").order_by(Round.number.desc())
    return session.scalar(query.limit(1))


def _reviewer(session: Session, id_: int) -> Reviewer:
    found = session.get(Reviewer, id_)
    if found is None:
        raise InputError(f"Expected a reviewer, found none with number {id_}. Enter your name again.")
    return found


def _store_key(session: Session) -> str:
    """Returns what tells a store from others: when its first round began, and on what."""
    first = session.scalar(select(Round).order_by(Round.number).limit(1))
    text = "" if first is None else f"{first.created_at!r}/{first.data_version}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_store(session: Session, key: str) -> None:
    # 503, so that a page that was left open keeps its verdicts until its rounds are served again
    if key not in ("", _store_key(session)):
        raise HTTPException(503, "Rounds of another folder are served here now. Load the page again.")


def _round_reply(round_: Round, store: str) -> RoundReply:
    settings = RoundSettings.from_plain(round_.settings)
    return RoundReply(store=store, number=round_.number, goal=settings.keep, reasons=list(settings.reasons))


def _sample_reply(sample: Sample) -> SampleReply:
    return SampleReply.model_validate(sample)


def _past_reply(past: Past) -> PastReply:
    verdict = past.verdict
    return PastReply(
        id=verdict.id,
        uid=verdict.uid,
        sample=_sample_reply(past.sample),
        task=verdict.task,  # pyright: ignore[reportArgumentType] - the column holds tasks only
        decision=verdict.decision,  # pyright: ignore[reportArgumentType] - and this one decisions
        reason=verdict.reason,
        batch=verdict.batch,
        made_at=verdict.made_at,
        taken_back=past.taken_back,
    )
