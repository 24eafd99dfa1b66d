"""Why a job made nothing: what callers are told, with the status and names of the images API."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pellucid.errors import FileError, InputError, PellucidError, WeightsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as callers read it."""

    message: str
    status: int = 400
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, of which `of_json` makes it again."""
        return asdict(self)

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> "Failure":
        """Reads what `to_json` made."""
        return cls(**values)

    @classmethod
    def of_error(cls, error: BaseException) -> "Failure":
        """Says an exception of a job in a caller's words: theirs where they can mend it, else ours.

        What a caller cannot mend tells nothing of the server: its log has the rest.
        """
        if isinstance(error, InputError):
            param = getattr(error, "field", None)
            code = getattr(error, "code", "invalid_value")
            return cls(message=str(error), type="image_generation_user_error", code=code, param=param)
        if isinstance(error, FileError):
            return cls(message=str(error), code="invalid_image")
        if isinstance(error, WeightsError):
            return cls(
                message="The model cannot be loaded. Ask who runs this server.",
                status=500, type="server_error", code="model_unavailable",
            )  # fmt: skip
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return OUT_OF_MEMORY
        if isinstance(error, PellucidError):
            return cls(message=str(error))
        return INTERNAL


SERVER = "server_error"
LATE = Failure(
    message="Expected a result within the deadline, found none. Try again, or allow more time.",
    status=503, type=SERVER, code="deadline_exceeded",
)  # fmt: skip
GAVE_UP = Failure(
    message="The server ended ten times while it made this. It will not try again.",
    status=500, type=SERVER, code="gave_up",
)  # fmt: skip
INTERNAL = Failure(
    message="Something went wrong on the server, and its log says what. Tell who runs it.",
    status=500, type=SERVER, code="internal_error",
)  # fmt: skip
OUT_OF_MEMORY = Failure(
    message="The image does not fit into the server's memory. Ask for a smaller one.",
    status=500, type=SERVER, code="out_of_memory",
)  # fmt: skip
