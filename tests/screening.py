"""Rounds of small images, made by a function instead of a model."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence

import numpy as np
from sqlalchemy import select

from pellucid.data.rounds.assignment import Dealer, Item
from pellucid.data.rounds.beginning import find_round
from pellucid.data.rounds.database import Store
from pellucid.data.rounds.settings import RoundSettings
from pellucid.data.rounds.tables import Decision, Reviewer, Sample, Task
from pellucid.data.rounds.verdicts import Entry, add_entries
from pellucid.rgba.types import RGBA8
from sites import Site, serving

PLAIN = RoundSettings(samples=30, overlap=0, gold=0, second_look=0, grouping="none", order="seed")


def draw(prompts: Sequence[str], seeds: Sequence[int]) -> list[RGBA8]:
    """Discs whose colour and size follow from the seed."""
    del prompts
    y, x = np.mgrid[:24, :24] - 11.5
    images: list[RGBA8] = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        rgba = np.zeros((24, 24, 4), np.uint8)
        rgba[..., :3] = rng.integers(0, 256, 3)
        rgba[..., 3] = np.where(x**2 + y**2 < rng.uniform(20, 140), 255, 0)
        images.append(rgba)
    return images


def reviewer(store: Store, name: str) -> int:
    with store.writing() as session:
        found = session.scalar(select(Reviewer).where(Reviewer.name == name))
        if found is None:
            found = Reviewer(name=name, created_at=0.0)
            session.add(found)
            session.flush()
        return found.id


def deal(store: Store, name: str, count: int, now: float = 100.0, *, disputed: bool = False) -> list[Item]:
    id_ = reviewer(store, name)
    with store.writing() as session:
        dealer = Dealer(session, find_round(session, None, state="open"), session.get_one(Reviewer, id_), now)
        return dealer.deal_disputed(count) if disputed else dealer.deal(count)


def say(store: Store, name: str, *entries: Entry, now: float = 100.0) -> list[str]:
    id_ = reviewer(store, name)
    with store.writing() as session:
        return add_entries(session, session.get_one(Reviewer, id_), entries, now=now)


def verdict(sample: int, decision: Decision, uid: str = "", task: Task = "first") -> Entry:
    return Entry(
        uid=uid or f"{sample}-{decision}-{task}-{time.monotonic_ns()}",
        sample=sample,
        decision=decision,
        task=task,
    )


def ids(items: list[Item]) -> list[int]:
    return [sample.id for item in items for sample in item.samples]


def judge_all(store: Store, name: str, decide: Callable[[Sample], Decision], count: int = 7) -> Counter[str]:
    """Judges until nothing is left; returns how often each task came."""
    tasks: Counter[str] = Counter()
    while items := deal(store, name, count):
        for item in items:
            tasks[item.task] += len(item.samples)
            say(store, name, *(verdict(each.id, decide(each), task=item.task) for each in item.samples))
    return tasks


@contextlib.contextmanager
def served(store: Store, port: int = 0, **arguments: object) -> Generator[Site]:
    """Serves a store from a thread; `port` 0 takes a free one."""
    from pellucid.apps.review.app import create_app

    with serving(create_app(store, **arguments), port) as site:  # type: ignore[arg-type]
        yield site
