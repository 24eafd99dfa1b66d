"""Runs one ingest on every engine, and again with workers killed in the middle: same checksums, and how fast.

python benchmarks/dataset_engines.py --count 2000 --output benchmarks/results/dataset_engines.json
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from pellucid._version import __version__
from pellucid.data.datasets import shards_of
from pellucid.data.engines import Engine, LocalEngine, ProcessEngine, RayEngine
from pellucid.data.ingest.run import IngestPlan, Manifest, ingest
from pellucid.data.shards import read_packed

SETS = ("fluent-3d", "noto", "fluent-colour")


def write_images(folder: Path, count: int) -> None:
    """Writes the images of published sets as loose files; the last ten are copies of the first ten."""
    folder.mkdir()
    number = 0
    for name in SETS:
        for shard in shards_of(name):
            for _, content in read_packed(shard):
                if number < count - 10:
                    (folder / f"{number:05d}.png").write_bytes(content)
                    number += 1
    for copy in range(10):
        (folder / f"{number + copy:05d}.png").write_bytes((folder / f"{copy:05d}.png").read_bytes())


def worker_ids(pattern: str) -> list[int]:
    """Returns ids of processes below this one that are workers: `pattern` begins Ray's names of theirs."""
    lines = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    table = [line.split(None, 2) for line in lines.splitlines()[1:]]
    parents = {int(pid): int(parent) for pid, parent, _ in table}

    def is_below(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    return [
        int(pid)
        for pid, _, command in table
        if (command.startswith(pattern) or f"--{pattern}" in command) and is_below(int(pid))
    ]


def run(images: Path, folder: Path, engine: Engine, kill: str = "") -> tuple[Manifest, float, int]:
    """Ingests, and kills a worker every two seconds until two are dead; returns manifest, seconds, kills."""
    killed: list[int] = []
    done = threading.Event()

    def hunt() -> None:
        while len(killed) < 2 and not done.wait(2):
            # only while parts are being examined: a part is half done then
            if (folder / "parts").exists() and (ids := worker_ids(kill)):
                os.kill(ids[0], signal.SIGKILL)
                killed.append(ids[0])

    hunter = threading.Thread(target=hunt) if kill else None
    if hunter:
        hunter.start()
    started = time.perf_counter()
    manifest = ingest(IngestPlan(sources=(str(images),), folder=str(folder), part_length=100), engine)
    seconds = time.perf_counter() - started
    done.set()
    if hunter:
        hunter.join()
    return manifest, seconds, len(killed)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as place:
        images = Path(place) / "images"
        write_images(images, options.count)
        expected: Manifest | None = None
        for name, engine, kill in (
            ("local", LocalEngine(), ""),
            ("processes, 2 workers", ProcessEngine(2), ""),
            ("processes, 2 workers, two killed", ProcessEngine(2), "multiprocessing-fork"),
            ("ray, 2 workers", RayEngine(2), ""),
            ("ray, 2 workers, two killed", RayEngine(2), "ray::_"),
        ):
            manifest, seconds, killed = run(images, Path(place) / name.replace(" ", "-"), engine, kill)
            expected = expected or manifest
            rows.append(
                {
                    "engine": name,
                    "seconds": round(seconds, 1),
                    "images_a_second": round(options.count / seconds, 1),
                    "killed": killed,
                    "same_as_local": manifest == expected,
                }
            )
            print(rows[-1], flush=True)
    if expected is None or not all(row["same_as_local"] for row in rows):
        raise SystemExit("Engines differ.")
    result = {
        "command": "python benchmarks/dataset_engines.py " + " ".join(sys.argv[1:]),
        "version": __version__,
        "cores": os.cpu_count(),
        "listed": expected["listed"],
        "images": expected["images"],
        "dropped": expected["dropped"],
        "engines": rows,
    }
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
