"""Times `pad_rgb` against a plain loop over the published arithmetic, in the same run, and compares them.

    python benchmarks/pad_rgb.py

The plain loop keeps colour and alpha of each level as two arrays and makes a new array for each step. What
was tried at 1024 pixels, all equal to the plain loop to the last bit:

- area resize of one four-channel picture, blend of separate planes in place: the fastest, kept;
- four separate planes throughout: the area resize of four planes costs 1.4 times as much;
- one four-channel picture throughout: the weight of the blend has to be spread over the channels.

Half of what is left is the area resize, which cannot change: another filter would be another result. Its own
time is in the table, so that the most that any blend could win can be read off.
Opaque and empty pictures return at once.
"""

import json
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pellucid.rgba.padding import pad_rgb, pyramid_sizes

RUNS = 9
SIDES_PX = (256, 1024)
RESULTS = Path(__file__).parent / "results" / "pad_rgb.json"


def plain_loop(rgba: np.ndarray) -> np.ndarray:
    """The arithmetic as it is published, step by step."""
    values = rgba.astype(np.float32) / 255.0
    alpha = values[..., 3:]
    colour = values[..., :3] * alpha
    levels = [(colour, alpha)]
    for height, width in pyramid_sizes(*rgba.shape[:2])[1:]:
        colour = cv2.resize(colour, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, 3)
        alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, 1)
        levels.append((colour, alpha))
    result = colour.sum(axis=(0, 1), keepdims=True) / np.maximum(alpha.sum(axis=(0, 1), keepdims=True), 1e-8)
    for colour, alpha in reversed(levels):
        height, width = colour.shape[:2]
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, 3)
        result = colour + result * (1 - alpha)
    return result


def soft_disc(side: int) -> np.ndarray:
    """Noise in a disc with a soft edge, transparent outside."""
    rgba = np.random.default_rng(0).integers(0, 256, (side, side, 4), dtype=np.uint8)
    rows, columns = np.mgrid[:side, :side]
    radius = np.hypot(rows - side / 2, columns - side / 2)
    rgba[..., 3] = np.clip((0.4 * side - radius) * 1024 / side, 0, 255)
    return rgba


def peak_bytes(function: Callable[[np.ndarray], np.ndarray], rgba: np.ndarray) -> int:
    """Most memory held by numpy arrays at once; cv2 allocates its results through numpy."""
    tracemalloc.start()
    function(rgba)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def area_only(rgba: np.ndarray) -> None:
    """The area resizes alone, of four channels at once: no result can be had in less."""
    level = rgba.astype(np.float32)
    for height, width in pyramid_sizes(*rgba.shape[:2])[1:]:
        level = cv2.resize(level, (width, height), interpolation=cv2.INTER_AREA)


def compare(side: int, threads: int) -> dict[str, object]:
    """Interleaved runs, so that a busy machine slows both alike."""
    cv2.setNumThreads(threads)
    rgba = soft_disc(side)
    functions = {"plain": plain_loop, "ours": pad_rgb, "area_only": area_only}
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(RUNS):
        for name, function in functions.items():
            start = time.process_time()
            function(rgba)
            times[name].append(time.process_time() - start)
    row: dict[str, object] = {"side_px": side, "cv2_threads": threads, "runs": RUNS}
    for name, function in functions.items():
        row[f"{name}_min_cpu_ms"] = round(min(times[name]) * 1e3, 2)
        row[f"{name}_median_cpu_ms"] = round(statistics.median(times[name]) * 1e3, 2)
        row[f"{name}_peak_mib"] = round(peak_bytes(function, rgba) / 2**20, 1)
    row["ratio_of_medians"] = round(statistics.median(times["plain"]) / statistics.median(times["ours"]), 2)
    row["ratio_of_minima"] = round(min(times["plain"]) / min(times["ours"]), 2)
    row["ratio_bound_of_area_only"] = round(
        statistics.median(times["plain"]) / statistics.median(times["area_only"]), 2
    )
    row["max_difference"] = float(np.abs(plain_loop(rgba) - pad_rgb(rgba)).max())
    return row


def main() -> None:
    """Writes and prints the table."""
    rows = [compare(side, threads) for side in SIDES_PX for threads in (1, 2)]
    report = {
        "command": "python benchmarks/pad_rgb.py",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{platform.machine()}, two cores shared with other work",
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "opencv": cv2.__version__},
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
