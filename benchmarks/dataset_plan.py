"""Simulates building the paper's dataset on N GPUs that may be taken away: time, cost and what breaks first.

    python benchmarks/dataset_plan.py --output benchmarks/results/dataset_plan.json

Five million candidates are generated and filtered to a million images, then a million layer triples are made
of three GPU steps each. Parts of 256 images wait in one queue; a worker that is taken away loses the part it
is on, as the engines do. Seconds of CPU work are measured (results/dataset_stages.json); seconds of
GPU work are assumptions, drawn anew in each run from the ranges below, so that the result is an interval.
"""

import argparse
import json
import random
import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles

import simpy

HERE = Path(__file__).parent
PART = 256
CANDIDATES, TRIPLES = 5_000_000, 1_000_000
KEPT = 1_000_000


@dataclass(frozen=True)
class Assumptions:
    """One draw of what is not known."""

    generate_s: float
    """GPU seconds of one image of 1024 px: Stable Diffusion XL, 20 to 50 steps, half precision."""
    inpaint_s: float
    """GPU seconds of one inpainting, of which a triple needs two."""
    triples_kept: float
    """Share of triples that pass the filters."""
    hours_between_losses: float
    """Mean time until a GPU is taken away."""
    minutes_to_return: float
    """Until another one has started and loaded its models."""
    cores: int
    """CPU cores beside each GPU."""
    dollars_an_hour: float
    """For one GPU that may be taken away."""


def draw(rng: random.Random) -> Assumptions:
    """Draws assumptions."""
    return Assumptions(
        generate_s=rng.uniform(1.5, 6.0),
        inpaint_s=rng.uniform(1.5, 6.0),
        triples_kept=rng.uniform(0.4, 0.8),
        hours_between_losses=rng.uniform(4, 48),
        minutes_to_return=rng.uniform(3, 15),
        cores=rng.choice((4, 8, 16)),
        dollars_an_hour=rng.uniform(0.8, 3.0),
    )


def simulate(  # noqa: PLR0915 - processes of SimPy are closures over one environment
    gpus: int, about: Assumptions, cpu_s: float, rng: random.Random
) -> dict[str, float]:
    """Runs the whole plan once and returns hours, GPU hours, lost hours and how busy the CPUs were."""
    env = simpy.Environment()
    # a worker takes its next part while the CPUs examine the last one, so each has a queue of its own
    cores = simpy.Resource(env, capacity=gpus * about.cores)
    triples = TRIPLES / about.triples_kept
    work = [about.generate_s * PART] * (CANDIDATES // PART)
    work += [(about.generate_s + 2 * about.inpaint_s) * PART] * int(triples / PART)
    images = [1] * (CANDIDATES // PART) + [3] * int(triples / PART)
    left = list(zip(work, images, strict=True))[::-1]
    spent = {"gpu": 0.0, "lost": 0.0, "cpu": 0.0}

    def examine(count: int) -> Generator[simpy.Event, object, None]:
        with cores.request() as core:
            yield core
            seconds = cpu_s * PART * count
            spent["cpu"] += seconds
            yield env.timeout(seconds)

    def worker() -> Generator[simpy.Event, object, None]:
        gone = env.now + rng.expovariate(1 / (3600 * about.hours_between_losses))
        while left:
            seconds, count = left.pop()
            if env.now + seconds > gone:
                lost = max(0.0, gone - env.now)
                spent["lost"] += lost
                left.append((seconds, count))  # the part is run again, by whoever is free
                yield env.timeout(lost + 60 * about.minutes_to_return)
                gone = env.now + rng.expovariate(1 / (3600 * about.hours_between_losses))
                continue
            yield env.timeout(seconds)
            spent["gpu"] += seconds
            env.process(examine(count))

    for _ in range(gpus):
        env.process(worker())
    env.run()
    hours = env.now / 3600
    gpu_hours = (spent["gpu"] + spent["lost"]) / 3600
    return {
        "hours": hours,
        "gpu_hours": gpu_hours,
        "lost_share": spent["lost"] / (spent["gpu"] + spent["lost"]),
        "cpu_busy": spent["cpu"] / 3600 / (hours * gpus * about.cores),
        "dollars": gpu_hours * about.dollars_an_hour,
    }


def interval(values: list[float]) -> list[float]:
    """Returns the 5th, 50th and 95th percentile."""
    cuts = quantiles(values, n=20)
    return [float(f"{value:.3g}") for value in (cuts[0], cuts[9], cuts[-1])]


def main() -> None:
    """Runs the simulation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    stages = json.loads((HERE / "results" / "dataset_stages.json").read_text())["1024_px"]
    cpu_s = stages["cpu_ms_mean_of_all"] / 1000
    table: dict[str, dict[str, list[float]]] = {}
    for gpus in options.gpus:
        rng = random.Random(0)  # the same draws for each number of GPUs
        runs = [simulate(gpus, draw(rng), cpu_s, rng) for _ in range(options.runs)]
        table[str(gpus)] = {name: interval([run[name] for run in runs]) for name in runs[0]}
    rng = random.Random(0)
    result = {
        "command": "python benchmarks/dataset_plan.py " + " ".join(sys.argv[1:]),
        "runs": options.runs,
        "percentiles": [5, 50, 95],
        "example_of_assumptions": asdict(draw(rng)),
        "cpu_s_an_image": cpu_s,
        "by_gpus": table,
        "terabytes": {
            "candidates": CANDIDATES * stages["bytes"]["packed"] / 1e12,
            "kept": KEPT * stages["bytes"]["packed"] / 1e12,
            "triples": 3 * TRIPLES * stages["bytes"]["packed"] / 1e12,
        },
        "fingerprints_gb": CANDIDATES * stages["bytes"]["fingerprint"] / 1e9,
    }
    print(json.dumps(result, indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
