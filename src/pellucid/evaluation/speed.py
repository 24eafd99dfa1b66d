"""How long an image takes, and how much memory."""

import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from pellucid.pipelines.pipeline import TransparentPipeline

MIB = 2**20


def peak_memory_mib(device: "torch.device") -> float | None:
    """Returns the peak memory, MiB: of the process on a CPU, of tensors on CUDA; None where unknown."""
    if device.type == "cuda":
        import torch

        # what torch asked for; the driver's own share differs from machine to machine
        return torch.cuda.max_memory_allocated(device) / MIB
    if device.type != "cpu" or sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux KiB
    return peak / MIB if sys.platform == "darwin" else peak * 1024 / MIB


def score_speed(
    load: Callable[[], "TransparentPipeline"],
    *,
    prompt: str = "a glass bottle of honey",
    runs: int = 5,
    height: int | None = None,
    width: int | None = None,
    num_inference_steps: int | None = None,
    passes: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, object]:
    """Loads a model, then makes one image `runs` + 1 times.

    Args:
        load: makes the pipeline; imports inside count.
        prompt: what is drawn.
        runs: images after the first, which fills caches and is told apart.
        height: px; None takes the model's.
        width: px; None takes the model's.
        num_inference_steps: None takes the model's.
        passes: views of the alpha decoder; None takes the model's.
        clock: seconds.

    Returns:
        `load_s`, `first_s`, `median_s` with `fastest_s` and `slowest_s`; `peak_memory_mib` of this process,
        libraries included, on a CPU; of tensors alone on CUDA.
    """
    begun = clock()
    # timed as well: it is most of what a command's user waits for
    import torch

    pipe = load()
    times = [clock()]
    device = pipe.model.stock.device
    size = (0, 0)
    for run in range(runs + 1):
        scene = pipe.generate(
            prompt,
            seed=run,
            height=height,
            width=width,
            num_inference_steps=num_inference_steps,
            passes=passes,
            clean=False,
        )
        size = scene.layers[0].image.shape
        times.append(clock())
    # without loading and the first image, which fills caches
    spent = [later - earlier for earlier, later in pairwise(times[1:])]
    memory = peak_memory_mib(device)
    return {
        "device": str(device),
        "threads": torch.get_num_threads(),
        "size": f"{size[0]} x {size[1]}",
        "steps": num_inference_steps or pipe.model.single.sampling.num_inference_steps,
        "passes": pipe.model.single.sampling.passes if passes is None else passes,
        "runs": runs,
        "load_s": round(times[0] - begun, 3),
        "first_s": round(times[1] - times[0], 3),
        "median_s": round(statistics.median(spent), 3),
        "fastest_s": round(min(spent), 3),
        "slowest_s": round(max(spent), 3),
        "peak_memory_mib": None if memory is None else round(memory, 1),
    }
