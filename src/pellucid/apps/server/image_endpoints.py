"""`/v1/images`: the images API that programs already speak."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import SkipJsonSchema
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from pellucid.apps.server.documents import form_body
from pellucid.apps.server.errors import NO_RETRY, ApiError, body_of, failure_of_validation, refuse
from pellucid.apps.server.image_jobs import (
    OPAQUE,
    ImageJob,
    event_of,
    is_opaque_against_order,
    make_answer,
    usage_of,
)
from pellucid.apps.server.image_messages import (
    CommonFields,
    EditRequest,
    GenerationRequest,
    ImagesResponse,
    Model,
    ModelList,
    VariationRequest,
)
from pellucid.apps.server.state import Caller, Server, ServerState
from pellucid.apps.server.uploads import MAX_IMAGES, Form, GivenForm, content_of, mask_of_alpha, parsed
from pellucid.apps.server.waiting import finished, follow_job, run_job
from pellucid.files.images import read_image
from pellucid.pipelines.given_images import prompt_of
from pellucid.serving.encoding import Encoding, encode_file
from pellucid.serving.failures import Failure
from pellucid.serving.layering import stacked
from pellucid.serving.requests import SceneRequest
from pellucid.serving.tables import FINAL, Job

router = APIRouter(prefix="/v1", tags=["images"])
M = TypeVar("M", bound=BaseModel)
Kind = Literal["image_generation", "image_edit"]
Deadline = Annotated[float | SkipJsonSchema[None], Header(alias="x-deadline-seconds", ge=1, le=86400)]
FIDELITY = {"high": 0.4, "low": 0.7}
"""Strength of repainting by `input_fidelity`."""
VARIATION = 0.6
KEEP_ALIVE_S = 15
"""Proxies cut connections on which nothing comes for a minute or two."""
ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


@router.post("/images/generations", response_model=ImagesResponse, responses=ANSWERS)
async def generations(
    http: Request, body: GenerationRequest, server: Server, caller: Caller, deadline: Deadline = None
) -> Response:
    """Makes transparent images, or scenes of layers, from text."""
    body.check()
    size = body.height_and_width(server.settings.max_pixels)
    options = dict(body.sampling)
    if size is not None:
        options["height"], options["width"] = size
    if body.layers is None:
        options |= {"task": "generate", "prompt": body.prompt}
    else:
        options |= {
            "task": "joint",
            "foreground": body.layers.foreground or body.prompt,
            "background": body.layers.background,
            "composite": body.layers.composite,
        }
    asked = make_job(server, caller, "image_generation", body, options, {}, body.encoding(), deadline)
    return await respond(server, http, asked)


@router.post(
    "/images/edits",
    response_model=ImagesResponse,
    responses=ANSWERS,
    openapi_extra=form_body(EditRequest, {"image": True, "mask": False}),
)
async def edits(
    http: Request, form: GivenForm, server: Server, caller: Caller, deadline: Deadline = None
) -> Response:
    """Repaints an image, inside a mask whose alpha of 0 means "edit here", or adds a layer to images."""
    body = _read_fields(EditRequest, form, {"image", "mask"})
    body.check()
    given = form.files.get("image", [])
    if not 1 <= len(given) <= MAX_IMAGES:
        raise refuse(f"Expected 1 to {MAX_IMAGES} images, found {len(given)}. Send them as `image`.", "image")
    images = [await content_of(server, file, "image") for file in given]
    masks = [await content_of(server, file, "mask") for file in form.files.get("mask", [])]
    if len(masks) > 1:
        raise refuse(f"Expected one mask, found {len(masks)}. It belongs to the first image.", "mask")
    size = body.height_and_width(server.settings.max_pixels)
    options, files = await asyncio.to_thread(
        _edit, body, images, masks[0] if masks else None, size, server.settings.max_pixels
    )
    shown = body.encoding()
    encoding = Encoding(
        format=shown.format,
        compression=shown.compression,
        opaque=shown.opaque,
        size=size if not masks else None,
    )
    asked = make_job(server, caller, "image_edit", body, options, files, encoding, deadline)
    return await respond(server, http, asked)


def _edit(
    body: EditRequest, images: list[bytes], mask: bytes | None, size: tuple[int, int] | None, max_pixels: int
) -> tuple[dict[str, object], dict[str, bytes]]:
    """Returns what is asked of the pipeline, and the images that it is given."""
    options = {**body.sampling, "prompt": body.prompt}
    if mask is not None:
        if len(images) > 1 or body.layers is not None:
            raise refuse("Expected one image and no layers with a mask. Leave the others out.", "mask")
        if size is not None or body.input_fidelity is not None:
            name = "size" if size is not None else "input_fidelity"
            raise refuse(
                f"Expected no {name} with a mask: what it keeps stays to the byte. Leave it out.", name
            )
        files = {"image": images[0], "mask": mask_of_alpha(mask, images[0], max_pixels)}
        return {**options, "task": "inpaint"}, files
    if len(images) == 1 and body.layers is None:
        strength = FIDELITY[body.input_fidelity or "low"]
        return {**options, "task": "vary", "strength": strength}, {"image": images[0]}
    if body.input_fidelity is not None:
        raise refuse(
            "Expected no input_fidelity with layers: given images stay as they are. Leave it out.",
            "input_fidelity",
        )
    layers = body.layers
    if layers is not None:
        options |= {"composite": layers.composite, "box": layers.box}
    return {**options, "task": "add_layer"}, {"scene": stacked(images, max_pixels)}


@router.post(
    "/images/variations",
    response_model=ImagesResponse,
    openapi_extra=form_body(VariationRequest, {"image": True}),
)
async def variations(
    http: Request, form: GivenForm, server: Server, caller: Caller, deadline: Deadline = None
) -> Response:
    """Makes images like one that is given, from the prompt in it if it holds one."""
    body = _read_fields(VariationRequest, form, {"image"})
    given = form.files.get("image", [])
    if len(given) != 1:
        raise refuse(f"Expected one image, found {len(given)}. Send it as `image`.", "image")
    content = await content_of(server, given[0], "image")
    fields = CommonFields(
        prompt=await asyncio.to_thread(_prompt_in, content), n=body.n, model=body.model, size=body.size,
        response_format=body.response_format, user=body.user,
    )  # fmt: skip
    options = {**fields.sampling, "task": "vary", "prompt": fields.prompt.strip(), "strength": VARIATION}
    size = fields.height_and_width(server.settings.max_pixels)
    asked = make_job(
        server, caller, "image_edit", fields, options, {"image": content}, Encoding(size=size), deadline
    )
    return await respond(server, http, asked)


def _prompt_in(content: bytes) -> str:
    return prompt_of(read_image(content)) or " "


@router.get("/models", response_model=ModelList)
async def models(server: Server, _: Caller) -> ModelList:
    """Lists the models that requests may name; names of OpenAI's image models mean the first."""
    return ModelList(data=[Model(id=name, created=server.started_at) for name in server.pool.models])


