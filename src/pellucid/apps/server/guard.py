"""Around every request: its number, its size, the host it names, one line in the log, one count."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pellucid.apps.server.errors import answer
from pellucid.apps.server.state import MIB, ServerState
from pellucid.apps.web.application import LOCAL_NAMES, named_host
from pellucid.serving.failures import Failure

log = logging.getLogger("pellucid.server")
MAX_JSON = 2 * MIB
"""Bytes of a body without images."""
REQUEST_ID = re.compile(r"[\w.-]{1,100}", re.ASCII)
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
QUIET = ("/healthz", "/readyz", "/metrics")
"""Paths that machines ask for all the time, and that no log needs."""


class TooLarge(HTTPException):
    """A body turned out larger than it may be.

    Of Starlette's own kind: FastAPI takes any other error while it reads a body for a damaged one.
    """


class Guard:
    """Written to ASGI itself: Starlette's base class for middleware would hide disconnects from streams."""

    def __init__(self, app: ASGIApp, *, state: ServerState) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent, began = Headers(scope=scope), time.monotonic()
        given = sent.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._checked(scope, sent, receive, send_marked)
        finally:
            self._note(scope, request_id, status, time.monotonic() - began)

    async def _checked(self, scope: Scope, sent: Headers, receive: Receive, send: Send) -> None:
        name = named_host(sent)
        if self.state.settings.local_only and name not in LOCAL_NAMES and scope["path"] not in QUIET:
            # a page of another name, made to resolve to this machine, could otherwise read answers
            failure = Failure(message=f"Not served as {name:.100}. Call 127.0.0.1.", status=421, code="host")
            await answer(failure)(scope, receive, send)
            return
        has_images = sent.get("content-type", "").startswith("multipart/form-data")
        most = self.state.settings.max_upload if has_images else MAX_JSON
        failure = Failure(
            message=f"Expected a body of at most {most} bytes. Send less, or smaller images.",
            status=413, code="request_too_large",
        )  # fmt: skip
        length = sent.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            await answer(failure)(scope, receive, send)
            return
        await self.app(scope, _counted(receive, most, failure), send)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self.state.measures.requests.labels(route, str(status)).inc()
        if scope["path"] in QUIET:
            return
        facts = {
            "id": request_id, "method": scope["method"], "path": scope["path"], "status": status,
            "ms": round(seconds * 1000),
        }  # fmt: skip
        log.info("request", extra={"facts": facts})


def _counted(receive: Receive, most: int, failure: Failure) -> Receive:
    """Counts what arrives, since a body need not say its length, or may say another."""
    arrived = 0

    async def counting() -> Message:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > most:
            raise TooLarge(failure.status, failure.message)
        return message

    return counting
