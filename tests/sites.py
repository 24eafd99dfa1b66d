"""Servers of pages as a client sees them: on a thread, and in a process that may be killed."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI


@dataclass(frozen=True)
class Site:
    """A served application."""

    address: str
    token: str = ""

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Returns status, content and headers of an answer."""
        content = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.address + path, content, sent)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def json(self, path: str, body: object = None) -> dict[str, Any]:
        """Returns the content of an answer that must be good."""
        status, content, _ = self.ask(path, body)
        assert status == 200, content
        return json.loads(content)


@contextlib.contextmanager
def serving(app: "FastAPI", port: int = 0) -> Generator[Site]:
    """Serves an application from a thread; `port` 0 takes a free one."""
    import uvicorn

    from pellucid.apps.web.server import listen

    with listen("127.0.0.1", port) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Site(f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(timeout=20)


class Killable:
    """A command that serves a page, in a process of its own."""

    def __init__(self, *words: object) -> None:
        self.words: Sequence[str] = [str(word) for word in words]
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Killable":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pellucid", *self.words], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline()  # the address, once it listens

    def kill(self) -> None:
        """Kills it where it stands."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