@router.get("/models/{name}", response_model=Model)
async def model(name: str, server: Server, _: Caller) -> Model:
    """Returns one model."""
    return Model(id=resolve_model(server, name), created=server.started_at)


def resolve_model(server: ServerState, name: str | None) -> str:
    """Returns the model that a name means.

    Raises:
        ApiError: 404, there is none.
    """
    found = server.pool.resolve(name)
    if found is None:
        known = ", ".join(server.pool.models)
        raise ApiError(
            Failure(
                message=f"The model {name!r:.80} does not exist. Choose one of {known}.",
                status=404,
                code="model_not_found",
                param="model",
            )
        )
    return found


def _read_fields(message: type[M], form: Form, files: set[str]) -> M:
    """Reads a form's texts as a message; numbers and truth come as text there."""
    strange = next((name for name in form.files if name not in files), None)
    if strange is not None:
        raise refuse(f"Unknown parameter: {strange!r}. Leave it out.", strange, "unknown_parameter")
    values: dict[str, object] = {name: text for name, text in form.texts.items() if text != ""}
    if "layers" in values:
        values["layers"] = parsed(str(values["layers"]), "layers")
    missing = next((name for name in files if name in values), None)
    if missing is not None:
        raise refuse(f"Expected {missing} as a file, found text. Send a file.", missing, "invalid_type")
    try:
        return message.model_validate(values)
    except ValidationError as error:
        raise ApiError(failure_of_validation(error)) from None


