"""How a server holds: crowds, long runs, large uploads, broken connections, kill -9, batches.

    python benchmarks/server.py [--only crowd,memory,uploads,hang-ups,kills,batches,fuzz,replicas]

Starts `pellucid serve` with the embedded model on this machine for each part, and writes
benchmarks/results/server.json. Linux alone, since memory is read from /proc.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import httpx2
import numpy as np

from pellucid.files.images import encode_image, read_rgba
from pellucid.serving.store import open_job_store

RESULTS = Path(__file__).parent / "results" / "server.json"
SMALL = {"size": "64x64", "steps": 1}
LARGEST = 4096
"""Side in pixels of the largest image that a server takes by default."""


class Server:
    """`pellucid serve` as a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.log = (folder / "log").open("a")
        command = [sys.executable, "-m", "pellucid", "serve", "--state", str(folder), "--port", "0", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        while httpx2.get(f"{self.url}/readyz", timeout=60).status_code != 200:
            time.sleep(0.1)

    def mib(self, what: str = "VmRSS") -> float:
        """Returns the memory in use, or with VmHWM the most there was, MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{what}:")[1].split()[0]) / 1024

    def end(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait()
        self.log.close()


@contextlib.contextmanager
def started(*options: str) -> Generator[Server]:
    """Starts a server with a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), *options)
        try:
            yield server
        finally:
            server.end()


def spread(seconds: list[float]) -> dict[str, float]:
    """Returns the median, the 95th percentile and the worst."""
    ordered = sorted(seconds)
    return {
        "p50_s": round(statistics.median(ordered), 2),
        "p95_s": round(ordered[int(len(ordered) * 0.95) - 1], 2),
        "worst_s": round(ordered[-1], 2),
    }


def crowd(seconds: float, clients: int = 200) -> dict[str, object]:
    """Lets many clients ask again and again, each as soon as it is answered or told to wait."""

    async def one(
        http: httpx2.AsyncClient, name: int, ends: float, found: list[tuple[int, float, bytes]]
    ) -> None:
        seed = name * 10_000
        while time.monotonic() < ends:
            seed += 1
            body = {"prompt": "a red apple", "seed": seed, "user": f"client {name}"}
            began = time.monotonic()
            answer = await http.post("/v1/images/generations", json=body)
            found.append((answer.status_code, time.monotonic() - began, answer.content[:200]))
            if answer.status_code in (429, 503):
                assert "retry-after" in answer.headers
                await asyncio.sleep(min(float(answer.headers["retry-after"]), 5))

    async def all_of_them(server: Server) -> list[tuple[int, float, bytes]]:
        found: list[tuple[int, float, bytes]] = []
        limits = httpx2.Limits(max_connections=clients)
        async with httpx2.AsyncClient(base_url=server.url, timeout=900, limits=limits) as http:
            ends = time.monotonic() + seconds
            await asyncio.gather(*(one(http, name, ends, found) for name in range(clients)))
        return found

    with started("--max-queue", "60", "--deadline", "600") as server:
        began = time.monotonic()
        found = asyncio.run(all_of_them(server))
        took = time.monotonic() - began
        jobs = httpx2.get(f"{server.url}/metrics").text
    statuses = Counter(status for status, _, _ in found)
    assert set(statuses) <= {200, 429, 503}, statuses
    made = [line for line in jobs.splitlines() if line.startswith("pellucid_job_seconds_count")]
    finished = {line.split('"')[1]: int(float(line.split()[-1])) for line in made}
    assert finished == {"done": statuses[200]}, finished  # none lost, none made twice
    return {
        "clients": clients, "seconds": round(took, 1), "statuses": dict(statuses),
        "images_a_second": round(statuses[200] / took, 2),
        **spread([seconds for status, seconds, _ in found if status == 200]),
    }  # fmt: skip


def memory(requests: int = 2000, early: int = 200) -> dict[str, object]:
    """Compares memory after many small requests with that after the first of them."""
    with started("--max-batch", "8") as server, httpx2.Client(base_url=server.url, timeout=600) as http:
        found: dict[int, float] = {}
        for number in range(requests + 1):
            if number in (early, requests):
                found[number] = server.mib()
            http.post("/v1/images/generations", json={"prompt": "a cat", **SMALL}).raise_for_status()
    ratio = found[requests] / found[early]
    return {f"mib_after_{count}": round(mib) for count, mib in found.items()} | {"ratio": round(ratio, 3)}


