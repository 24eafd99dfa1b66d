"""The same application on Ray Serve: two replicas, one of which dies, and no accepted job is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from pellucid.serving.store import open_job_store

pytest.importorskip("ray.serve")
pytestmark = pytest.mark.slow
ASK = {"task": "generate", "prompt": "a cat", "num_inference_steps": 60}


def test_replicas_share_a_queue_and_one_that_dies_loses_nothing(folder: Path, model: str) -> None:
    command = [
        sys.executable, "-m", "pellucid", "serve", "--engine", "ray", "--replicas", "2", "--max-batch", "1",
        "--state", str(folder), "--port", "0", "--model", f"tiny={model}",
    ]  # fmt: skip
    log = (folder.with_name("log")).open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        http = httpx2.Client(base_url=process.stdout.readline().strip(), timeout=120)
        ids = [
            http.post("/v1/scenes", json={**ASK, "seed": seed}).raise_for_status().json()["id"]
            for seed in range(16)
        ]
        store = open_job_store(folder)
        workers: set[str] = set()
        ends = time.monotonic() + 120
        while len(workers) < 2 and time.monotonic() < ends:
            workers |= {job.worker for job in store.get_all(ids) if job.state in ("running", "done")}
            time.sleep(0.1)
        assert len(workers) == 2
        busy = next(job.worker for job in store.get_all(ids) if job.state == "running")
        os.kill(int(busy.rpartition("-")[2]), signal.SIGKILL)
        while store.counts().get("done", 0) < len(ids) and time.monotonic() < ends + 120:
            time.sleep(0.2)
        assert store.counts() == {"done": len(ids)}
        store.close()
        # the images API answers as it does in one process, streams included
        with http.stream(
            "POST", "/v1/images/generations",
            json={"prompt": "a cat", "steps": 20, "stream": True, "partial_images": 1},
        ) as stream:  # fmt: skip
            events = [line for line in stream.iter_lines() if line.startswith("event: ")]
        assert events == ["event: image_generation.partial_image", "event: image_generation.completed"]
        http.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
        log.close()
    assert process.returncode == 0
