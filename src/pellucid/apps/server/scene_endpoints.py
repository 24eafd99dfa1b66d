"""`/v1/scenes`: every task by one request, as jobs that can be watched, cancelled and fetched later."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, JSONResponse, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from pellucid.apps.server.errors import ApiError, not_found, refuse
from pellucid.apps.server.image_endpoints import KEEP_ALIVE_S, Deadline, resolve_model
from pellucid.apps.server.scene_messages import JobAnswer, JobList
from pellucid.apps.server.state import Caller, Server, ServerState
from pellucid.apps.server.uploads import Form, content_of, parsed, read_form
from pellucid.apps.server.waiting import GONE, run_job
from pellucid.errors import FileError
from pellucid.scene.contents import decode_scene
from pellucid.scene.scene import Scene
from pellucid.serving.failures import Failure
from pellucid.serving.requests import REQUEST, TASKS, SceneRequest
from pellucid.serving.results import MEDIA_TYPES
from pellucid.serving.store import NewJob
from pellucid.serving.tables import FINAL, Job

router = APIRouter(prefix="/v1", tags=["scenes"])
MAX_PREVIEWS = 3
REQUEST_SCHEMA = REQUEST.json_schema(ref_template="#/components/schemas/{model}")
DEFINITIONS: Mapping[str, Any] = REQUEST_SCHEMA.pop("$defs")
"""Schemas of the tasks' messages, which the OpenAPI document takes in."""
FILES = {name: {"type": "string", "format": "binary"} for task in TASKS.values() for name in task.all_images}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": REQUEST_SCHEMA},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "request": {"type": "string", "contentMediaType": "application/json"},
                        **FILES,
                    },
                    "required": ["request"],
                    "additionalProperties": False,
                }
            },
        },
    }
}


@router.post(
    "/scenes", response_model=JobAnswer, status_code=202, openapi_extra=BODY,
    responses={200: {"model": JobAnswer, "description": "Done, where `wait` was set."}},
)  # fmt: skip
async def create(
    http: Request, server: Server, caller: Caller, deadline: Deadline = None,
    *,
    wait: Annotated[bool, Query(description="Answer when it is done; to hang up cancels it.")] = False,
    previews: Annotated[int, Query(ge=0, le=MAX_PREVIEWS, description="Unfinished images to show.")] = 0,
) -> Response:  # fmt: skip
    """Accepts a job. It outlives the connection unless `wait` is set."""
    request, images = await _read(http, server)
    if request.task.previews is False and previews:
        raise refuse(f"Expected no previews of {request.task.name}, which has several passes.", "previews")
    _check_size(server, request)
    new = NewJob(
        client=caller,
        model=resolve_model(server, request.model),
        request=request.seeded(),
        work=request.work,
        images=images,
        previews=previews,
        deadline_s=deadline,
    )
    if wait:
        return JSONResponse(JobAnswer.of(await run_job(server, http, new)).model_dump(mode="json"))
    job = await _job(server, caller, await server.accept(new))
    return JSONResponse(
        JobAnswer.of(job).model_dump(mode="json"), 202, headers={"Location": f"/v1/scenes/{job.id}"}
    )


def _check_size(server: ServerState, request: SceneRequest) -> None:
    height, width = (request.options.get(name) or 1 for name in ("height", "width"))
    if height * width > server.settings.max_pixels:
        raise refuse(
            f"Expected at most {server.settings.max_pixels} pixels, found {width}x{height}. Ask for fewer.",
            "height",
        )


async def _read(http: Request, server: ServerState) -> tuple[SceneRequest, dict[str, bytes]]:
    """Reads a request and the images that come with it."""
    if not http.headers.get("content-type", "").startswith("multipart/form-data"):
        try:
            request = SceneRequest.of(json.loads(await http.body()))
        except (ValueError, RecursionError) as error:
            if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
                raise refuse(
                    "Expected JSON, found something else. Correct the body.", None, "invalid_json"
                ) from None
            raise
        _check_images(request, set())
        return request, {}
    async with read_form(http) as form:
        return await _read_parts(form, server)


async def _read_parts(form: Form, server: ServerState) -> tuple[SceneRequest, dict[str, bytes]]:
    strange = next((name for name in form.texts if name != "request"), None)
    if strange is not None or "request" not in form.texts:
        name = strange or "request"
        raise refuse(f"Expected one text, request, with JSON, found {strange or 'none'}. Send it.", name)
    request = SceneRequest.of(parsed(form.texts["request"], "request"))
    _check_images(request, set(form.files))
    several = next((name for name, files in form.files.items() if len(files) > 1), None)
    if several is not None:
        raise refuse(f"Expected one file {several}, found several. Send one.", several)
    images: dict[str, bytes] = {}
    for name, files in form.files.items():
        if name == "scene":
            async with server.uploads:
                images[name] = await files[0].read()
                await asyncio.to_thread(_check_document, images[name], server.settings.max_pixels)
        else:
            images[name] = await content_of(server, files[0], name)
    return request, images


