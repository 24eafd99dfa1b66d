"""`info`: what this installation computes with, and about how long an image takes."""

import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import click

from pellucid.apps.commands.options import JSON, quieten_libraries
from pellucid.apps.sections import SectionedCommand, option

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "peft", "safetensors", "numpy", "pillow")
STEPS = 4
"""Steps of the image that is timed; the model's own number is reckoned from it."""


@click.command(name="info", cls=SectionedCommand)
@option(
    "Output", "--time/--no-time", "measures", default=True, help="Make an image to say how long it takes."
)
@JSON
def info_command(measures: bool, as_json: bool) -> None:
    """Show versions, devices, memory, models, what a command will use, and about how long an image takes."""
    facts: dict[str, object] = {
        "pellucid": metadata.version("pellucid"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": _devices(),
        "uses": _uses(),
        "models": _models(),
    }
    if measures:
        facts["seconds_per_image"] = _seconds_per_image()
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            lines = [f"{key} {each}" for key, each in value.items()]
            click.echo(f"{name + ':':20}{lines[0] if lines else 'none'}")
            for line in lines[1:]:
                click.echo(f"{'':20}{line}")
        else:
            label = {"seconds_per_image": "time of an image"}.get(name, name)
            unit = " s, of the embedded model" if name == "seconds_per_image" else ""
            click.echo(f"{label + ':':20}{value}{unit}")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, str]:
    """Returns what torch can compute on, with its memory."""
    import torch

    # what this process may use, which a container may limit
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"cpu": f"{cores} cores, {torch.get_num_threads()} threads{_memory()}"}
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        found[f"cuda:{number}"] = f"{properties.name}, {properties.total_memory / 2**30:.1f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found


def _memory() -> str:
    from pellucid.pipelines.placement import main_memory_gib

    size = main_memory_gib()
    return "" if size is None else f", {size:.1f} GiB"


def _uses() -> dict[str, str]:
    from pellucid.pipelines.placement import choose_device, choose_dtype

    device = choose_device("auto")
    return {"device": str(device), "dtype": str(choose_dtype(None, device)).removeprefix("torch.")}


def _models() -> dict[str, str]:
    """Returns the embedded model and the released files that lie in the hub's cache."""
    from huggingface_hub import constants, try_to_load_from_cache

    from pellucid.pipelines.loading import model_folder
    from pellucid.weights.catalog import CATALOG

    folder = model_folder("mini")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder else 0
    found = {"mini": f"embedded, {size / 1e6:.0f} MB", "cache": str(Path(constants.HF_HUB_CACHE))}
    for row in CATALOG:
        if isinstance(try_to_load_from_cache(row.repo, row.file, revision=row.revision), str):
            found[row.name] = "in the cache"
    return found


def _seconds_per_image() -> float:
    from pellucid.apps.fast_imports import lean_imports

    with lean_imports():
        quieten_libraries()
        from pellucid.pipelines.loading import load

        pipe = load(device="auto")
    pipe.pipeline.set_progress_bar_config(disable=True)
    pipe.generate("a cat", seed=1, num_inference_steps=1)  # what is done once in a process
    started = time.perf_counter()
    pipe.generate("a cat", seed=1, num_inference_steps=STEPS)
    took = time.perf_counter() - started
    return round(took * pipe.model.single.sampling.num_inference_steps / STEPS, 1)
