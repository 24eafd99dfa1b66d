"""Images that come with a request: bounded, read one or two at a time, and checked before they wait."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import Depends
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from pellucid.apps.server.errors import ApiError, refuse
from pellucid.apps.server.state import ServerState
from pellucid.errors import FileError
from pellucid.files.images import encode_image, read_rgba
from pellucid.rgba.types import RGBA8
from pellucid.serving.failures import Failure

MAX_IMAGES = 16
MAX_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: texts by name, and files by name in the order in which they came."""

    texts: Mapping[str, str]
    files: Mapping[str, list[UploadFile]]


@asynccontextmanager
async def read_form(request: Request) -> AsyncGenerator[Form]:
    """Reads a multipart body, whose large files lie on the disk until the block ends.

    Raises:
        ApiError: another kind of body, a damaged one, or a field that comes twice.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(
            Failure(
                message="Expected multipart/form-data, since images come with it. Send a form.",
                status=415,
                code="unsupported_media_type",
            )
        )
    # a damaged form is Starlette's own HTTPException, which is answered like all
    async with request.form(max_files=MAX_IMAGES + 4, max_fields=MAX_FIELDS) as found:
        yield _sorted_parts(found)


def _sorted_parts(found: FormData) -> Form:
    texts: dict[str, str] = {}
    files: dict[str, list[UploadFile]] = {}
    for name, value in found.multi_items():
        plain = name.removesuffix("[]")
        if isinstance(value, UploadFile):
            files.setdefault(plain, []).append(value)
        elif plain in texts:
            raise refuse(f"Expected {plain} once, found it twice. Send it once.", plain)
        else:
            texts[plain] = value
    return Form(texts, files)


async def _of_request(request: Request) -> AsyncGenerator[Form]:
    async with read_form(request) as form:
        yield form


GivenForm = Annotated[Form, Depends(_of_request)]
"""The form of a request, until it is answered."""


def parsed(text: str, field: str) -> object:
    """Reads a form's field that holds JSON.

    Raises:
        ApiError: it holds something else.
    """
    try:
        return json.loads(text)
    except ValueError:
        raise refuse(
            f"Expected JSON in {field}, found something else. Correct it.", field, "invalid_json"
        ) from None


async def content_of(server: ServerState, file: UploadFile, field: str) -> bytes:
    """Reads an image's content, and decodes it once, so that what is damaged is refused at once.

    Raises:
        ApiError: no image, or one that is larger than allowed.
    """
    async with server.uploads:
        content = await file.read()
        await asyncio.to_thread(decoded, content, field, server.settings.max_pixels)
    return content


def decoded(content: bytes, field: str, max_pixels: int) -> RGBA8:
    """Decodes an image that came with a request.

    Raises:
        ApiError: it cannot be decoded.
    """
    try:
        return read_rgba(content, max_pixels=max_pixels)
    except FileError as error:
        text = str(error).replace("file content", field)
        raise ApiError(Failure(message=text, code="invalid_image", param=field)) from None


def mask_of_alpha(content: bytes, image: bytes, max_pixels: int) -> bytes:
    """Turns a mask whose alpha of 0 means "edit here", whatever its colour, into one that is white there.

    Raises:
        ApiError: another size than the image's, or nothing to edit.
    """
    mask, rgba = decoded(content, "mask", max_pixels), decoded(image, "image", max_pixels)
    if mask.shape[:2] != rgba.shape[:2]:
        raise refuse(
            f"Expected a mask as large as the image, {rgba.shape[1]}x{rgba.shape[0]}, found "
            f"{mask.shape[1]}x{mask.shape[0]}. Make it as large.",
            "mask",
        )
    if bool((mask[..., 3] == 255).all()):
        raise refuse(
            "Expected a mask with transparent places, which are edited, found an opaque one. "
            "Erase what is to be edited.",
            "mask",
        )
    white = np.full_like(mask, 255)
    white[..., :3] = 255 - mask[..., 3:]
    return encode_image(white)
