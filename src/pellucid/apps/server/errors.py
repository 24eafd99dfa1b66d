"""Errors as the official clients of the images API read them."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from pellucid.errors import FileError, InputError
from pellucid.serving.failures import INTERNAL, SERVER, Failure
from pellucid.serving.requests import FieldError, code_of, sentence

NO_RETRY = {"x-should-retry": "false"}
"""The official clients try again after 409, 429 and 500 unless they are told not to."""


class ErrorObject(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorObject


class ApiError(Exception):
    """A failure that is answered, with headers of its own."""

    def __init__(self, failure: Failure, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(failure.message)
        self.failure, self.headers = failure, dict(headers or {})


def refuse(message: str, param: str | None, code: str = "invalid_value") -> ApiError:
    """Makes the error for a field that cannot be honoured."""
    return ApiError(Failure(message=message, code=code, param=param))


def not_found(message: str, param: str | None = None) -> ApiError:
    """Makes the error for what is not there, or not for this caller."""
    return ApiError(Failure(message=message, status=404, code="not_found", param=param))


def body_of(failure: Failure) -> dict[str, object]:
    """Returns the body of an answer that says what went wrong."""
    found = ErrorObject(message=failure.message, type=failure.type, param=failure.param, code=failure.code)
    return ErrorBody(error=found).model_dump()


def answer(failure: Failure, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Returns the answer that says what went wrong."""
    return JSONResponse(body_of(failure), status_code=failure.status, headers=dict(headers or {}))


def failure_of_validation(error: RequestValidationError | ValidationError) -> Failure:
    """Says which field does not fit, by the first of pydantic's errors."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return Failure(message="Expected JSON, found something else. Correct the body.", code="invalid_json")
    places = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    field = ".".join(places) or None
    text = sentence(field, first["type"], first["msg"], first.get("input"))
    return Failure(message=text, code=code_of(first["type"]), param=field)


CODES = {401: "invalid_api_key", 404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


def add_error_handlers(app: FastAPI) -> None:
    """Makes an application answer every error in the form of the images API."""

    @app.exception_handler(ApiError)
    def of_api(_: Request, error: ApiError) -> JSONResponse:
        return answer(error.failure, error.headers)

    @app.exception_handler(InputError)
    def of_input(_: Request, error: InputError) -> JSONResponse:
        if isinstance(error, FieldError):
            return answer(Failure(message=str(error), code=error.code, param=error.field))
        return answer(Failure(message=str(error), code="invalid_value"))

    @app.exception_handler(FileError)
    def of_file(_: Request, error: FileError) -> JSONResponse:
        return answer(Failure.of_error(error))

    @app.exception_handler(RequestValidationError)
    def of_validation(_: Request, error: RequestValidationError) -> JSONResponse:
        return answer(failure_of_validation(error))

    @app.exception_handler(HTTPException)
    def of_http(_: Request, error: HTTPException) -> JSONResponse:
        kind = "invalid_request_error" if error.status_code < 500 else SERVER
        code = CODES.get(error.status_code, "invalid_request")
        failure = Failure(message=str(error.detail), status=error.status_code, type=kind, code=code)
        return answer(failure, error.headers)

    @app.exception_handler(Exception)
    def of_anything(_: Request, error: Exception) -> JSONResponse:
        # the server's own log has it; a caller is told nothing of its insides
        return answer(INTERNAL, NO_RETRY)
