"""What the endpoints of one server share, and the settings that it was started with."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from pellucid.apps.server.errors import ApiError
from pellucid.apps.server.watching import Watcher
from pellucid.errors import PellucidError
from pellucid.serving.failures import SERVER, Failure
from pellucid.serving.measures import Measures
from pellucid.serving.model_pool import ModelPool
from pellucid.serving.store import Full, JobStore, NewJob
from pellucid.serving.tokens import TokenStore
from pellucid.serving.worker import Worker

log = logging.getLogger("pellucid.server")
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a server allows."""

    max_pixels: int = 16_777_216
    """Of an image that is given or asked for."""
    max_upload: int = 64 * MIB
    """Bytes of a request with images."""
    uploads_at_once: int = 2
    """Of which contents are in memory; others wait on the disk."""
    local_only: bool = True
    """Whether requests for other host names are refused."""
    needs_token: bool = False
    public_url: str | None = None
    """Where callers reach the server, for addresses of results; None takes what they called."""
    cors: tuple[str, ...] = ()
    """Origins of web pages that may call."""
    logs_prompts: bool = False
    poll_s: float = 1.0
    """How often work of other processes is looked for."""


@dataclass(kw_only=True)
class ServerState:
    """The parts of a running server."""

    settings: ServerSettings
    store: JobStore
    pool: ModelPool
    measures: Measures = field(default_factory=Measures)
    worker: Worker | None = None
    """Of this process; None where others work."""
    wake: Callable[[str], None] | None = None
    """Told of every accepted job, where workers are elsewhere."""
    stopping: threading.Event = field(default_factory=threading.Event)
    started_at: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.watcher = Watcher(self.store, self.settings.poll_s)
        self.tokens = TokenStore(self.store)
        self.uploads = asyncio.Semaphore(self.settings.uploads_at_once)

    async def accept(self, new: NewJob) -> str:
        """Accepts a job, and wakes the worker.

        Raises:
            ApiError: 429 where this caller has too much in the queue, 503 where all have.
        """
        if self.stopping.is_set():
            raise stopping()
        try:
            job_id = await asyncio.to_thread(self.store.accept, new)
        except Full as error:
            raise self._busy(error) from None
        except OSError as error:
            if isinstance(error, PellucidError) or error.errno is not None:
                raise ApiError(DISK_FULL, {"Retry-After": "60"}) from error
            raise
        facts: dict[str, object] = {"job": job_id, "task": new.request.task.name, "model": new.model}
        if self.settings.logs_prompts:
            facts["request"] = new.request.to_json()
        log.info("accepted", extra={"facts": facts})
        if self.worker is not None:
            self.worker.wake()
        if self.wake is not None:
            self.wake(job_id)
        return job_id

    def _busy(self, error: Full) -> ApiError:
        seconds = min(max(round(error.waiting * self.store.pace()), 1), 300)
        failure = Failure(
            message=str(error),
            status=429 if error.of_client else 503,
            type="rate_limit_error" if error.of_client else SERVER,
            code="rate_limit_exceeded" if error.of_client else "server_busy",
        )
        return ApiError(failure, {"Retry-After": str(seconds)})


DISK_FULL = Failure(
    message="The server cannot write to its disk. Try again later.",
    status=503, type=SERVER, code="storage_unavailable",
)  # fmt: skip


def stopping() -> ApiError:
    """Makes the error for what a server that is being stopped no longer begins."""
    failure = Failure(
        message="The server is being stopped. Try again in a moment.",
        status=503, type=SERVER, code="server_stopping",
    )  # fmt: skip
    return ApiError(failure, {"Retry-After": "5"})


def state_of(request: Request) -> ServerState:
    """Returns what the endpoints share."""
    found = request.app.state.server
    assert isinstance(found, ServerState)
    return found


Server = Annotated[ServerState, Depends(state_of)]


def caller_of(request: Request, server: Server) -> str:
    """Returns who calls: the owner of a token, or the address of a machine.

    Raises:
        ApiError: 401 where a token is needed and none or a wrong one came.
    """
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    owner = server.tokens.owner(secret.strip()) if kind.lower() == "bearer" and secret else None
    if owner is not None:
        return f"token:{owner}"
    if server.settings.needs_token:
        failure = Failure(
            message="Expected a valid token, found none. Send it as `Authorization: Bearer TOKEN`.",
            status=401, code="invalid_api_key",
        )  # fmt: skip
        raise ApiError(failure, {"WWW-Authenticate": "Bearer"})
    return f"host:{request.client.host if request.client else 'local'}"


Caller = Annotated[str, Depends(caller_of)]
