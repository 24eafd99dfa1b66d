"""The HTTP application of the study page: a shell around `evaluation.study.assignment.Desk`."""

from pathlib import Path

from fastapi import FastAPI

from pellucid.apps.study.endpoints import router
from pellucid.apps.web.application import page_app
from pellucid.evaluation.study.assignment import Desk

STATIC = Path(__file__).parent / "static"


def create_app(desk: Desk, *, token: str | None = None, local_only: bool = True) -> FastAPI:
    """Makes the application around one study.

    Args:
        desk: deals its pairs and takes answers.
        token: secret that every request for data must carry. None lets everybody in.
        local_only: whether requests for other host names are refused.
    """
    app = page_app("Pellucid study", STATIC, router, token=token, local_only=local_only)
    app.state.desk = desk
    return app
