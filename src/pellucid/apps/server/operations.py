"""What those who run a server ask for: whether it lives, whether it is ready, and how it does."""

import asyncio
import re
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pellucid.apps.server.errors import not_found
from pellucid.apps.server.state import Caller, Server
from pellucid.serving.tables import FINAL

router = APIRouter(tags=["operations"])
FILE_NAME = re.compile(r"image-\d{1,2}\.(png|webp|jpeg)")


@router.get("/healthz")
async def health() -> dict[str, str]:
    """Tells that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not now."}})
async def ready(server: Server) -> Response:
    """Tells whether requests are taken and worked on."""
    reason = "ok"
    if server.stopping.is_set():
        reason = "stopping"
    elif server.worker is not None and not server.worker.alive:
        reason = "no worker"
    elif server.worker is not None and not server.pool.loaded:
        reason = "no model"
    return JSONResponse(
        {"status": reason, "models": server.pool.loaded}, status_code=200 if reason == "ok" else 503
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(server: Server, _: Caller) -> Response:
    """Returns what was measured, in Prometheus's text format."""
    counts = await asyncio.to_thread(server.store.counts)
    for state in ("queued", "running", *FINAL):
        server.measures.jobs.labels(state).set(counts.get(state, 0))
    return Response(generate_latest(server.measures.registry), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/v1/files/{job_id}/{name}",
    tags=["images"],
    response_class=FileResponse,
    responses={200: {"content": {"image/png": {}, "image/webp": {}, "image/jpeg": {}}}},
)
async def file(job_id: str, name: str, server: Server) -> FileResponse:
    """Returns an image that an answer named by its address, which nobody can guess, until it expires."""
    found = await asyncio.to_thread(server.store.get, job_id)
    path = Path() if found is None else server.store.files(found.id) / name
    if found is None or not FILE_NAME.fullmatch(name) or not path.is_file():
        raise not_found("There is no such image, or no longer. Ask again.")
    return FileResponse(path, media_type=f"image/{path.suffix[1:]}")
