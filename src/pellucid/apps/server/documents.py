"""What FastAPI cannot find out by itself for the OpenAPI document: forms that are read by hand."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from pellucid.apps.server.errors import ErrorBody
from pellucid.apps.server.uploads import MAX_IMAGES

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": text}
    for status, text in (
        (400, "A field cannot be honoured; the error names it."),
        (401, "A token is needed."),
        (404, "No such model or job."),
        (405, "Another method."),
        (409, "The job was cancelled, or is not done."),
        (410, "The job is no longer known."),
        (413, "The body is too large."),
        (415, "Another kind of body."),
        (421, "Not served under this name."),
        (422, "The image came out opaque and had to be transparent."),
        (429, "Too much of this caller in the queue; Retry-After says when."),
        (500, "The server could not make it."),
        (503, "The queue is full or the server is being stopped; Retry-After says when."),
    )
}


def form_body(message: type[BaseModel], files: Mapping[str, bool]) -> dict[str, Any]:
    """Describes a multipart body: a message's fields, and files by name, needed or not."""
    schema = message.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    properties = {name: _of_form(field) for name, field in schema["properties"].items()}
    for name in files:
        one = {"type": "string", "format": "binary"}
        many = {"type": "array", "items": one, "maxItems": MAX_IMAGES, "minItems": 1}
        properties[name] = many if name == "image" else one
    needed = [*schema.get("required", []), *(name for name, is_needed in files.items() if is_needed)]
    described = {
        "type": "object", "properties": properties, "required": needed, "additionalProperties": False,
    }  # fmt: skip
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": described}}}}


def _of_form(field: dict[str, Any]) -> dict[str, Any]:
    """Returns a field without null, which a form cannot say, and an object as the JSON text that it is."""
    options = [each for each in field.get("anyOf", [field]) if each.get("type") != "null"]
    if any("$ref" in each for each in options):
        return {"type": "string", "contentMediaType": "application/json"}
    described = options[0] if len(options) == 1 else {"anyOf": options}
    return {**described, **({"description": field["description"]} if "description" in field else {})}
