"""The HTTP application of the screening page: a shell around `data.rounds`."""

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from pellucid.apps.review.endpoints import Progress, router
from pellucid.data.rounds.database import Store
from pellucid.errors import PellucidError

STATIC = Path(__file__).parent / "static"
HEADERS = {
    # nothing from other hosts, and no scripts in the page; images are shown from memory, hence blob:
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}


def create_app(store: Store, *, token: str | None = None, local_only: bool = True) -> FastAPI:
    """Makes the application around one store.

    Args:
        store: of the rounds; the latest open one is reviewed.
        token: secret that every request for data must carry. None lets everybody in.
        local_only: whether requests for other host names are refused, so that no web page that was made to
            resolve to this machine can read images.
    """
    app = FastAPI(title="Pellucid review", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.store, app.state.progress = store, Progress(store)

    @app.exception_handler(PellucidError)
    def refuse(_: Request, error: PellucidError) -> JSONResponse:
        return JSONResponse({"error": type(error).__name__, "detail": str(error)}, status_code=422)

    @app.middleware("http")
    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        host = request.headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if local_only and name not in LOCAL_NAMES:
            return JSONResponse({"error": "host", "detail": f"Not served as {name}."}, status_code=421)
        response = await answer(request)
        response.headers.update(HEADERS)
        # the page is asked for again each time, which costs an empty answer; images name their own time
        response.headers.setdefault("Cache-Control", "no-cache")
        return response

    def check_token(authorization: Annotated[str, Header()] = "") -> None:
        expected = f"Bearer {token}"
        if token and not hmac.compare_digest(authorization.encode(), expected.encode()):
            raise HTTPException(401, "The address of this page lacks its token. Ask who started the server.")

    app.include_router(router, prefix="/api", dependencies=[Depends(check_token)])
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return app
