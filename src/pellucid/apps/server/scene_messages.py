"""What the native API answers."""

from typing import Literal

from pydantic import BaseModel, JsonValue

from pellucid.apps.server.errors import ErrorObject
from pellucid.serving.requests import SceneRequest
from pellucid.serving.results import MEDIA_TYPES, Background
from pellucid.serving.tables import Job, State


class ResultAnswer(BaseModel):
    """One scene that was made."""

    width: int
    height: int
    background: Background
    """Measured."""
    prompt: str
    seed: int
    layers: list[str]
    """Names, bottom first."""
    stored: Literal["png", "ora"]
    """The format that holds all of it: .ora where there are layers."""
    files: dict[str, str]
    """Paths on this server, by file format."""


class JobAnswer(BaseModel):
    """How a job stands."""

    id: str
    object: Literal["job"] = "job"
    state: State
    task: str
    model: str
    request: dict[str, JsonValue]
    """What was asked for, seed included."""
    accepted_at: float
    """Seconds since 1970, as all times here."""
    started_at: float | None = None
    finished_at: float | None = None
    deadline_at: float
    expires_at: float | None = None
    step: int
    steps: int
    """Of the pass that runs; a task of several models has several."""
    previews: list[str]
    """Paths of unfinished images, the latest last."""
    results: list[ResultAnswer]
    error: ErrorObject | None = None

    @classmethod
    def of(cls, job: Job) -> "JobAnswer":
        """Describes a job of the store."""
        base = f"/v1/scenes/{job.id}"
        results = [
            ResultAnswer(
                **{name: value for name, value in result.items() if name in ResultAnswer.model_fields},
                stored=str(result["file"]).rpartition(".")[2],  # pyright: ignore[reportArgumentType]
                files={ending: f"{base}/results/{index}.{ending}" for ending in MEDIA_TYPES},
            )
            for index, result in enumerate(job.results)
        ]
        return cls(
            id=job.id,
            state=job.state,  # pyright: ignore[reportArgumentType] - the column holds no other words
            task=SceneRequest.of(job.request).task.name,
            model=job.model,
            request=job.request,
            accepted_at=job.accepted_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            deadline_at=job.deadline_at,
            expires_at=job.expires_at,
            step=job.step,
            steps=job.steps,
            previews=[f"{base}/previews/{index}.png" for index in range(job.shown)],
            results=results,
            error=ErrorObject.model_validate(job.error) if job.error else None,
        )


class JobList(BaseModel):
    """A caller's jobs, the newest first."""

    object: Literal["list"] = "list"
    data: list[JobAnswer]
    next: int | None = None
    """Value of `before` for the jobs before these; None at the end."""
