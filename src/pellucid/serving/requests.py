"""What a job is asked to make: one message a task, whose fields are the keywords of the pipeline's method.

Names and defaults come from `TransparentPipeline`'s own signatures, so that Python, the shell and the server
cannot drift apart; what only a server must bound stands in `BOUNDS`.
"""

import hashlib
import inspect
import json
import secrets
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Optional, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from pellucid.errors import InputError
from pellucid.pipelines.arguments import MAX_SEED, MAX_STEPS
from pellucid.pipelines.pipeline import TransparentPipeline

MAX_PROMPT = 32_000
"""Characters, as in the contract of the images API that others keep."""
MAX_COUNT = 10
USUAL_STEPS = 20
"""What a request without steps is counted as, before its model is known."""
SERVERS_OWN = {"self", "pipeline_inputs", "batch_size"}
"""Keywords that a caller has no say in: objects of this process, and how the device is used."""


@dataclass(frozen=True, slots=True)
class Task:
    """A method of the pipeline that makes scenes, and the images that it is given."""

    name: str
    images: tuple[str, ...] = ()
    """Arguments that are images and must be there."""
    optional_images: tuple[str, ...] = ()
    previews: bool = False
    """Whether unfinished images can be decoded on the way: tasks of one layer."""

    @property
    def all_images(self) -> tuple[str, ...]:
        """Returns the arguments that are images."""
        return *self.images, *self.optional_images


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("generate", optional_images=("control",), previews=True),
        Task("vary", images=("image",), previews=True),
        Task("inpaint", images=("image", "mask"), previews=True),
        Task("upscale", images=("image",)),
        Task("joint"),
        Task("foreground_on", images=("background",)),
        Task("background_for", images=("foreground",)),
        Task("add_layer", images=("scene",)),
        Task("split", images=("composite",), optional_images=("background", "foreground")),
    )
}
BOUNDS: Mapping[str, Any] = {
    "count": Field(ge=1, le=MAX_COUNT, description="Images of one prompt; image i takes seed + i."),
    "seed": Field(ge=0, le=MAX_SEED, description="None draws one, which the result says."),
    "num_inference_steps": Field(ge=1, le=MAX_STEPS),
    "guidance_scale": Field(ge=0, le=100),
    "strength": Field(ge=0, le=1),
    "hires_strength": Field(ge=0, le=1),
    "scale": Field(gt=0, le=16),
    "height": Field(ge=1, le=16384, description="Pixels; any size."),
    "width": Field(ge=1, le=16384, description="Pixels; any size."),
    "adapter_end": Field(ge=0, le=1),
    "adapter_strength": Field(ge=0, le=2),
    "passes": Field(json_schema_extra={"enum": [1, 2, 4, 8]}),
    "fit": Field(pattern="^(crop|fit|stretch)$"),
    "control_kind": Field(pattern="^(both|silhouette|edges)$"),
    "name": Field(max_length=200),
}
QUALITIES: Mapping[str, float] = {"low": 0.5, "medium": 1.0, "high": 2.0}
"""Steps as a multiple of the model's own number."""
TEXTS = {"prompt", "negative_prompt", "foreground", "background", "composite"}


class Message(BaseModel):
    """Base of all requests: a field that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


def _one(hint: object) -> object:
    """Returns an annotation without its lists: a request is of one prompt and one seed."""
    if get_origin(hint) in (Union, types.UnionType):
        kept = tuple(each for each in get_args(hint) if get_origin(each) is not Sequence)
        return Union[kept]  # noqa: UP007 - made from values
    return hint


def fields_of(task: Task) -> dict[str, Any]:
    """Returns the fields of a task's message, by name: (annotation, default)."""
    method = inspect.unwrap(cast("Callable[..., object]", getattr(TransparentPipeline, task.name)))
    hints = inspect.get_annotations(method, eval_str=True)
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(method).parameters.items():
        if name in SERVERS_OWN or name in task.all_images:
            continue
        hint: Any = _one(hints[name])
        if name in TEXTS:
            limited: Any = Annotated[str, Field(max_length=MAX_PROMPT)]
            hint = Optional[limited] if type(None) in get_args(hint) else limited  # noqa: UP045 - of a value
        elif name in BOUNDS:
            hint = Annotated[hint, BOUNDS[name]]
        required = parameter.default is inspect.Parameter.empty
        found[name] = (hint, ... if required else parameter.default)
    return found


def _message(task: Task) -> type[Message]:
    fields = fields_of(task)
    own: dict[str, Any] = {"task": (Literal[task.name], ...)}  # pyright: ignore - of a value
    own["model"] = (Optional[Annotated[str, Field(max_length=400)]], None)  # noqa: UP045 - of a value
    own["quality"] = (Literal["low", "medium", "high"], "medium")
    name = f"{task.name.title().replace('_', '')}Request"
    return create_model(name, __base__=Message, **own, **fields)


