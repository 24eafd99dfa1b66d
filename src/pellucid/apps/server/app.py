"""The HTTP application of the server: a shell around `pellucid.serving`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from pellucid._version import __version__
from pellucid.apps.server import image_endpoints, operations, scene_endpoints
from pellucid.apps.server.documents import ERRORS
from pellucid.apps.server.errors import add_error_handlers
from pellucid.apps.server.guard import Guard
from pellucid.apps.server.state import ServerState

DESCRIPTION = "Transparent images and layers from a sentence. /v1/images speaks OpenAI's images API."


def create_app(state: ServerState) -> FastAPI:
    """Makes the application of a server; its worker starts and stops with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        state.watcher.start()
        if state.worker is not None:
            state.worker.nudge = state.watcher.nudge
            state.worker.start()
        try:
            yield
        finally:
            state.stopping.set()
            if state.worker is not None:
                state.worker.stop()
            await state.watcher.stop()

    app = FastAPI(
        title="Pellucid", version=__version__, description=DESCRIPTION, lifespan=lifespan,
        docs_url=None, redoc_url=None, openapi_url="/openapi.json", responses=ERRORS,
        generate_unique_id_function=lambda route: route.name,
    )  # fmt: skip
    app.state.server = state
    app.include_router(image_endpoints.router)
    app.include_router(scene_endpoints.router)
    app.include_router(operations.router)
    add_error_handlers(app)
    if state.settings.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(state.settings.cors), allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(Guard, state=state)
    app.openapi = lambda: _document(app)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """Returns the OpenAPI document, with the schemas of bodies that are read by hand."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = found["components"]["schemas"]
        schemas.update(scene_endpoints.DEFINITIONS)
        # a field that does not fit is a 400 here, and no endpoint answers in FastAPI's own words
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}, {}]
        app.openapi_schema = found
    return app.openapi_schema
