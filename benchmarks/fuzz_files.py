"""Damages files of every format and opens them: `python benchmarks/fuzz_files.py --count 100000 --seed 0`.

Each must give a scene or a FileError that names the file, within 2 s of processor time and 1 GB, or in
proportion to the pixels that it truly holds, as a small file may hold many alike. Files are numbered: the
same number gives the same damage, whatever was opened before, so that `--only NUMBER` shows one again. What
is done is noted in the output after every thousand files, and a second start goes on there.
"""

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from corpus.mutations import mutated
from corpus.seeds import seed_files
from pellucid.errors import FileError
from pellucid.scene.scene import Scene
from scene.scenes import stack

SECONDS, MEGABYTES = 2.0, 1024
SECONDS_PER_MILLION, MEGABYTES_PER_MILLION = 0.1, 12.0
"""Of pixels of all layers."""
CHUNK = 1000
HUNG_SECONDS = 120
SMALL = 1 << 20
"""Pixels of a canvas that is flattened as well."""


def mutant(seeds: list[tuple[str, bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """Returns ending and content of a damaged file."""
    dice = np.random.default_rng([seed, number])
    # each format as often as any other, whatever number of seeds it has
    endings = sorted({ending for ending, _ in seeds})
    ending = endings[number % len(endings)]
    own = [content for each, content in seeds if each == ending]
    content = mutated(own[dice.integers(len(own))], ending, dice)
    if dice.random() < 0.3 and len(content) > 8:
        content = mutated(content, "", dice)  # blindly: where its numbers are is no longer known
    return ending, content


def all_seeds() -> list[tuple[str, bytes]]:
    """Returns the seeds of the corpus, and a scene in the format that only Pellucid has."""
    with tempfile.TemporaryDirectory() as folder:
        return [*seed_files(), ("zip", stack().save(Path(folder) / "x.zip").read_bytes())]


def peak_megabytes() -> float:
    """Returns the most memory that the process had since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> float:
    """Begins to measure anew; returns what the process has now, in megabytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_megabytes()


def open_one(path: Path) -> tuple[str, float]:
    """Opens a file; returns what came of it, a fault unless "opened" or "refused", and million pixels."""
    pixels = 0.0
    try:
        scene = Scene.open(path)
        pixels = sum(layer.image.shape[0] * layer.image.shape[1] for layer in scene.layers) / 1e6
        if scene.height * scene.width < SMALL:
            scene.composite()
    except FileError as error:
        return ("refused" if str(path) in str(error) else f"no name in {error}"), pixels
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"{type(error).__name__}: {str(error)[:200]}", pixels
    return "opened", pixels


def measured(path: Path) -> str:
    """Opens a file within limits; returns what came of it."""
    before, start = forget_peak(), time.process_time()
    found, pixels = open_one(path)
    seconds, megabytes = time.process_time() - start, peak_megabytes() - before
    if seconds > max(SECONDS, SECONDS_PER_MILLION * pixels) and found in ("opened", "refused"):
        return f"{found} after {seconds:.1f} s"
    if megabytes > max(MEGABYTES, MEGABYTES_PER_MILLION * pixels) and found in ("opened", "refused"):
        return f"{found} with {megabytes:.0f} MB"
    return found


def run_chunk(seed: int, numbers: range, folder: Path) -> None:
    """Opens some files, and leaves what came of each beside; a process of its own does it."""
    warnings.simplefilter("ignore")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + (6 << 30), used + (6 << 30)))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries in C complain there
    seeds = all_seeds()
    measured(folder / "absent")  # loads what opening needs
    with (folder / "found").open("w") as log:
        for number in numbers:
            ending, content = mutant(seeds, seed, number)
            path = folder / f"x.{ending}"
            path.write_bytes(content)
            signal.alarm(HUNG_SECONDS)
            found = measured(path)
            signal.alarm(0)
            log.write(json.dumps([number, ending, found]) + "\n")
            log.flush()


def run(seed: int, numbers: range, folder: Path) -> list[tuple[int, str, str]]:
    """Opens some files in a process of its own, and goes on behind one that ends it."""
    found: list[tuple[int, str, str]] = []
    while numbers:
        worker = get_context("spawn").Process(target=run_chunk, args=(seed, numbers, folder))
        worker.start()
        worker.join()
        log = folder / "found"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        found += [(number, ending, words) for number, ending, words in lines]
        numbers = numbers[len(lines) :]
        if numbers:
            found.append((numbers[0], "?", f"ended the process ({worker.exitcode})"))
            numbers = numbers[1:]
        log.unlink(missing_ok=True)
    return found


def main() -> None:
    """Opens as many files as are asked for, and writes what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one number, which is kept as a file")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/fuzz-files.json"))
    options = parser.parse_args()
    if options.only is not None:
        ending, content = mutant(all_seeds(), options.seed, options.only)
        path = Path(tempfile.gettempdir()) / f"mutant-{options.only}.{ending}"
        path.write_bytes(content)
        print(path, measured(path))
        return
    state = {"seed": options.seed, "done": 0, "outcomes": {}, "faults": []}
    if options.output.exists():
        state = json.loads(options.output.read_text())
    outcomes: dict[str, Counter[str]] = {name: Counter(each) for name, each in state["outcomes"].items()}
    with tempfile.TemporaryDirectory() as folder:
        for start in range(state["done"], options.count, CHUNK):
            numbers = range(start, min(start + CHUNK, options.count))
            for number, ending, words in run(options.seed, numbers, Path(folder)):
                right = words in ("opened", "refused")
                outcomes.setdefault(ending, Counter())[words if right else "fault"] += 1
                state["faults"] += [] if right else [[number, ending, words]]
            state |= {"done": numbers.stop, "outcomes": {name: dict(each) for name, each in outcomes.items()}}
            options.output.write_text(json.dumps(state, indent=1) + "\n")
            print(f"{numbers.stop} files, {len(state['faults'])} faults", flush=True)


if __name__ == "__main__":
    main()