def uploads(parallel: int = 32) -> dict[str, object]:
    """Sends the largest image that is taken from many sides at once."""
    noise = np.random.default_rng(0).integers(0, 256, (LARGEST // 8, LARGEST // 8, 4), np.uint8)
    content = encode_image(np.kron(noise, np.ones((8, 8, 1), np.uint8)))

    async def send(server: Server) -> Counter[int]:
        limits = httpx2.Limits(max_connections=parallel)
        async with httpx2.AsyncClient(base_url=server.url, timeout=1800, limits=limits) as http:

            async def one() -> int:
                files = {"image": ("a.png", content, "image/png"), "prompt": (None, "a cat")}
                form = {**files, "steps": (None, "1")}
                return (await http.post("/v1/images/edits", files=form)).status_code

            return Counter(await asyncio.gather(*(one() for _ in range(parallel))))

    with started() as server:
        before = server.mib()
        one_alone = asyncio.run(_one_upload(server, content))
        alone = server.mib("VmHWM")
        statuses = asyncio.run(send(server))
        peak = server.mib("VmHWM")
    return {
        "side_px": LARGEST, "file_mib": round(len(content) / 2**20, 1), "parallel": parallel,
        "statuses": {str(status): count for status, count in statuses.items()}, "one_alone": one_alone,
        "mib_before": round(before), "mib_peak_of_one": round(alone), "mib_peak": round(peak),
    }  # fmt: skip


async def _one_upload(server: Server, content: bytes) -> int:
    async with httpx2.AsyncClient(base_url=server.url, timeout=1800) as http:
        form = {"image": ("a.png", content, "image/png"), "prompt": (None, "a cat"), "steps": (None, "1")}
        return (await http.post("/v1/images/edits", files=form)).status_code


def hang_ups(times: int = 10) -> dict[str, object]:
    """Breaks connections in the middle, and counts the steps that are still done after that."""
    late: list[float] = []
    with started() as server:
        for _ in range(times):
            with contextlib.suppress(httpx2.ReadTimeout):
                httpx2.post(
                    f"{server.url}/v1/images/generations", json={"prompt": "a cat", "steps": 500},
                    timeout=random.uniform(1, 3),
                )  # fmt: skip
            broken = time.monotonic()
            while "running" in _states(server):
                time.sleep(0.02)
            late.append(time.monotonic() - broken)
        text = httpx2.get(f"{server.url}/metrics").text
        numbers = {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line[0] != "#"}
        step = numbers["pellucid_step_seconds_sum"] / numbers["pellucid_step_seconds_count"]
    stopped = {"median": round(statistics.median(late), 3), "worst": round(max(late), 3)}
    return {"times": times, "step_s": round(step, 3), "stopped_after_s": stopped}


def _states(server: Server) -> set[str]:
    jobs = httpx2.get(f"{server.url}/v1/scenes", params={"limit": 100}).json()["data"]
    return {job["state"] for job in jobs}


def kills(times: int = 10, queued: int = 20) -> dict[str, object]:
    """Kills a server with jobs in its queue, again and again, and counts how each job ended."""
    with tempfile.TemporaryDirectory() as folder:
        accepted: list[str] = []
        for _ in range(times):
            server = Server(Path(folder), "--max-batch", "1")
            for seed in range(queued // times):
                answer = httpx2.post(
                    f"{server.url}/v1/scenes",
                    json={"task": "generate", "prompt": "a cat", "seed": seed, "num_inference_steps": 12},
                )
                accepted.append(answer.raise_for_status().json()["id"])
            time.sleep(random.uniform(0.2, 3))
            server.end(signal.SIGKILL)
        server = Server(Path(folder))
        while _states(server) & {"queued", "running"}:
            time.sleep(0.5)
        files = 0
        for job_id in accepted:
            job = httpx2.get(f"{server.url}/v1/scenes/{job_id}").json()
            for result in job["results"]:
                files += read_rgba(httpx2.get(server.url + result["files"]["png"]).content).shape[2] == 4
        server.end()
        store = open_job_store(Path(folder))
        counts = store.counts()
        tries = Counter(job.attempts for job in store.get_all(accepted))
        store.close()
    return {"kills": times, "accepted": len(accepted), "ended": counts, "images": files, "tries": dict(tries)}


def batches(images: int = 32) -> dict[str, object]:
    """Compares how many images a second come out with batches and without, and the images themselves."""
    made: dict[int, list[np.ndarray]] = {}
    took: dict[int, float] = {}
    for most in (1, 4, 8):
        with (
            started("--max-batch", str(most)) as server,
            httpx2.Client(base_url=server.url, timeout=900) as http,
        ):
            http.post("/v1/images/generations", json={"prompt": "a cat", **SMALL}).raise_for_status()
            began = time.monotonic()
            requests = [{"task": "generate", "prompt": "a red apple", "seed": seed} for seed in range(images)]
            ids = [http.post("/v1/scenes", json=each).json()["id"] for each in requests]
            while _states(server) & {"queued", "running"}:
                time.sleep(0.1)
            took[most] = time.monotonic() - began
            made[most] = [
                read_rgba(http.get(f"/v1/scenes/{job_id}/results/0.png").content).astype(int)
                for job_id in ids
            ]
    differences = {
        str(most): max(int(np.abs(one - other).max()) for one, other in zip(made[1], each, strict=True))
        for most, each in made.items()
    }
    return {
        "images": images,
        "images_a_second": {str(most): round(images / each, 2) for most, each in took.items()},
        "ratio_to_one_by_one": {str(most): round(took[1] / each, 2) for most, each in took.items()},
        "largest_difference_in_levels": differences,
    }  # fmt: skip


def fuzz(bodies: int = 10_000) -> dict[str, object]:
    """Sends bodies that make no sense, and looks at what comes back."""
    dice = random.Random(0)
    words: list[object] = [
        None, True, -1, 0, 1, 10**30, 1e308, "", "a", "é" * 50, "a" * 100_000, "\ud800", [], {}, [[]],
        {"a": {}},
    ]  # fmt: skip
    names = [
        "prompt",
        "n",
        "size",
        "quality",
        "background",
        "output_format",
        "stream",
        "partial_images",
        "layers",
    ]
    names += ["seed", "steps", "guidance", "model", "user", "style", "x" * 50]
    whole = encode_image(np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8))
    statuses: Counter[int] = Counter()
    with started("--max-queue", "1") as server, httpx2.Client(base_url=server.url, timeout=120) as http:
        before = server.mib()
        for number in range(bodies):
            chosen = {name: dice.choice(words) for name in dice.sample(names, dice.randint(0, 6))}
            if number % 3 == 0:
                chosen.pop("prompt", None)
                content = json.dumps(chosen).encode()
                answer = http.post("/v1/images/generations", content=content)
            elif number % 3 == 1:
                damaged = bytearray(whole)
                for _ in range(dice.randint(1, 40)):
                    damaged[dice.randrange(len(damaged))] = dice.randrange(256)
                files = {"image": ("a", bytes(damaged[: dice.randint(0, len(damaged))])), "n": (None, "99")}
                answer = http.post("/v1/images/edits", files=files)
            else:
                content = dice.randbytes(dice.randint(0, 3000))
                kind = dice.choice(["application/json", "multipart/form-data; boundary=x", "text/plain"])
                answer = http.post(
                    dice.choice(["/v1/scenes", "/v1/images/edits"]),
                    content=content,
                    headers={"content-type": kind},
                )
            statuses[answer.status_code] += 1
            assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:500])
            assert "Traceback" not in answer.text
            assert answer.json()["error"]["code"]
        after = server.mib()
    return {
        "bodies": bodies,
        "statuses": {str(k): v for k, v in statuses.items()},
        "mib_before": round(before),
        "mib_after": round(after),
    }


