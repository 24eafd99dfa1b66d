"""Starts and stops a server: its store, its models, its socket, its log."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from pellucid.apps.server.app import create_app
from pellucid.apps.server.guard import JsonLines
from pellucid.apps.server.state import MIB, ServerSettings, ServerState
from pellucid.apps.web.server import is_local, listen
from pellucid.errors import InputError
from pellucid.files.locks import locked_folder
from pellucid.serving.model_pool import ModelPool
from pellucid.serving.store import JobStore, Limits, open_job_store
from pellucid.serving.tokens import TokenStore
from pellucid.serving.worker import Worker

log = logging.getLogger("pellucid.server")
GRACE_S = 600
"""How long a server that is stopped waits for its connections: a batch that runs is finished."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Options of the command line."""

    host: str
    port: int
    public_url: str | None
    cors: tuple[str, ...]
    require_token: bool
    log_text: bool
    models: tuple[str, ...]
    device: str
    dtype: str
    offload: str
    model_memory: float | None
    max_batch: int
    max_pixels: int
    max_upload: int
    max_queue: int
    max_queue_per_client: int
    deadline: float
    keep: float
    database: str | None
    folder: Path

    @classmethod
    def of(cls, values: Mapping[str, Any], folder: Path) -> "ServeOptions":
        """Takes what the command line parsed."""
        names = {each.name for each in fields(cls)}
        return cls(folder=folder, **{name: value for name, value in values.items() if name in names})

    @property
    def limits(self) -> Limits:
        """Returns what the store holds."""
        return Limits(
            max_queue=self.max_queue, max_queue_per_client=self.max_queue_per_client,
            deadline_s=self.deadline, keep_s=self.keep,
        )  # fmt: skip

    def pool(self) -> ModelPool:
        """Makes the pool of the models."""
        return ModelPool.of_names(
            list(self.models), device=self.device, dtype=self.dtype, offload=self.offload,
            memory_gib=self.model_memory,
        )  # fmt: skip

    def settings(self) -> ServerSettings:
        """Returns what the application allows."""
        local = is_local(self.host)
        return ServerSettings(
            max_pixels=self.max_pixels, max_upload=self.max_upload * MIB, local_only=local,
            needs_token=self.require_token or not local, public_url=self.public_url, cors=self.cors,
        )  # fmt: skip


def run_server(options: ServeOptions, *, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or Ctrl-C: then nothing new is taken, what runs is finished, the queue is kept.

    Args:
        options: of the command line.
        announce: told the address once the server listens.

    Raises:
        InputError: the address is in use, an option does not fit, or callers need tokens and there are none.
        FileError: the store cannot be opened.
    """
    write_logs(as_text=options.log_text)
    with opened_store(options) as store:
        settings = options.settings()
        if settings.needs_token and not any(token.revoked_at is None for token in TokenStore(store).all()):
            raise InputError(
                "Expected a token for callers of other machines, found none. "
                "Make one with `pellucid serve tokens new NAME`."
            )
        pool = options.pool()
        state = ServerState(settings=settings, store=store, pool=pool)
        name = f"{socket.gethostname()}-{os.getpid()}"
        state.worker = Worker(
            store=store, pool=pool, name=name, max_images=options.max_batch,
            max_pixels=options.max_pixels, measures=state.measures,
        )  # fmt: skip
        listening = listen(options.host, options.port)
        shown = f"[{options.host}]" if ":" in options.host else options.host
        announce(f"http://{shown}:{listening.getsockname()[1]}")
        config = uvicorn.Config(
            create_app(state), log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S,
            proxy_headers=options.public_url is not None,
        )  # fmt: skip
        try:
            StoppingServer(config, state).run(sockets=[listening])
        finally:
            listening.close()


@contextlib.contextmanager
def opened_store(options: ServeOptions) -> Generator[JobStore]:
    """Opens the store, with jobs of a server that was killed back in the queue.

    One server at a time has a folder; with a database of their own several share it, by leases.
    """
    alone = options.database is None
    with locked_folder(options.folder) if alone else contextlib.nullcontext():
        store = open_job_store(options.folder, options.database, options.limits)
        try:
            found = store.recover(alone=alone)
            if found:
                log.info("%s jobs of a server that was killed wait again", found)
            yield store
        finally:
            store.close()


class StoppingServer(uvicorn.Server):
    """Says at once that it is being stopped, so that whoever waits for a queued job is told."""

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config)
        self.state = state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles SIGTERM and Ctrl-C."""
        self.state.stopping.set()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Takes the signals while it runs, and does not raise them again when it has stopped in order."""
        if threading.current_thread() is not threading.main_thread():
            yield  # no other thread is told of signals
            return
        taken = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, former in taken.items():
                signal.signal(each, former)


def write_logs(*, as_text: bool) -> None:
    """Makes this process log to stderr: a line of JSON a record, or plain text."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(message)s %(facts)s", defaults={"facts": ""})
        if as_text
        else JsonLines()
    )
    for name in ("pellucid", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if name == "pellucid" else logging.WARNING)
        logger.propagate = False
