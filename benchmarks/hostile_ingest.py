"""Ingests damaged and hostile files, and reports reasons, seconds and the most memory that a worker held.

python benchmarks/hostile_ingest.py --count 5000 --output benchmarks/results/hostile_ingest.json
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from data.hostile_files import write_hostile_files
from pellucid._version import __version__
from pellucid.data.engines import ProcessEngine
from pellucid.data.ingest.run import IngestPlan, ingest


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "hostile"
        listed = write_hostile_files(folder, options.count)
        started = time.perf_counter()
        plan = IngestPlan(sources=(str(folder),), folder=f"{place}/set")
        manifest = ingest(plan, ProcessEngine(options.workers))
        seconds = time.perf_counter() - started
        lines = (Path(place) / "set" / "dropped.jsonl").read_text().splitlines()
    if manifest["listed"] != listed or manifest["images"] + len(lines) != listed:
        raise SystemExit(f"Not every file is accounted for: {manifest}, {len(lines)} reasons of {listed}.")
    result = {
        "command": "python benchmarks/hostile_ingest.py " + " ".join(sys.argv[1:]),
        "version": __version__,
        "files": listed,
        "kept": manifest["images"],
        "dropped": manifest["dropped"],
        "seconds": round(seconds, 1),
        "largest_worker_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }
    print(json.dumps(result, indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