MESSAGES: Mapping[str, type[Message]] = {name: _message(task) for name, task in TASKS.items()}
"""The message of each task."""
AnyRequest: Any = Annotated[Union[tuple(MESSAGES.values())], Field(discriminator="task")]  # noqa: UP007
REQUEST: TypeAdapter[Message] = TypeAdapter(AnyRequest)
"""Reads the request of any task."""


@dataclass(frozen=True, slots=True)
class SceneRequest:
    """A request that was checked: the task, the model and the method's keywords."""

    task: Task
    model: str | None
    options: Mapping[str, Any]
    """Keywords that were given, and no others."""
    quality: str = "medium"
    """Where no steps are given: a key of `QUALITIES`."""

    @classmethod
    def of(cls, values: object) -> "SceneRequest":
        """Checks a request of plain values, as JSON has them.

        Raises:
            InputError: a task, a field or a value that does not fit; it names the field.
        """
        try:
            message = REQUEST.validate_python(_without_tuples(values))
        except ValidationError as error:
            raise _explained(error) from None
        given = message.model_dump(exclude_unset=True)
        task, model = TASKS[given.pop("task")], given.pop("model", None)
        return cls(task, model, given, given.pop("quality", "medium"))

    def seeded(self) -> "SceneRequest":
        """Returns the same with a seed, drawn where none was given, so that it can be made again."""
        seed = self.options.get("seed")
        drawn = secrets.randbelow(2**32) if seed is None else seed
        return replace(self, options={**self.options, "seed": drawn})

    def steps(self, usual: int) -> int | None:
        """Returns the steps for a model that usually takes so many; None leaves them to it."""
        given = self.options.get("num_inference_steps")
        if given is not None or self.quality == "medium":
            return given
        return min(max(round(usual * QUALITIES[self.quality]), 1), MAX_STEPS)

    @property
    def count(self) -> int:
        """Returns how many images a prompt makes."""
        return int(self.options.get("count") or 1)

    @property
    def work(self) -> float:
        """Returns what it costs, in images times steps."""
        return float(self.count * (self.options.get("num_inference_steps") or USUAL_STEPS))

    @property
    def batch_key(self) -> str:
        """Returns what requests must have in common to be sampled together; "" for none but itself."""
        alone = self.task.name != "generate" or self.options.get("hires_strength") is not None
        if alone or self.options.get("fix_background"):
            return ""
        own = ("prompt", "negative_prompt", "seed", "count")
        shared = {name: value for name, value in self.options.items() if name not in own}
        text = json.dumps([self.task.name, self.model, self.quality, shared], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, of which `of` makes the request again."""
        values = {"task": self.task.name, "model": self.model, "quality": self.quality, **self.options}
        return cast("dict[str, Any]", json.loads(json.dumps(values)))


class FieldError(InputError):
    """A field of a request that does not fit."""

    def __init__(self, message: str, field: str | None, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.field, self.code = field, code


CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "union_tag_not_found": "missing_required_parameter",
}
"""Kinds of pydantic's errors that programs tell apart, by the names that the images API has for them."""


def _explained(error: ValidationError) -> FieldError:
    first = error.errors(include_url=False, include_input=True, include_context=False)[0]
    # the first place is the task, by which pydantic chose the message
    names = [str(part) for part in first["loc"] if part not in MESSAGES]
    field = ".".join(names) or ("task" if first["type"].startswith("union_tag") else None)
    return FieldError(
        sentence(field, first["type"], first["msg"], first["input"]), field, code_of(first["type"])
    )


def code_of(kind: str) -> str:
    """Returns the code of an error of pydantic's."""
    return CODES.get(kind, "invalid_type" if kind.endswith(("_type", "_parsing")) else "invalid_value")


def sentence(field: str | None, kind: str, message: str, found: object) -> str:
    """Says what is wrong with a field, in two sentences."""
    if kind == "extra_forbidden":
        return f"Unknown parameter: {field!r}. Leave it out."
    if kind in ("missing", "union_tag_not_found"):
        return f"Expected the parameter {field!r}, found none. Add it."
    reason = message.removeprefix("Value error, ").rstrip(".")
    if kind == "union_tag_invalid":
        return f"{reason}. Correct it."
    place = "another request" if field is None else f"another value of {field!r}"
    return f"Expected {place}, found {found!r:.60}: {reason}. Correct it."


def _without_tuples(values: object) -> object:
    """Turns the list that JSON has for a box into the tuple that the method takes."""
    if not isinstance(values, Mapping):
        return values
    given = dict(cast("Mapping[str, Any]", values))
    if isinstance(given.get("box"), list):
        given["box"] = tuple(given["box"])
    return given
