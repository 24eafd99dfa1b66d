"""Ends HTTP requests at a deadline.

A socket's time-out starts anew with every byte, so a server that sends one now and then is waited for without
an end, in its headers as in its content.
"""

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import cast

import urllib3


class Deadline:
    """Shuts the connections of the pools that it watches once its time is up.

    What was being read then ends early. Where a server names no length that looks like a whole answer, so ask
    `passed` before an answer is believed.
    """

    def __init__(self, seconds: float) -> None:
        """Starts the clock when its `with` block begins.

        Args:
            seconds: above 0.
        """
        self.seconds = seconds
        self._end = float("inf")
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True  # a program that ends does not wait for it

    def __enter__(self) -> "Deadline":
        self._end = time.monotonic() + self.seconds
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def watch(self, pool: urllib3.HTTPConnectionPool) -> urllib3.HTTPConnectionPool:
        """Returns the pool, whose new connections end with the deadline, a TLS handshake included."""
        kind = pool.ConnectionCls
        deadline = self

        class Watched(kind):  # type: ignore[misc,valid-type] - a pool's class is known when it runs
            def _new_conn(self) -> socket.socket:
                return deadline._opened(cast("socket.socket", super()._new_conn()))

        Watched.__name__ = kind.__name__  # which errors begin with
        pool.ConnectionCls = Watched
        return pool

    def _opened(self, opened: socket.socket) -> socket.socket:
        with self._lock:
            self._sockets.append(opened)
            if self.passed:
                _shut(opened)
        return opened

    def _shut(self) -> None:
        with self._lock:
            for opened in self._sockets:
                _shut(opened)


def _shut(opened: socket.socket) -> None:
    # closed by itself in the meantime, or never connected
    with contextlib.suppress(OSError):
        # no close(), after which the number may be another file's; nor TLS's own method, under its reader
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
