"""The worker of one device: takes jobs from the store, samples them in batches, writes what they made."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from pellucid.files.images import read_rgba, write_image
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.types import RGBA8
from pellucid.scene.scene import Scene
from pellucid.serving.failures import LATE, Failure
from pellucid.serving.measures import Measures
from pellucid.serving.model_pool import ModelPool
from pellucid.serving.previews import (
    CleanEstimate,
    PreviewFrame,
    decode_preview,
    preview_frame,
    preview_steps,
)
from pellucid.serving.requests import TEXTS, SceneRequest
from pellucid.serving.results import write_result
from pellucid.serving.store import JobStore
from pellucid.serving.tables import Job

log = logging.getLogger(__name__)
BEAT_S = 5.0
IDLE_S = 1.0
"""How often an idle worker looks by itself, for what another process accepted."""
REPORT_S = 0.2
"""How often progress is written down."""


class Stopped(Exception):
    """Nobody waits for what is being sampled."""


@dataclass(kw_only=True)
class Worker:
    """Runs jobs on one device until it is stopped."""

    store: JobStore
    pool: ModelPool
    name: str
    max_images: int = 4
    """Sampled together at most."""
    max_pixels: int = 16_000_000
    nudge: Callable[[], None] = lambda: None
    """Called when a job has changed, from the worker's thread."""
    measures: Measures = field(default_factory=Measures)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def start(self) -> None:
        """Starts the worker's thread, and one that gives signs of life."""
        for target in (self._work, self._beat):
            thread = threading.Thread(target=target, name=f"{self.name}-{target.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """Says that there is a new job."""
        self._wake.set()

    @property
    def alive(self) -> bool:
        """Tells whether the worker takes jobs."""
        return bool(self._threads) and self._threads[0].is_alive() and not self._stopping.is_set()

    def stop(self) -> None:
        """Finishes what runs, takes nothing more, and returns when that is done; the queue stays."""
        self._stopping.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            self.pool.get(self.pool.default)  # so that the first caller need not wait for it
        except Exception:
            log.exception("the model %s cannot be loaded", self.pool.default)
        while not self._stopping.is_set():
            try:
                jobs = self.store.claim(self.name, self.max_images)
                if jobs:
                    self.run(jobs)
                    continue
                self.store.sweep()
            except Exception:  # the store may be away for a while; a worker that ended would strand all
                log.exception("the worker goes on after an error of its store")
                time.sleep(IDLE_S)
            self._wake.wait(IDLE_S)
            self._wake.clear()

    def _beat(self) -> None:
        while not self._stopping.wait(BEAT_S):
            try:
                self.store.beat(self.name)
                self.store.recover(alone=False)
            except Exception:
                log.exception("no sign of life could be written")

    def run(self, jobs: Sequence[Job]) -> None:
        """Runs jobs of one batch, and ends each: done, failed or cancelled."""
        began = time.time()
        for job in jobs:
            self.measures.waited(began - job.accepted_at)
        self.measures.began_batch(sum(job.count for job in jobs))
        try:
            self._run_together(jobs)
        except Stopped:
            for job in jobs:
                self._fail(job, LATE)  # those that were cancelled are cancelled
        except Exception as error:  # noqa: BLE001 - whatever it is, the job ends and the worker goes on
            if len(jobs) == 1:
                self._fail(jobs[0], self._reason(error, jobs[0]))
                return
            for job in jobs:  # one of them may have spoilt it for all
                self.run([job])
        finally:
            self.nudge()

    def _reason(self, error: Exception, job: Job) -> Failure:
        failure = Failure.of_error(error)
        if failure.status >= 500:
            log.error("job %s failed", job.id, exc_info=error)
        return failure

    def _run_together(self, jobs: Sequence[Job]) -> None:
        pipeline = self.pool.get(jobs[0].model)
        requests = [SceneRequest.of(job.request) for job in jobs]
        images = {name: self._read(self.store.image(jobs[0].id, name)) for name in jobs[0].images}
        watch = StepWatch(self, jobs, requests, pipeline, images)
        scenes = make_scenes(pipeline, requests, images, self.max_images, watch)
        start = 0
        for job, request in zip(jobs, requests, strict=True):
            made = scenes[start : start + request.count]
            start += request.count
            folder = self.store.files(job.id)
            folder.mkdir(parents=True, exist_ok=True)
            tokens = count_tokens(pipeline, request)
            results = [write_result(scene, folder, i, tokens).to_json() for i, scene in enumerate(made)]
            if self.store.finish(job.id, self.name, results):
                self.measures.ended("done", time.time() - job.accepted_at)

    def _read(self, path: Path) -> RGBA8 | Scene:
        if path.name == "given-scene":
            return Scene.open(path, max_pixels=self.max_pixels)
        return read_rgba(path.read_bytes(), max_pixels=self.max_pixels)

    def _fail(self, job: Job, failure: Failure) -> None:
        if self.store.fail(job.id, self.name, failure):
            self.measures.ended("failed", time.time() - job.accepted_at)


def make_scenes(
    pipeline: TransparentPipeline,
    requests: Sequence[SceneRequest],
    images: Mapping[str, RGBA8 | Scene],
    max_images: int,
    watch: Callable[..., Mapping[str, Tensor]] | None = None,
) -> list[Scene]:
    """Makes the scenes of requests that have all but prompts and seeds in common, request by request."""
    first = requests[0]
    options = dict(first.options)
    if (steps := first.steps(pipeline.model.single.sampling.num_inference_steps)) is not None:
        options["num_inference_steps"] = steps
    if len(requests) > 1:
        rows = [(request, i) for request in requests for i in range(request.count)]
        options["prompt"] = [request.options["prompt"] for request, _ in rows]
        options["negative_prompt"] = [request.options.get("negative_prompt") or "" for request, _ in rows]
        options["seed"] = [request.options["seed"] + i for request, i in rows]
        options.pop("count", None)
        options["batch_size"] = len(rows)
    elif first.count > 1:
        options["batch_size"] = min(first.count, max_images)
    if watch is not None:
        options["pipeline_inputs"] = {"callback_on_step_end": watch}
    made: Scene | list[Scene] = getattr(pipeline, first.task.name)(**images, **options)
    return made if isinstance(made, list) else [made]


def count_tokens(pipeline: TransparentPipeline, request: SceneRequest) -> int:
    """Counts the tokens of a request's texts as the model's first tokenizer does; words where it has none."""
    texts = [text for name in TEXTS if isinstance(text := request.options.get(name), str)]
    tokenizer = getattr(pipeline.pipeline, "tokenizer", None)
    if tokenizer is None:
        return sum(len(text.split()) for text in texts)
    return sum(len(tokenizer.tokenize(text)) for text in texts)


class StepWatch:
    """A stock pipeline's `callback_on_step_end`: stops what nobody waits for, and tells how far it is."""

    only_looks = True
    """It changes nothing, so results need not name it among what they were made from."""

    def __init__(
        self,
        worker: Worker,
        jobs: Sequence[Job],
        requests: Sequence[SceneRequest],
        pipeline: TransparentPipeline,
        images: Mapping[str, Any],
    ) -> None:
        self.worker, self.jobs, self.pipeline = worker, jobs, pipeline
        self.ids = [job.id for job in jobs]
        self.estimate = CleanEstimate()
        self.last_step = time.monotonic()
        self.reported = 0.0
        shown = any(job.previews for job in jobs) and requests[0].task.previews
        self.frame: PreviewFrame | None = (
            preview_frame(pipeline.model, requests[0], images) if shown else None
        )
        self.rows: dict[str, int] = {}
        row = 0
        for job in jobs:
            self.rows[job.id] = row
            row += job.count

    def __call__(
        self,
        running: Any,  # noqa: ANN401 - a stock pipeline
        step: int,
        _: object,
        values: Mapping[str, Tensor],
    ) -> Mapping[str, Tensor]:
        """Looks between two steps; raises Stopped where all jobs of the batch were given up."""
        now = time.monotonic()
        self.worker.measures.stepped(now - self.last_step)
        self.last_step = now
        steps = len(running.scheduler.timesteps)
        if len(self.worker.store.stopped(self.ids)) == len(self.ids):
            raise Stopped
        if now - self.reported >= REPORT_S:
            self.reported = now
            self.worker.store.report(self.ids, step + 1, steps)
            self.worker.nudge()
        if self.frame is not None:
            self._show(running, step, steps, self.frame)
        return values

    def _show(self, running: Any, step: int, steps: int, frame: PreviewFrame) -> None:  # noqa: ANN401
        if self.estimate.latents is not None:
            for job in self.jobs:
                places = preview_steps(job.previews, steps)
                if step in places:
                    latents = self.estimate.latents
                    image = decode_preview(self.pipeline.model, latents, self.rows[job.id], frame)
                    folder = self.worker.store.files(job.id)
                    folder.mkdir(parents=True, exist_ok=True)
                    write_image(image, folder / f"preview-{places.index(step)}.png")
                    self.worker.store.show(job.id, places.index(step) + 1)
                    self.worker.nudge()
        self.estimate.listen(running.scheduler)