def replicas(images: int = 24) -> dict[str, object]:
    """Compares one replica of Ray Serve with two, each of one thread."""
    took: dict[int, float] = {}
    for count in (1, 2):
        options = ("--engine", "ray", "--replicas", str(count), "--max-batch", "1")
        with started(*options) as server, httpx2.Client(base_url=server.url, timeout=900) as http:
            for number in range(count * 2):  # until each has loaded the model
                http.post("/v1/images/generations", json={"prompt": "a cat", "seed": number, **SMALL})
            began = time.monotonic()
            for seed in range(images):
                http.post("/v1/scenes", json={"task": "generate", "prompt": "a red apple", "seed": seed})
            while _states(server) & {"queued", "running"}:
                time.sleep(0.2)
            took[count] = time.monotonic() - began
    return {
        "images": images,
        "images_a_second": {str(count): round(images / each, 2) for count, each in took.items()},
        "ratio": round(took[1] / took[2], 2),
    }


PARTS = {
    "crowd": crowd, "memory": memory, "uploads": uploads, "hang-ups": hang_ups, "kills": kills,
    "batches": batches, "fuzz": fuzz, "replicas": replicas,
}  # fmt: skip


def main() -> None:
    """Runs the parts, and writes down each when it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in arguments.only.split(","):
        part = PARTS[name]
        found[name] = part(arguments.seconds) if name == "crowd" else part()
        found[name]["cores"], found[name]["load"] = os.cpu_count(), round(os.getloadavg()[0], 1)
        print(name, json.dumps(found[name]))
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
