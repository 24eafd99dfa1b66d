"""Time and peak memory of a sparse document: `python benchmarks/large_canvas.py [--side 30000]`.

Twelve layers of 800 x 600 px on a square canvas are saved, converted and shown, each in a process of its own.
Writes benchmarks/results/large-canvas.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pellucid import Layer, Scene

RESULTS = Path(__file__).parent / "results" / "large-canvas.json"
LAYERS = 12


def make(side: int, path: str) -> None:
    """Saves the document."""
    rng = np.random.default_rng(0)
    layers: list[Layer] = []
    for number in range(LAYERS):
        image = np.zeros((600, 800, 4), np.uint8)
        image[..., :3] = rng.integers(0, 256, 3)
        image[100:500, 100:700, 3] = 200
        top, left = (int(place) for place in rng.integers(0, side - 1000, 2))
        layers.append(Layer(image=image, name=f"layer {number}", offset=(top, left)))
    Scene(layers=tuple(layers), height=side, width=side).save(path)


def measured(command: list[str]) -> dict[str, float]:
    """Runs a command and returns its seconds, processor seconds and peak memory in MB."""
    # a process in between, since the peak of children is that of the largest one so far
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024); sys.exit(done.returncode)"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    processor_s, peak_mb = (float(word) for word in done.stdout.split()[-2:])
    return {
        "seconds": round(time.monotonic() - started, 1),
        "processor_s": round(processor_s, 1),
        "peak_mb": round(peak_mb),
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=30000)
    parser.add_argument("--make", help="save the document there, and nothing else")
    parser.add_argument("--only", default="", help="measure what has these words, keep other results")
    options = parser.parse_args()
    if options.make:
        make(options.side, options.make)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = {ending: str(Path(folder) / f"large.{ending}") for ending in ("psd", "ora", "png", "tiff")}
        side, limit = str(options.side), ["--max-pixels", str(options.side**2)]
        tool = [sys.executable, "-m", "pellucid"]
        commands = {
            "save .psd": [sys.executable, __file__, "--side", side, "--make", paths["psd"]],
            "save .ora": [sys.executable, __file__, "--side", side, "--make", paths["ora"]],
            "show .psd": [*tool, "show", paths["psd"], *limit],
            "show .ora": [*tool, "show", paths["ora"], *limit],
            "flatten .ora to .png": [*tool, "convert", paths["ora"], paths["png"], *limit],
            "flatten .ora to .tiff": [
                *tool,
                "composite",
                paths["ora"],
                "-o",
                paths["tiff"],
                "--background",
                "#204060",
                *limit,
            ],
            "pages of .ora to .tiff": [*tool, "convert", paths["ora"], paths["tiff"], *limit],
            **{
                f"composite .ora, .psd to .{ending}": [
                    *tool,
                    "composite",
                    paths["ora"],
                    paths["psd"],
                    "-o",
                    str(Path(folder) / f"composite.{ending}"),
                    *limit,
                ]
                for ending in ("psd", "ora", "tiff", "png")
            },
            "convert .psd to .ora": [*tool, "convert", paths["psd"], paths["ora"], *limit],
        }
        results: dict[str, object] = {"side": options.side, "layers": LAYERS}
        if options.only:
            results = json.loads(RESULTS.read_text()) | results
        for name, command in commands.items():
            # what is saved is needed by the others
            if not (options.only in name or "save" in name):
                continue
            results[name] = measured(command)
            print(name, results[name], flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
