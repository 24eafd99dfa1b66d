"""Where a pipeline computes and what stays in the memory there: devices, number formats, offloading."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from huggingface_hub import hf_hub_download

from pellucid.errors import InputError, first_line
from pellucid.pipelines.model_folders import lowest_model, model_folder

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

AUTO = "auto"
INDEX = "model_index.json"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
OFFLOADS = ("none", "model", "sequential", "group")


def choose_device(name: str | torch.device) -> torch.device:
    """Returns the device of a name; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: torch knows no such device.
    """
    if name == AUTO:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise InputError(
            f"Expected a device that torch knows, found {name!r}: {first_line(error)}. Try auto, cpu or cuda."
        ) from None


def choose_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """Returns the dtype of a name; None and "auto" take float32 on a CPU, and float16 elsewhere.

    Raises:
        InputError: an unknown name.
    """
    if name is None or name == AUTO:
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in DTYPES:
        raise InputError(f"No dtype is called {name!r}. Choose one of {', '.join((AUTO, *DTYPES))}.")
    return DTYPES[name]


def dtype_for(model: str | Path, name: str | None, device: torch.device) -> torch.dtype:
    """Returns the dtype of a name for a model as `pellucid.load` takes it.

    None and "auto" take float32 on a CPU; elsewhere float16 for UNets, and bfloat16 for transformers, which
    leave the range of float16.

    Raises:
        InputError: an unknown name.
    """
    usual = choose_dtype(name, device)
    if name not in (None, AUTO) or usual is not torch.float16:
        return usual
    with suppress(Exception):  # whatever is wrong is told when the whole model is loaded
        folder = model_folder(model)
        source = str(model) if folder is None else lowest_model(folder)
        path = Path(source) / INDEX
        index = json.loads((path if path.is_file() else Path(hf_hub_download(source, INDEX))).read_text())
        return torch.bfloat16 if "transformer" in index else usual
    return usual


def main_memory_gib() -> float | None:
    """Returns the GiB of the machine's main memory; None where the system does not tell, as Windows."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, OSError, ValueError):
        return None


def check_offload(name: str, device: torch.device) -> None:
    """Raises InputError unless `name` is one of `OFFLOADS` that works with a device."""
    if name not in OFFLOADS:
        raise InputError(f"No offloading is called {name!r}. Choose one of {', '.join(OFFLOADS)}.")
    if name == "sequential" and device.type == "cpu":
        # accelerate's hooks end in a TypeError there
        raise InputError("Expected a GPU for sequential offloading, found a CPU. Choose none.")


def move(pipeline: "DiffusionPipeline", device: torch.device) -> None:
    """Moves a pipeline to a device.

    Raises:
        InputError: torch cannot use it here.
    """
    try:
        pipeline.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"Expected a device that torch can use, found {str(device)!r}: {first_line(error)}. Try cpu."
        ) from None


def offload(pipeline: "DiffusionPipeline", device: torch.device, how: str) -> None:
    """Keeps the parts of a pipeline in main memory and brings them to `device` when they compute.

    Args:
        pipeline: on the CPU, its adapters merged.
        device: where it computes.
        how: "model" moves a part at a time, "group" a layer at a time, "sequential" a weight at a time, which
            takes least memory, most time, and forbids another adapter.
    """
    if how == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif how == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        # without a stream, which forbids another adapter
        pipeline.enable_group_offload(device, torch.device("cpu"), offload_type="leaf_level")
