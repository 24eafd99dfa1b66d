"""The shell of a page's HTTP application: its built files, its secret, its headers, its refusals."""

import hmac
import logging
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pellucid.errors import FileError, PellucidError

log = logging.getLogger(__name__)
HEADERS = {
    # nothing from other hosts, and no scripts in the page; images are shown from memory, hence blob:
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MAX_BODY = 4 * 2**20
"""Of a request, bytes: two hundred answers are some 60 kB, and all of a body is read into memory."""
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}


def page_app(
    title: str, static: Path, router: APIRouter, *, token: str | None = None, local_only: bool = True
) -> FastAPI:
    """Makes an application that serves a page and, below `/api`, what the page asks for.

    Args:
        title: of the application.
        static: folder of the built page.
        router: endpoints of the page; they read what they need from `app.state`.
        token: secret that every request for data must carry. None lets everybody in.
        local_only: whether requests for other host names are refused, so that no web page that was made to
            resolve to this machine can read images.
    """
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(PellucidError)
    def refuse(request: Request, error: PellucidError) -> JSONResponse:
        status = 422
        if isinstance(error, FileError) and request.method != "GET":
            # a disk that is full is no fault of what was sent: the page keeps it, and sends it again
            status = 503
            log.error("%s", error)
        return JSONResponse({"error": type(error).__name__, "detail": str(error)}, status_code=status)

    @app.exception_handler(RequestValidationError)
    def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        # FastAPI's own answer repeats what was sent, which not every encoding can, and is no sentence
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        detail = (
            f"Expected another value of {place}, found: {first['msg']}. Correct it, or load the page again."
        )
        return JSONResponse({"error": "InputError", "detail": detail}, status_code=422)

    def check_token(authorization: Annotated[str, Header()] = "") -> None:
        expected = f"Bearer {token}"
        if token and not hmac.compare_digest(authorization.encode(), expected.encode()):
            raise HTTPException(401, "The address of this page lacks its token. Ask who started the server.")

    app.add_middleware(Guard, local_only=local_only)
    app.include_router(router, prefix="/api", dependencies=[Depends(check_token)])
    app.mount("/", StaticFiles(directory=static, html=True))
    return app


def named_host(headers: Headers) -> str:
    """Returns the host that a request names, without its port."""
    host = headers.get("host", "")
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


class Guard:
    """Refuses other host names and large bodies, and adds `HEADERS` to every answer.

    Written to ASGI itself, since FastAPI's decorator for middleware runs each request as a task of its own.
    """

    def __init__(self, app: ASGIApp, *, local_only: bool) -> None:
        self.app, self.local_only = app, local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = Headers(scope=scope)
        name = named_host(sent)
        if self.local_only and name not in LOCAL_NAMES:
            refusal = JSONResponse({"error": "host", "detail": f"Not served as {name}."}, status_code=421)
            await refusal(scope, receive, send)
            return
        # a body without a length could be of any; the server holds others to theirs
        length = sent.get("content-length", "0")
        if "transfer-encoding" in sent or not length.isdecimal() or int(length) > MAX_BODY:
            detail = f"Expected at most {MAX_BODY} bytes, of a length that is said. Send less at once."
            await JSONResponse({"error": "length", "detail": detail}, status_code=413)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                # the page is asked for again each time, at the cost of an empty answer; images name a time
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self.app(scope, receive, send_with_headers)
