"""The HTTP application of the screening page: a shell around `data.rounds`."""

from pathlib import Path

from fastapi import FastAPI

from pellucid.apps.review.endpoints import Progress, router
from pellucid.apps.web.application import page_app
from pellucid.data.rounds.database import Store

STATIC = Path(__file__).parent / "static"


def create_app(store: Store, *, token: str | None = None, local_only: bool = True) -> FastAPI:
    """Makes the application around one store, of which the latest open round is reviewed.

    Args:
        store: of the rounds.
        token: secret that every request for data must carry. None lets everybody in.
        local_only: whether requests for other host names are refused.
    """
    app = page_app("Pellucid review", STATIC, router, token=token, local_only=local_only)
    app.state.store, app.state.progress = store, Progress(store)
    return app
