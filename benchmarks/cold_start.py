"""Cold start and memory of the command line: median of five fresh processes each.

    python benchmarks/cold_start.py --model FOLDER

Writes benchmarks/results/cold_start.json with machine, versions and every run.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "cold_start.json"
COMMAND = [sys.executable, "-c", "from pellucid.apps.cli import main; main()"]


def run_once(arguments: list[str], folder: str) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak resident MiB of one fresh process."""
    begun = time.perf_counter()
    process = subprocess.Popen([*COMMAND, *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"pellucid {' '.join(arguments)} ended with {process.returncode}.")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(arguments: list[str], runs: int) -> dict[str, object]:
    """The figures of one command; the first run, which fills caches, is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        run_once(arguments, folder)
        found = [run_once(arguments, folder) for _ in range(runs)]
    seconds = [run[0] for run in found]
    return {
        "median_s": round(statistics.median(seconds), 3),
        "runs_s": [round(second, 3) for second in seconds],
        "median_cpu_s": round(statistics.median(run[1] for run in found), 3),
        "peak_rss_mib": round(max(run[2] for run in found), 1),
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="mini")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    model = str(Path(options.model).resolve()) if Path(options.model).is_dir() else options.model
    generate = ["generate", "a glass bottle", "--seed", "7", "-o", "x.png", "--model", model]
    results = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_1min": round(os.getloadavg()[0], 2),  # CPU seconds count where other work runs beside
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "model": Path(model).name,
        "pellucid --help": measure(["--help"], options.runs),
        "pellucid generate": measure(generate, options.runs),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
