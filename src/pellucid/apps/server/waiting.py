"""Waits for jobs on behalf of a connection: where that breaks, its work is given up."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import Request

from pellucid.apps.server.errors import NO_RETRY, ApiError
from pellucid.apps.server.state import ServerState, stopping
from pellucid.serving.failures import LATE, Failure
from pellucid.serving.store import NewJob
from pellucid.serving.tables import FINAL, Job

CANCELLED = Failure(
    message="The job was cancelled. Ask again if it is still wanted.", status=409, code="cancelled"
)
GONE = Failure(message="The job is no longer known. Ask again.", status=410, code="expired")
STOP_LOOK_S = 0.25
"""How often a waiting connection looks whether the server is being stopped."""


async def run_job(server: ServerState, request: Request, new: NewJob) -> Job:
    """Accepts a job and waits until it is done.

    Raises:
        ApiError: it failed, was cancelled, or the queue is full.
    """
    async for job in follow_job(server, request, await server.accept(new)):
        if job.state in FINAL:
            return finished(job)
    raise ApiError(GONE)


async def follow_job(server: ServerState, request: Request, job_id: str) -> AsyncGenerator[Job]:
    """Yields a connection's own job whenever it changes; the job is cancelled when the connection breaks."""
    over = False
    ended = asyncio.create_task(_broken_or_stopping(server, request, job_id))
    try:
        changes = aiter(server.watcher.follow(job_id))
        while True:
            following = asyncio.ensure_future(anext(changes))
            await asyncio.wait({following, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                    await following
                raise ended.result()
            try:
                job = following.result()
            except StopAsyncIteration:
                over = True
                return
            over = job.state in FINAL
            yield job
            if over:
                return
    finally:
        ended.cancel()
        if not over:
            # shielded: this also runs where the server cancels the request's own task
            await asyncio.shield(asyncio.to_thread(server.store.cancel, job_id))


async def _broken_or_stopping(server: ServerState, request: Request, job_id: str) -> ApiError:
    """Returns when nobody waits any more, or when a server that stops will not come to this job."""
    # the body was read, so that the next thing to hear of is the end of the connection
    broken = asyncio.ensure_future(request.receive())
    try:
        while True:
            await asyncio.wait({broken}, timeout=STOP_LOOK_S)
            if broken.done():
                if broken.result()["type"] == "http.disconnect":
                    return ApiError(CANCELLED)
                broken = asyncio.ensure_future(request.receive())
            if server.stopping.is_set():
                job = await asyncio.to_thread(server.store.get, job_id)
                if job is None or job.state == "queued":
                    return stopping()
    finally:
        broken.cancel()


def finished(job: Job) -> Job:
    """Returns a job that is done.

    Raises:
        ApiError: it ended otherwise.
    """
    if job.state == "done":
        return job
    if job.state == "cancelled":
        raise ApiError(CANCELLED)
    failure = Failure.of_json(job.error) if job.error else LATE
    # tried again by itself, it would only fail again, on the same device
    raise ApiError(failure, {"Retry-After": "5"} if failure == LATE else NO_RETRY)
