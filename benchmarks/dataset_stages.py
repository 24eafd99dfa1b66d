"""Measures what each stage of an ingest costs: CPU seconds and bytes an image, at 256 and at 1024 px.

    python benchmarks/dataset_stages.py --output benchmarks/results/dataset_stages.json

CPU time, not the clock, so that other work on the machine changes little.
"""

import argparse
import io
import json
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from pellucid._version import __version__
from pellucid.data.datasets import shards_of
from pellucid.data.filters.duplicates import fingerprint
from pellucid.data.filters.measures import measure
from pellucid.data.records import Record
from pellucid.data.shards import QUICK_WEBP, add_sample, read_shard
from pellucid.files.images import encode_image, read_rgba
from pellucid.rgba.resizing import resize_rgba


def cpu_seconds(function: Callable[[], object]) -> float:
    """Returns the CPU time of one call."""
    started = time.process_time()
    function()
    return time.process_time() - started


def pack(record: Record, rgba: np.ndarray) -> bytes:
    """Packs one image as an ingest does."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        add_sample(tar, record, rgba, QUICK_WEBP)
    return file.getvalue()


def measure_stages(samples: list[tuple[Record, np.ndarray]], side_px: int) -> dict[str, object]:
    """Measures all stages on images of one size."""
    seconds: dict[str, list[float]] = {"read": [], "measure": [], "fingerprint": [], "pack": []}
    sizes: dict[str, list[int]] = {"source": [], "packed": [], "fingerprint": []}
    for record, small in samples:
        rgba = resize_rgba(small, side_px, side_px)
        content = encode_image(rgba)
        seconds["read"].append(cpu_seconds(lambda content=content: read_rgba(content)))
        seconds["measure"].append(cpu_seconds(lambda rgba=rgba: measure(rgba)))
        seconds["fingerprint"].append(
            cpu_seconds(lambda rgba=rgba, name=record.name: fingerprint(name, rgba))
        )
        seconds["pack"].append(cpu_seconds(lambda rgba=rgba, record=record: pack(record, rgba)))
        sizes["source"].append(len(content))
        sizes["packed"].append(len(pack(record, rgba)))
        sizes["fingerprint"].append(len(json.dumps(fingerprint(record.name, rgba).to_json())))
    total = [sum(values) for values in zip(*seconds.values(), strict=True)]
    return {
        "images": len(samples),
        "cpu_ms": {name: round(1000 * median(values), 2) for name, values in seconds.items()},
        "cpu_ms_mean_of_all": round(1000 * float(np.mean(total)), 2),
        "bytes": {name: round(float(np.mean(values))) for name, values in sizes.items()},
    }


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    samples = [sample for shard in shards_of("fluent-3d") for sample in read_shard(shard)]
    chosen = [samples[place] for place in np.random.default_rng(0).permutation(len(samples))[: options.count]]
    measure_stages(chosen[:3], 256)  # libraries load and warm up
    result = {
        "command": "python benchmarks/dataset_stages.py " + " ".join(sys.argv[1:]),
        "version": __version__,
        "pillow": Image.__version__,
        **{f"{side}_px": measure_stages(chosen, side) for side in (256, 1024)},
    }
    print(json.dumps(result, indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
