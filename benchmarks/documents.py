"""Time and peak memory of large documents, beside psd-tools and Krita, each in a process of its own.

    python benchmarks/documents.py [--only WORDS] [--repeat 3]

Two documents: ten layers of 4000 x 3000, soft subjects of noise with clear surroundings and one opaque
background; and one photograph-like layer of 6000 x 4000 (24 megapixels). For each format: save, open, show
(`pellucid show`) and composite to PNG. psd-tools opens and composites the PSD; Krita opens and exports the
ORA and the PSD (its start on a small document is measured too, and told apart). Writes
benchmarks/results/documents.json; ratios in one run count, since machines differ.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "documents.json"

MAKE = """
import sys
import numpy as np, cv2
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene
height, width, count = map(int, sys.argv[1:4])
dice = np.random.default_rng(0)
y, x = np.mgrid[:height, :width].astype(np.float32)
layers = []
for number in range(count):
    noise = dice.normal(128, 60, (height, width, 3)).astype(np.float32)
    texture = (cv2.GaussianBlur(noise, (0, 0), 3) * 3 - 256).clip(0, 255)
    radius = 0.25 * height * (1 + number / count)
    middle = dice.uniform(0.3, 0.7, 2) * (height, width)
    alpha = np.clip((radius - np.hypot(y - middle[0], x - middle[1])) / 20 + 0.5, 0, 1) * 255
    if number == 0:
        alpha[:] = 255
    layers.append(Layer(image=np.dstack([texture, alpha]).astype(np.uint8), name=f"layer {number + 1}"))
scene = Scene(layers=tuple(layers), height=height, width=width)
"""
SAVE = "import time; begun = time.perf_counter(); scene.save(sys.argv[4]); print(time.perf_counter() - begun)"
TIMED = "import time; begun = time.perf_counter(); {}; print(time.perf_counter() - begun)"
OURS = "import sys\nfrom pellucid.scene.scene import Scene\nimport pellucid.scene\n"
OPEN = OURS + TIMED.format("Scene.open(sys.argv[1])")
COMPOSITE = OURS + TIMED.format("Scene.open(sys.argv[1]).save(sys.argv[2])")
SHOW = "import sys; from pellucid.apps.cli import main; sys.argv[0] = 'pellucid'; main()"
THEIRS = "import sys\nfrom psd_tools import PSDImage\n"
THEIR_OPEN = THEIRS + TIMED.format(
    "document = PSDImage.open(sys.argv[1]); [layer.numpy() for layer in document.descendants()]"
)
THEIR_COMPOSITE = THEIRS + TIMED.format("PSDImage.open(sys.argv[1]).composite(force=True).save(sys.argv[2])")


def run(words: Sequence[str], home: Path) -> dict[str, float]:
    """Seconds (by itself where it prints them, else of the whole process) and peak MiB of one process."""
    begun = time.perf_counter()
    environment = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    assert process.stdout is not None
    said = process.stdout.read().decode().split()
    _, status, usage = os.wait4(process.pid, 0)
    whole = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)[:200]} ended with {process.returncode}.")
    inner = float(said[-1]) if len(said) == 1 else whole
    return {"seconds": inner, "process_s": whole, "peak_mib": usage.ru_maxrss / 1024}


def python(code: str, *words: object) -> list[str]:
    """The command that runs a program."""
    return [sys.executable, "-c", code, *map(str, words)]


def steps(name: str, size: tuple[int, int, int], folder: Path) -> dict[str, list[str]]:
    """What is measured of one document, by name; savings come before openings."""
    found: dict[str, list[str]] = {}
    out = folder / "out.png"
    for ending in ("psd", "ora"):
        path = folder / f"{name}.{ending}"
        found[f"{name} save {ending}"] = python(MAKE + SAVE, *size, path)
        found[f"{name} open {ending}"] = python(OPEN, path)
        found[f"{name} show {ending}"] = python(SHOW, "show", path)
        found[f"{name} composite {ending}"] = python(COMPOSITE, path, out)
        if shutil.which("krita"):
            export = ["krita", "--export", "--export-filename"]
            found[f"{name} krita composite {ending}"] = [*export, str(out), str(path)]
            found[f"{name} krita save {ending}"] = [*export, str(folder / f"k.{ending}"), str(path)]
    psd = folder / f"{name}.psd"
    found[f"{name} psd-tools open psd"] = python(THEIR_OPEN, psd)
    found[f"{name} psd-tools composite psd"] = python(THEIR_COMPOSITE, psd, out)
    found[f"{name} make"] = python(MAKE, *size)
    return found


def main() -> None:
    """Measures all, in turns, and writes the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="measure what contains these words")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        todo = {
            **steps("10x12mp", (3000, 4000, 10), folder),
            **steps("1x24mp", (4000, 6000, 1), folder),
            **steps("small", (64, 64, 1), folder),
        }
        runs: dict[str, list[dict[str, float]]] = {}
        for _ in range(options.repeat):
            for step, words in todo.items():
                if options.only in step or (" save " in step and "krita" not in step and not runs.get(step)):
                    runs.setdefault(step, []).append(run(words, folder))
                    print(step, {key: round(value, 2) for key, value in runs[step][-1].items()}, flush=True)
        sizes = {path.name: path.stat().st_size for path in folder.glob("*.*")}
    RESULTS.write_text(
        json.dumps(
            {
                "date": datetime.date.today().isoformat(),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "versions": {name: version(name) for name in ("pellucid", "psd-tools", "pillow", "numpy")},
                "bytes": sizes,
                "median": {
                    step: {key: round(statistics.median(each[key] for each in found), 2) for key in found[0]}
                    for step, found in runs.items()
                },
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
