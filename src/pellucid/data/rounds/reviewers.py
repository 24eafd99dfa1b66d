"""Who reviews: people by their names, however they spell them."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from pellucid.data.names import name_key
from pellucid.data.rounds.database import lock_round
from pellucid.data.rounds.outcomes import Judgement
from pellucid.data.rounds.tables import Reviewer


def enter_reviewer(session: Session, name: str) -> Reviewer:
    """Finds a reviewer by any spelling of the name, or makes one, within a session that writes."""
    lock_round(session, 0)  # no round: one name entered twice at once makes one reviewer
    key = name_key(name)
    for each in people(session).values():
        if name_key(each.name) == key:
            return each
    made = Reviewer(name=name, created_at=time.time())
    session.add(made)
    session.flush()
    return made


def people(session: Session) -> Mapping[int, Reviewer]:
    """Returns who each reviewer is, by id: the one who first gave a name.

    Stores of earlier versions have a row for each spelling; their rows stay, and mean one person.
    """
    first: dict[str, Reviewer] = {}
    reviewers = session.scalars(select(Reviewer).order_by(Reviewer.id)).all()
    return {each.id: first.setdefault(name_key(each.name), each) for each in reviewers}


def spellings(session: Session, reviewer: Reviewer) -> list[int]:
    """Returns the ids of all rows that are this person."""
    found = people(session)
    return [id_ for id_, person in found.items() if person.id == found[reviewer.id].id]


def by_person(session: Session, found: Iterable[Judgement]) -> list[Judgement]:
    """Returns verdicts with the person who gave them: two spellings must not count as two who agree."""
    person_of = people(session)
    return [replace(each, reviewer=person_of[each.reviewer].id) for each in found]