def make_job(
    server: ServerState, caller: str, kind: Kind, fields: CommonFields, options: dict[str, object],
    images: dict[str, bytes], encoding: Encoding, deadline: float | None,
) -> ImageJob:  # fmt: skip
    """Makes the job of a request whose fields were checked.

    Raises:
        ApiError: the model does not exist.
        FieldError: an option does not fit.
    """
    model = resolve_model(server, fields.model)
    given = {name: value for name, value in options.items() if value is not None}
    # without a token all callers of a machine would be one; a token speaks for one, whatever it says
    is_named = fields.user and not caller.startswith("token:")
    return ImageJob(
        kind=kind, fields=fields, request=SceneRequest.of(given).seeded(), encoding=encoding, model=model,
        client=f"{caller} {fields.user}"[:200] if is_named else caller, images=images, deadline_s=deadline,
    )  # fmt: skip


async def respond(server: ServerState, http: Request, asked: ImageJob) -> Response:
    """Runs a job and answers it, at once or as a stream."""
    if asked.fields.stream:
        events = _stream(server, http, asked)
        return EventSourceResponse(events, ping=KEEP_ALIVE_S, headers={"X-Accel-Buffering": "no"})
    job = await _as_ordered(server, http, asked, await run_job(server, http, asked.new()))
    answer = await asyncio.to_thread(make_answer, server, http, asked, job)
    if asked.fields.response_format != "url":
        await asyncio.to_thread(server.store.remove, job.id)
    return JSONResponse(answer.model_dump(exclude_none=True))


async def _as_ordered(server: ServerState, http: Request, asked: ImageJob, job: Job) -> Job:
    """Returns a job whose images are transparent where they had to be: this one, or one made again.

    Raises:
        ApiError: neither is, and a success would lie.
    """
    if is_opaque_against_order(asked, job):
        again = asked.from_clear_start()
        job = await run_job(server, http, again.new()) if again is not None else job
        if is_opaque_against_order(asked, job):
            raise ApiError(OPAQUE, NO_RETRY)
    return job


async def _stream(server: ServerState, http: Request, asked: ImageJob) -> AsyncGenerator[ServerSentEvent]:
    """Yields unfinished images, then every result; an error is an event, since the status is sent by then."""
    try:
        job_id = await server.accept(asked.new())
        shown = 0
        job: Job | None = None
        async for job in follow_job(server, http, job_id):
            for index in range(shown, job.shown):
                yield await _partial(server, asked, job, index)
            shown = job.shown
        if job is None or job.state not in FINAL:
            return
        job = await _as_ordered(server, http, asked, finished(job))
        for result in job.results:
            path = server.store.files(job.id) / str(result["file"])
            image = await asyncio.to_thread(encode_file, path, asked.encoding)
            usage = await asyncio.to_thread(usage_of, server, job, [image])
            yield _event({**event_of(asked, "completed", image), "usage": usage.model_dump()})
        await asyncio.to_thread(server.store.remove, job.id)
    except ApiError as error:
        yield ServerSentEvent(event="error", data=json.dumps(body_of(error.failure)))


async def _partial(server: ServerState, asked: ImageJob, job: Job, index: int) -> ServerSentEvent:
    path = server.store.files(job.id) / f"preview-{index}.png"
    image = await asyncio.to_thread(encode_file, path, asked.encoding)
    return _event({**event_of(asked, "partial_image", image), "partial_image_index": index})


def _event(values: dict[str, object]) -> ServerSentEvent:
    return ServerSentEvent(event=str(values["type"]), data=json.dumps(values))
