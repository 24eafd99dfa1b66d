"""Follows jobs for those who wait: one reader of the store for all of them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from pellucid.serving.store import JobStore
from pellucid.serving.tables import FINAL, Job

MOST_AT_ONCE = 400
"""Jobs asked for in one query; databases bound their parameters."""


@dataclass(eq=False)
class _Follower:
    job_id: str
    changes: "asyncio.Queue[Job | None]" = field(default_factory=asyncio.Queue)
    last: tuple[object, ...] = ()


class Watcher:
    """Tells every follower of a job how it stands whenever that changes.

    A worker of this process nudges it; what workers elsewhere do is found by looking every `poll_s`.
    """

    def __init__(self, store: JobStore, poll_s: float) -> None:
        self.store, self.poll_s = store, poll_s
        self._followers: set[_Follower] = set()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to watch, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._watch())

    async def stop(self) -> None:
        """Ends watching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def nudge(self) -> None:
        """Says, from any thread, that something has changed."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    async def follow(self, job_id: str) -> AsyncGenerator[Job]:
        """Yields a job as it stands now and after every change, until it is over or forgotten."""
        follower = _Follower(job_id)
        self._followers.add(follower)
        self._changed.set()
        try:
            while (job := await follower.changes.get()) is not None:
                yield job
                if job.state in FINAL:
                    return
        finally:
            self._followers.discard(follower)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self.poll_s)
            self._changed.clear()
            followers = list(self._followers)
            for start in range(0, len(followers), MOST_AT_ONCE):
                await self._tell(followers[start : start + MOST_AT_ONCE])

    async def _tell(self, followers: list[_Follower]) -> None:
        ids = sorted({follower.job_id for follower in followers})
        rows = {job.id: job for job in await asyncio.to_thread(self.store.get_all, ids)}
        for follower in followers:
            job = rows.get(follower.job_id)
            stands = () if job is None else (job.state, job.step, job.steps, job.shown)
            if job is None or stands != follower.last:
                follower.last = stands
                follower.changes.put_nowait(job)
