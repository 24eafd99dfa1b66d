"""Cold start and memory of the command line: median of five fresh processes each.

    python benchmarks/cold_start.py --model FOLDER
    python benchmarks/cold_start.py --stock

Writes benchmarks/results/cold_start.json with machine, versions and every run. `--stock` measures the steps
of a cold start from Python instead, in turns with diffusers alone on the same folder, and writes their ratios
to benchmarks/results/cold-start-stock.json.
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
STOCK_RESULTS = RESULTS.with_name("cold-start-stock.json")
PYTHON = [sys.executable, "-c"]
COMMAND = [*PYTHON, "from pellucid.apps.cli import main; main()"]

STOCK = """
import pathlib
from importlib.util import find_spec
from diffusers import StableDiffusionPipeline
import pellucid.models.mini_vae  # diffusers loads no component from a module that nobody has imported
folder = pathlib.Path(find_spec("pellucid").origin).parent / "mini"
pipe = StableDiffusionPipeline.from_pretrained(folder)
"""
"""The stock pipeline over the embedded model's files: no transparency, no adapters."""
STEPS = {
    "pellucid --help": COMMAND[-1],
    "import pellucid": "import pellucid",
    "import diffusers, its pipeline": "from diffusers import StableDiffusionPipeline",
    "pellucid.load()": "import pellucid; pellucid.load()",
    "diffusers, from_pretrained": STOCK,
    "pellucid, first picture": "import pellucid as p; p.load().generate('a bottle', seed=7).save('x.png')",
}
RATIOS = (
    ("import pellucid", "import diffusers, its pipeline"),
    ("pellucid.load()", "diffusers, from_pretrained"),
    ("pellucid, first picture", "diffusers, from_pretrained"),
)


def run_once(command: list[str], folder: str) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak resident MiB of one fresh process."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[2:])} ended with {process.returncode}.")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(arguments: list[str], runs: int) -> dict[str, object]:
    """The figures of one command; the first run, which fills caches, is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        run_once([*COMMAND, *arguments], folder)
        found = [run_once([*COMMAND, *arguments], folder) for _ in range(runs)]
    seconds = [run[0] for run in found]
    return {
        "median_s": round(statistics.median(seconds), 3),
        "runs_s": [round(second, 3) for second in seconds],
        "median_cpu_s": round(statistics.median(run[1] for run in found), 3),
        "peak_rss_mib": round(max(run[2] for run in found), 1),
    }


def against_stock(runs: int) -> dict[str, object]:
    """The steps of a cold start and of diffusers alone, in turns, so that other work meets them all alike."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in STEPS}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(runs + 1):
            for name, code in STEPS.items():
                run = run_once([*PYTHON, code, *(["--help"] if name.endswith("--help") else [])], folder)
                if turn:  # the first one fills caches
                    found[name].append(run)
    steps = {
        name: {
            "median_cpu_s": round(statistics.median(run[1] for run in each), 3),
            "runs_cpu_s": [round(run[1], 3) for run in each],
            "peak_rss_mib": round(max(run[2] for run in each), 1),
        }
        for name, each in found.items()
    }
    cpu = {name: statistics.median(run[1] for run in each) for name, each in found.items()}
    ratios = {f"{ours} / {stock}": round(cpu[ours] / cpu[stock], 3) for ours, stock in RATIOS}
    return {**steps, "ratios of CPU seconds": ratios}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="mini")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--stock", action="store_true", help="steps from Python against diffusers alone")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    model = str(Path(options.model).resolve()) if Path(options.model).is_dir() else options.model
    generate = ["generate", "a glass bottle", "--seed", "7", "-o", "x.png", "--model", model]
    results: dict[str, object] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_1min": round(os.getloadavg()[0], 2),  # CPU seconds count where other work runs beside
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "model": Path(model).name,
    }
    if options.stock:
        results |= against_stock(options.runs)
    else:
        results["pellucid --help"] = measure(["--help"], options.runs)
        results["pellucid generate"] = measure(generate, options.runs)
    output: Path = options.output or (STOCK_RESULTS if options.stock else RESULTS)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
