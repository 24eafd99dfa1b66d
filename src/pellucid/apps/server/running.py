"""Runs the application on a socket, with its worker, until it is told to stop."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from types import FrameType

import uvicorn

from pellucid.apps.server.app import create_app
from pellucid.apps.server.starting import ServeOptions
from pellucid.apps.server.state import MIB, ServerSettings, ServerState
from pellucid.serving.measures import Measures
from pellucid.serving.model_pool import ModelPool
from pellucid.serving.store import JobStore
from pellucid.serving.worker import Worker

KEEP_ALIVE_S = 75
"""How long an idle connection stays: longer than clients and proxies keep theirs, or one that is taken up
again just then would be cut."""
GRACE_S = 600
"""How long a server that is stopped waits for its connections: a batch that runs is finished."""


def serve_app(
    options: ServeOptions, store: JobStore, listening: socket.socket, announce: Callable[[], None]
) -> None:
    """Serves a store's jobs until SIGTERM or Ctrl-C.

    Raises:
        InputError: a model is absent, or two have one name.
    """
    state = make_state(options, store)
    state.worker = make_worker(options, store, state.pool, state.measures)
    config = uvicorn.Config(
        create_app(state), log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S,
        proxy_headers=options.public_url is not None, timeout_keep_alive=KEEP_ALIVE_S,
    )  # fmt: skip
    announce()
    StoppingServer(config, state).run(sockets=[listening])


def make_pool(options: ServeOptions) -> ModelPool:
    """Makes the pool of the models that are offered; nothing is loaded yet.

    Raises:
        InputError: a model is absent, or two have one name.
    """
    return ModelPool.of_names(
        list(options.models), device=options.device, dtype=options.dtype, offload=options.offload,
        memory_gib=options.model_memory,
    )  # fmt: skip


def make_state(options: ServeOptions, store: JobStore, *, poll_s: float = 1.0) -> ServerState:
    """Makes the parts of a server; its worker is added, or is elsewhere."""
    settings = ServerSettings(
        max_pixels=options.max_pixels, max_upload=options.max_upload * MIB, local_only=options.is_local,
        needs_token=options.needs_token, public_url=options.public_url, cors=options.cors,
        poll_s=poll_s, logs_prompts=options.log_prompts,
    )  # fmt: skip
    return ServerState(settings=settings, store=store, pool=make_pool(options))


def make_worker(
    options: ServeOptions, store: JobStore, pool: ModelPool | None = None, measures: Measures | None = None
) -> Worker:
    """Makes the worker of this process, with a pool of its own unless one is given."""
    return Worker(
        store=store, pool=pool or make_pool(options), name=f"{socket.gethostname()}-{os.getpid()}",
        max_images=options.max_batch, max_pixels=options.max_pixels, measures=measures or Measures(),
    )  # fmt: skip


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
