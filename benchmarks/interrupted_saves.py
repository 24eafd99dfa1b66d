"""Saves that are killed, and disks that are full: `python benchmarks/interrupted_saves.py [--kills 200]`.

A process saves two documents over one another, again and again, and is killed by SIGKILL after a random time;
then the file must be one of the two to the byte, and the next save must leave nothing beside it. Formats take
turns. A full disk is a small tmpfs (as root, on Linux): the save must fail with a FileError, the older file
stay as it was and no part be left. Writes benchmarks/results/interrupted_saves.json.
"""

import argparse
import datetime
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pellucid.errors import FileError
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene

RESULTS = Path(__file__).parent / "results" / "interrupted_saves.json"
ENDINGS = ("psd", "ora", "zip", "tiff", "png", "webp", "avif")
SAVER = """
import sys
from pathlib import Path
import pellucid.scene
from pellucid.scene.scene import Scene
target, *sources = map(Path, sys.argv[1:])
scenes = [Scene.open(source) for source in sources]
print("ready", flush=True)
while True:
    for scene in scenes:
        scene.save(target)
"""

ONCE = "import sys, pellucid; pellucid.Scene.open(sys.argv[1]).save(sys.argv[2])"


def scene(seed: int, side: int = 700) -> Scene:
    """Two layers of noise that packs badly, so that writing takes a while."""
    dice = np.random.default_rng(seed)
    layers = [
        Layer(image=dice.integers(0, 256, (side, side, 4), dtype=np.uint8), name=f"{seed} {number}")
        for number in range(2)
    ]
    return Scene(layers=tuple(layers), height=side, width=side)


def killed(target: Path, wanted: set[bytes], sources: list[Path], after_s: float) -> str:
    """Kills a saving process; returns what was wrong, or nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", SAVER, str(target), *map(str, sources)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
    if target.read_bytes() not in wanted:
        return "the file is neither the older nor the newer one"
    return ""


def on_a_full_disk(folder: Path) -> dict[str, str]:
    """What each format does on a disk with 200 KB left; nothing where none can be mounted."""
    found: dict[str, str] = {}
    small, large = scene(1, 100), scene(2, 700)
    for ending in ENDINGS:
        disk = folder / f"disk-{ending}"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
        )
        if mounted.returncode:
            return {}
        try:
            target = disk / f"x.{ending}"
            before = small.save(target).read_bytes()
            (disk / "ballast").write_bytes(bytes(max(0, (1 << 21) - len(before) - 200_000)))
            try:
                large.save(target)
                found[ending] = "was written all the same"
            except FileError as error:
                kept = target.read_bytes() == before and len(list(disk.iterdir())) == 2
                found[ending] = "right" if kept and "space" in str(error) else f"{kept}: {error}"
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    return found


def main() -> None:
    """Kills, fills, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    dice, wrong, parts = random.Random(0), list[str](), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [scene(number).save(folder / f"source-{number}.zip") for number in (1, 2)]
        wanted: dict[str, set[bytes]] = {}
        for ending in ENDINGS:
            (folder / ending).mkdir()
            target = folder / ending / f"x.{ending}"
            wanted[ending] = {Scene.open(source).save(target).read_bytes() for source in sources}
        for number in range(options.kills):
            ending = ENDINGS[number % len(ENDINGS)]
            target = folder / ending / f"x.{ending}"
            fault = killed(target, wanted[ending], sources, dice.uniform(0, 0.6))
            if fault:
                wrong.append(f"{ending}, kill {number}: {fault}")
            left = [path for path in target.parent.iterdir() if path != target]
            parts += len(left)
            # another process, as a user's next save is: what a killed one left goes when a new one starts
            subprocess.run([sys.executable, "-c", ONCE, str(sources[0]), str(target)], check=True)
            if [path for path in target.parent.iterdir() if path != target]:
                wrong.append(f"{ending}, kill {number}: parts are left after the next save")
        full = on_a_full_disk(folder)
    found = {
        "date": datetime.date.today().isoformat(),
        "kills": options.kills,
        "in the middle of a save": parts,
        "wrong": wrong,
        "full disk": full,
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
