"""A real server over a tiny real model, in a thread of the test's process."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from pellucid.apps.server.app import create_app
from pellucid.apps.server.running import StoppingServer
from pellucid.apps.server.state import ServerSettings, ServerState
from pellucid.apps.web.server import listen
from pellucid.serving.model_pool import ModelPool
from pellucid.serving.store import Limits, open_job_store
from pellucid.serving.worker import Worker


class Running:
    """A server that runs, and what a test asks of it."""

    def __init__(self, state: ServerState, server: StoppingServer, port: int) -> None:
        self.state, self.server = state, server
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx2.Client(base_url=self.url, timeout=120)

    def until(self, job_id: str, *states: str, limit_s: float = 60) -> dict[str, Any]:
        """Waits until a job is in one of some states."""
        ends = time.monotonic() + limit_s
        while (job := self.http.get(f"/v1/scenes/{job_id}").json())["state"] not in states:
            assert time.monotonic() < ends, f"{job_id} did not become {states}: {job}"
            time.sleep(0.02)
        return job


@contextmanager
def running(
    folder: Path,
    model: str,
    *,
    limits: Limits | None = None,
    works: bool = True,
    max_images: int = 4,
    **settings: object,
) -> Generator[Running]:
    """Starts a server and stops it in order; without `works` it accepts and runs nothing."""
    store = open_job_store(folder, None, limits)
    pool = ModelPool(models={"tiny": model})
    state = ServerState(settings=ServerSettings(**settings), store=store, pool=pool)  # pyright: ignore
    if works:
        state.worker = Worker(
            store=store, pool=pool, name="test", max_images=max_images, measures=state.measures
        )
    listening = listen("127.0.0.1", 0)
    server = StoppingServer(uvicorn.Config(create_app(state), log_config=None, access_log=False), state)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    here = Running(state, server, listening.getsockname()[1])
    try:
        while not server.started:
            time.sleep(0.01)
        yield here
    finally:
        here.http.close()
        state.stopping.set()
        server.should_exit = True
        thread.join()
        listening.close()
        store.close()
