"""From a message of the images API to a job of the store, and from its results to an answer."""

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from starlette.requests import Request

from pellucid.apps.server.image_messages import (
    QUALITIES,
    CommonFields,
    ImageAnswer,
    ImagesResponse,
    LayerAnswer,
    Quality,
    TokenDetails,
    Usage,
)
from pellucid.apps.server.state import ServerState
from pellucid.files.images import encode_image
from pellucid.scene.scene import Scene
from pellucid.serving.encoding import EncodedImage, Encoding, encode_file
from pellucid.serving.failures import Failure
from pellucid.serving.requests import SceneRequest
from pellucid.serving.store import NewJob
from pellucid.serving.tables import Job

TOKEN_PX = 16
OPAQUE = Failure(
    message="Expected a transparent background, but the model made an opaque image, twice. "
    "Name no background in the prompt, or ask for background auto.",
    status=422, type="image_generation_user_error", code="background_not_transparent", param="background",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJob:
    """One request of the images API, checked."""

    kind: Literal["image_generation", "image_edit"]
    fields: CommonFields
    request: SceneRequest
    encoding: Encoding
    model: str
    client: str
    images: Mapping[str, bytes]
    deadline_s: float | None = None

    def new(self) -> NewJob:
        """Returns the job for the store."""
        return NewJob(
            client=self.client,
            model=self.model,
            request=self.request,
            work=self.request.work,
            images=self.images,
            previews=self.fields.partial_images or 0,
            deadline_s=self.deadline_s,
        )

    def from_clear_start(self) -> "ImageJob | None":
        """Returns the same job with its background checked and made again; None where no task can that."""
        if self.request.task.name != "generate" or self.request.options.get("fix_background"):
            return None
        options = {**self.request.options, "fix_background": True}
        return replace(self, request=replace(self.request, options=options))


def is_opaque_against_order(asked: ImageJob, job: Job) -> bool:
    """Tells whether an image that had to be transparent is not."""
    opaque = any(result["background"] == "opaque" for result in job.results)
    return asked.fields.background == "transparent" and opaque


def make_answer(server: ServerState, http: Request, asked: ImageJob, job: Job) -> ImagesResponse:
    """Encodes the results of a job as they were asked for, and says what was measured. Takes a moment."""
    folder = server.store.files(job.id)
    images = [encode_file(folder / str(result["file"]), asked.encoding) for result in job.results]
    data = [_image_answer(server, http, asked, job, index, image) for index, image in enumerate(images)]
    return ImagesResponse(
        created=int(job.accepted_at),
        data=data,
        background="opaque" if all(image.background == "opaque" for image in images) else "transparent",
        output_format=asked.encoding.format,
        quality=quality_of(asked.fields),
        size=f"{images[0].width}x{images[0].height}",
        usage=usage_of(server, job, images),
        model=job.model,
    )


def quality_of(fields: CommonFields) -> Quality:
    """Returns the quality that was meant."""
    return QUALITIES.get(fields.quality or "auto") or fields.quality  # pyright: ignore - the rest are its own


def _image_answer(
    server: ServerState, http: Request, asked: ImageJob, job: Job, index: int, image: EncodedImage
) -> ImageAnswer:
    result = job.results[index]
    answer = ImageAnswer(seed=int(result["seed"]), background=image.background)
    if asked.fields.response_format == "url":
        base = (server.settings.public_url or str(http.base_url)).rstrip("/")
        name = f"image-{index}.{asked.encoding.format}"
        (server.store.files(job.id) / name).write_bytes(image.content)
        answer.url = f"{base}/v1/files/{job.id}/{name}"
    else:
        answer.b64_json = base64.b64encode(image.content).decode()
    if asked.fields.layers is not None:
        scene = Scene.open(server.store.files(job.id) / str(result["file"]))
        answer.layers = [_layer_answer(scene, z) for z in range(len(scene.layers))]
        if (ending := asked.fields.layers.format) is not None:
            path = server.store.files(job.id) / f"document-{index}.{ending}"
            answer.document = base64.b64encode(scene.save(path).read_bytes()).decode()
    return answer


def _layer_answer(scene: Scene, z: int) -> LayerAnswer:
    layer = scene.layers[z]
    content = encode_image(layer.image, metadata=layer.provenance)
    return LayerAnswer(
        name=layer.name,
        b64_json=base64.b64encode(content).decode(),
        box=[*layer.offset, *layer.image.shape[:2]],
        z=z,
        blend_mode=layer.blend_mode,
        opacity=layer.opacity,
    )


def usage_of(server: ServerState, job: Job, images: list[EncodedImage]) -> Usage:
    """Counts what came and went."""
    text = int(job.results[0]["text_tokens"])
    given = 0
    for name in job.images:
        if name != "mask":
            scene = Scene.open(server.store.image(job.id, name))
            given += _squares(scene.height, scene.width)
    made = sum(_squares(image.height, image.width) for image in images)
    return Usage(
        input_tokens=text + given,
        input_tokens_details=TokenDetails(text_tokens=text, image_tokens=given),
        output_tokens=made,
        total_tokens=text + given + made,
    )


def _squares(height: int, width: int) -> int:
    return -(-height // TOKEN_PX) * -(-width // TOKEN_PX)


def event_of(
    asked: ImageJob, stage: Literal["partial_image", "completed"], image: EncodedImage
) -> dict[str, object]:
    """Returns what an event of a stream says in either stage."""
    return {
        "type": f"{asked.kind}.{stage}",
        "b64_json": base64.b64encode(image.content).decode(),
        "background": image.background,
        "created_at": int(time.time()),
        "output_format": asked.encoding.format,
        "quality": quality_of(asked.fields),
        "size": f"{image.width}x{image.height}",
    }
