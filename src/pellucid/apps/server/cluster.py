"""The same application on Ray Serve: one deployment answers, another of many replicas samples.

All of them share the store. A replica's worker takes jobs from it by itself, as the worker of a single
process does; the ingress also calls a replica for each job, by which Ray sees how busy replicas are, wakes
one at once, and adds or removes some. A replica that dies stops giving signs of life, and the
others take up its jobs.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any

from pellucid.apps.server.starting import ServeOptions
from pellucid.errors import missing_package
from pellucid.serving.store import JobStore, open_job_store
from pellucid.serving.tables import FINAL
from pellucid.serving.worker import Worker

MODEL, INGRESS, APP = "Model", "Ingress", "pellucid"
POLL_S = 0.1
"""How often it is looked what replicas have done."""
ONGOING = 2
"""Jobs a replica has in hand before another one is started."""
MANY = 1000


def _open(options: ServeOptions) -> JobStore:
    return open_job_store(options.folder, options.database, options.limits)


class Model:
    """A replica that samples: a worker of the store, on a device of its own."""

    def __init__(self, options: ServeOptions) -> None:
        from pellucid.apps.server.running import make_worker

        self.store = _open(options)
        self.worker: Worker = make_worker(options, self.store)
        self.worker.start()

    async def run(self, job_id: str) -> None:
        """Wakes the worker and waits until a job is over, whichever replica runs it."""
        self.worker.wake()
        while True:
            job = await asyncio.to_thread(self.store.get, job_id)
            if job is None or job.state in FINAL:
                return
            await asyncio.sleep(POLL_S)

    def check_health(self) -> None:
        """Lets Ray replace a replica whose worker has ended."""
        if not self.worker.alive:
            raise RuntimeError("the worker has ended")

    def __del__(self) -> None:
        # Ray calls this when it stops a replica: what runs is finished
        if hasattr(self, "worker"):
            self.worker.stop()


def build_app(options: ServeOptions) -> Any:  # noqa: ANN401 - FastAPI, imported in the replica alone
    """Makes the application of an ingress replica."""
    from ray import serve

    from pellucid.apps.server.app import create_app
    from pellucid.apps.server.running import make_state

    state = make_state(options, _open(options), poll_s=POLL_S)
    waiting: set[asyncio.Task[None]] = set()

    def wake(job_id: str) -> None:
        async def hand_over() -> None:
            with contextlib.suppress(Exception):  # whoever dies meanwhile, the store still has the job
                await serve.get_deployment_handle(MODEL, app_name=APP).run.remote(job_id)

        task = asyncio.get_running_loop().create_task(hand_over())
        waiting.add(task)
        task.add_done_callback(waiting.discard)

    state.wake = wake
    return create_app(state)


def serve_cluster(options: ServeOptions, announce: Callable[[str], None]) -> None:
    """Serves on Ray until SIGTERM or Ctrl-C; the queue is kept.

    Raises:
        InputError: Ray is not installed, or no GPU is there for a replica that needs one.
    """
    try:
        import ray
        from ray import serve
    except ImportError as error:
        raise missing_package("Ray", "--engine ray", "cluster") from error
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    # replicas of a cluster of our own import what this process can
    local = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}}
    ray.init(
        address=options.ray_address,
        runtime_env=None if options.ray_address else local,
        log_to_driver=False,
        configure_logging=False,
    )
    former = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        port = options.port or _free_port(options.host)
        serve.start(http_options={"host": options.host, "port": port})
        serve.run(_application(options), name=APP, route_prefix="/")
        announce(f"http://{options.host}:{port}")
        stopped.wait()
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
        serve.shutdown()
        ray.shutdown()


def _application(options: ServeOptions) -> Any:  # noqa: ANN401 - Ray's own kind
    from pellucid.pipelines.placement import choose_device

    serve: Any = import_module("ray.serve")  # its decorators have no types of their own

    least, most = options.replicas
    scaling: dict[str, object] = {"num_replicas": least}
    if most > least:
        scaling = {
            "autoscaling_config": {
                "min_replicas": least, "max_replicas": most, "target_ongoing_requests": ONGOING,
            }
        }  # fmt: skip
    on_gpu = choose_device(options.device).type == "cuda"
    model = serve.deployment(
        Model,
        name=MODEL,
        ray_actor_options={"num_cpus": 0.5, "num_gpus": 1 if on_gpu else 0},
        max_ongoing_requests=MANY,
        **scaling,
    )
    ingress = serve.deployment(
        serve.ingress(lambda: build_app(options))(_Ingress),
        name=INGRESS,
        ray_actor_options={"num_cpus": 0.5},
        max_ongoing_requests=MANY,
    )
    return ingress.bind(model.bind(options))


class _Ingress:
    """Is there for Ray, which wraps a class with the application."""

    def __init__(self, _: object) -> None:
        """Takes the replicas, so that they are deployed too."""


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
