"""A server that is killed, stopped, or started twice: no accepted job is lost, none is made twice."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import httpx2
from click.testing import CliRunner

from pellucid.apps.cli import cli
from pellucid.errors import InputError
from pellucid.serving.store import open_job_store

ASK = {"task": "generate", "prompt": "a cat", "num_inference_steps": 30}


class Program:
    """`pellucid serve` as a process of its own."""

    def __init__(self, folder: Path, model: str, *options: str) -> None:
        command = [sys.executable, "-m", "pellucid", "serve", "--state", str(folder), "--port", "0"]
        command += ["--model", f"tiny={model}", "--json", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.log = folder.with_name("server.log")  # a pipe that nobody reads would stop it
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            return
        self.http = httpx2.Client(base_url=json.loads(line)["address"], timeout=60)
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with contextlib.suppress(httpx2.TransportError):
                if self.http.get("/readyz").status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError("the server did not become ready")

    def end(self, how: int) -> str:
        """Sends a signal and returns what was written to stderr."""
        self.process.send_signal(how)
        self.process.communicate(timeout=120)
        self.http.close()
        return self.log.read_text()


@contextlib.contextmanager
def program(folder: Path, model: str, *options: str) -> Generator[Program]:
    found = Program(folder, model, *options)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.process.kill()
        found.process.communicate()
        if hasattr(found, "http"):
            found.http.close()


def states_of(server: Program, ids: list[str]) -> list[str]:
    return [server.http.get(f"/v1/scenes/{job_id}").json()["state"] for job_id in ids]


def test_jobs_survive_being_killed_and_end_once(folder: Path, model: str) -> None:
    with program(folder, model, "--max-batch", "1") as server:
        ids = [server.http.post("/v1/scenes", json={**ASK, "seed": i}).json()["id"] for i in range(8)]
        ends = time.monotonic() + 60
        while "running" not in states_of(server, ids) and time.monotonic() < ends:
            time.sleep(0.01)
        server.end(signal.SIGKILL)
    with program(folder, model, "--max-batch", "1") as server:
        second = Program(folder, model)  # a folder has one server
        second.process.communicate(timeout=60)
        assert second.process.returncode == 1
        text = second.log.read_text()
        assert text.startswith("pellucid: Expected")
        assert "to be free" in text
        ends = time.monotonic() + 120
        while set(states_of(server, ids)) != {"done"} and time.monotonic() < ends:
            time.sleep(0.2)
        for job_id in ids:
            job = server.http.get(f"/v1/scenes/{job_id}").json()
            assert job["state"] == "done"
            assert len(job["results"]) == 1
            assert server.http.get(job["results"][0]["files"]["png"]).status_code == 200
    store = open_job_store(folder)
    assert store.counts() == {"done": 8}
    store.close()


WAITING = """
import sys, httpx2
answer = httpx2.post(sys.argv[1] + "/v1/images/generations", json={"prompt": "a"}, timeout=60)
print(answer.status_code, answer.headers["retry-after"], answer.json()["error"]["code"])
"""


def test_a_server_that_is_stopped_finishes_what_runs_and_keeps_the_queue(folder: Path, model: str) -> None:
    with program(folder, model, "--max-batch", "1") as server:
        first = server.http.post("/v1/scenes", json={**ASK, "num_inference_steps": 400}).json()["id"]
        while states_of(server, [first]) == ["queued"]:
            time.sleep(0.01)
        others = [server.http.post("/v1/scenes", json=ASK).json()["id"] for _ in range(3)]
        # whoever waits for a job that will not be begun is told so
        base = str(server.http.base_url).rstrip("/")
        waiting = subprocess.Popen([sys.executable, "-c", WAITING, base], stdout=subprocess.PIPE, text=True)
        ends = time.monotonic() + 30
        while len(server.http.get("/v1/scenes").json()["data"]) < 5 and time.monotonic() < ends:
            time.sleep(0.05)
        text = server.end(signal.SIGTERM)
        assert waiting.communicate(timeout=60)[0].split() == ["503", "5", "server_stopping"]
        assert server.process.returncode == 0, text
        assert "Traceback" not in text
        for line in text.splitlines():
            if line.startswith("{"):
                json.loads(line)
    store = open_job_store(folder)
    states = {job.id: job.state for job in store.get_all([first, *others])}
    assert store.counts() == {"done": 1, "queued": 3, "cancelled": 1}
    store.close()
    assert states == {first: "done", **dict.fromkeys(others, "queued")}


def test_other_machines_need_tokens_before_they_are_served(folder: Path) -> None:
    words = ["--state", str(folder), "--host", "0.0.0.0", "--port", "0"]
    refused = CliRunner().invoke(cli, ["serve", *words])
    assert isinstance(refused.exception, InputError)
    assert "tokens new NAME" in str(refused.exception)
    made = CliRunner().invoke(cli, ["serve", "tokens", "new", "me", "--state", str(folder)])
    assert made.output.startswith("plc-")
    listed = CliRunner().invoke(cli, ["serve", "--state", str(folder), "tokens", "list", "--json"])
    assert [each["name"] for each in json.loads(listed.output)] == ["me"]
    assert CliRunner().invoke(cli, ["serve", "tokens", "revoke", "me", "--state", str(folder)]).exit_code == 0
    assert " revoked " in CliRunner().invoke(cli, ["serve", "tokens", "list", "--state", str(folder)]).output
    refused = CliRunner().invoke(cli, ["serve", *words])
    assert isinstance(refused.exception, InputError)