def _check_document(content: bytes, max_pixels: int) -> None:
    try:
        decode_scene(content, "scene", max_pixels=max_pixels)
    except FileError as error:
        raise ApiError(Failure(message=str(error), code="invalid_image", param="scene")) from None


def _check_images(request: SceneRequest, given: set[str]) -> None:
    task = request.task
    missing = next((name for name in task.images if name not in given), None)
    if missing is not None:
        raise refuse(
            f"Expected the file {missing!r} for {task.name}, found none. Send a form with it and `request`.",
            missing, "missing_required_parameter",
        )  # fmt: skip
    strange = next((name for name in sorted(given) if name not in task.all_images), None)
    if strange is not None:
        raise refuse(
            f"Expected no file {strange!r} for {task.name}. Leave it out.", strange, "unknown_parameter"
        )


@router.get("/scenes", response_model=JobList)
async def jobs(
    server: Server,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    before: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
) -> JobList:
    """Lists the caller's jobs, the newest first."""
    found = await asyncio.to_thread(server.store.of_client, caller, limit, before)
    following = found[-1].number if len(found) == limit else None
    return JobList(data=[JobAnswer.of(job) for job in found], next=following)


@router.get("/scenes/{job_id}", response_model=JobAnswer)
async def job(job_id: str, server: Server, caller: Caller) -> JobAnswer:
    """Tells how a job stands."""
    return JobAnswer.of(await _job(server, caller, job_id))


@router.delete("/scenes/{job_id}", status_code=204)
async def delete(job_id: str, server: Server, caller: Caller) -> None:
    """Cancels a job and forgets it with all its files."""
    await _job(server, caller, job_id)
    await asyncio.to_thread(server.store.remove, job_id)
    server.watcher.nudge()


@router.post("/scenes/{job_id}/cancel", response_model=JobAnswer)
async def cancel(job_id: str, server: Server, caller: Caller) -> JobAnswer:
    """Cancels a job: at once if it waits, at its next step if it runs. One that is over stays as it is."""
    await _job(server, caller, job_id)
    await asyncio.to_thread(server.store.cancel, job_id)
    server.watcher.nudge()
    return JobAnswer.of(await _job(server, caller, job_id))


@router.get(
    "/scenes/{job_id}/events",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(job_id: str, server: Server, caller: Caller) -> Response:
    """Streams how a job stands, whenever that changes, until it is over; the job goes on without you."""
    await _job(server, caller, job_id)
    return EventSourceResponse(
        _events(server, job_id), ping=KEEP_ALIVE_S, headers={"X-Accel-Buffering": "no"}
    )


async def _events(server: ServerState, job_id: str) -> AsyncGenerator[ServerSentEvent]:
    async for found in server.watcher.follow(job_id):
        name = found.state if found.state in FINAL else "progress"
        yield ServerSentEvent(event=name, data=JobAnswer.of(found).model_dump_json())
        if server.stopping.is_set():
            return


@router.get(
    "/scenes/{job_id}/results/{index}.{ending}",
    response_class=FileResponse,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}},
)
async def result(
    job_id: str,
    index: Annotated[int, Path(ge=0, le=99)],
    ending: Literal["png", "webp", "avif", "tiff", "psd", "ora", "zip"],
    server: Server,
    caller: Caller,
) -> FileResponse:
    """Returns a result as a file: .png, .webp, .avif and .tiff flat, .psd, .ora and .zip with its layers."""
    found = await _job(server, caller, job_id)
    if index >= len(found.results):
        raise not_found("The job has no such result. See how it stands.")
    stored = server.store.files(job_id) / str(found.results[index]["file"])
    target = stored.with_suffix(f".{ending}")
    if not target.is_file():
        async with server.uploads:
            await asyncio.to_thread(lambda: Scene.open(stored).save(target))
    return FileResponse(target, media_type=MEDIA_TYPES[ending], filename=f"{job_id[:8]}-{index}.{ending}")


@router.get(
    "/scenes/{job_id}/previews/{index}.png",
    response_class=FileResponse,
    responses={200: {"content": {"image/png": {}}}},
)
async def preview(
    job_id: str, index: Annotated[int, Path(ge=0, le=99)], server: Server, caller: Caller
) -> FileResponse:
    """Returns an unfinished image."""
    found = await _job(server, caller, job_id)
    if index >= found.shown:
        raise not_found("There is no such unfinished image. Look later.")
    return FileResponse(server.store.files(job_id) / f"preview-{index}.png", media_type="image/png")


async def _job(server: ServerState, caller: str, job_id: str) -> Job:
    """Returns a caller's job; others' are unknown to whoever has a token.

    Raises:
        ApiError: 404.
    """
    found = await asyncio.to_thread(server.store.get, job_id)
    owned = found is not None and (found.client == caller or not server.settings.needs_token)
    if found is None or not owned:
        raise not_found(GONE.message, "job_id")
    return found
