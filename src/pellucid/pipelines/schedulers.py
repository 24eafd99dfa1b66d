"""Schedulers by name, each made from the pipeline's own noise schedule."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Any

from pellucid.errors import InputError
from pellucid.pipelines.families import FamilyRow

SPACING = {"timestep_spacing": "linspace"}
"""From pure noise on, as k-diffusion; many models' own configs skip the noisiest steps."""
STOCK = "diffusers.schedulers.scheduling_"
DPM = (f"{STOCK}dpmsolver_multistep", "DPMSolverMultistepScheduler")
SECOND_ORDER = {
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
    "solver_type": "midpoint",
    "final_sigmas_type": "zero",
    "thresholding": False,
}
"""What DPM-Solver++(2M) means, whatever the pipeline's own scheduler was set to."""
SCHEDULERS: dict[str, tuple[tuple[str, str], dict[str, Any]]] = {
    # name: ((module, class), what differs from its defaults)
    "ddim": ((f"{STOCK}ddim", "DDIMScheduler"), {}),
    "ddpm": ((f"{STOCK}ddpm", "DDPMScheduler"), {}),
    "dpm++-2m": (DPM, {"algorithm_type": "dpmsolver++", **SPACING}),
    "dpm++-2m-karras": (DPM, {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True, **SPACING}),
    "dpm++-2m-karras-exact": (  # as the released command line: docs/decisions/008-exact-sampler.md
        ("pellucid.pipelines.exact", "ReleasedSolver"),
        {**SECOND_ORDER, "use_karras_sigmas": True},
    ),
    "dpm++-2m-sde": (DPM, {"algorithm_type": "sde-dpmsolver++", **SPACING}),
    "dpm++-2m-sde-karras": (DPM, {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True, **SPACING}),
    "euler": ((f"{STOCK}euler_discrete", "EulerDiscreteScheduler"), SPACING),
    "euler-a": ((f"{STOCK}euler_ancestral_discrete", "EulerAncestralDiscreteScheduler"), SPACING),
    "unipc": ((f"{STOCK}unipc_multistep", "UniPCMultistepScheduler"), {}),
}


def check_scheduler(name: str | None, row: FamilyRow | None = None) -> None:
    """Raises InputError, with the names that exist, unless `name` is one of them or None.

    None of them is for models of `row` that were trained by flow matching.
    """
    if name is not None and row is not None and row.flow:
        raise InputError(
            f"Expected no scheduler with {row.title}, which was trained by flow matching, found {name!r}. "
            "Leave it out, or set `scheduler` of the stock pipeline."
        )
    if name is not None and name not in SCHEDULERS:
        raise InputError(f"No scheduler is called {name!r}. Choose one of {', '.join(SCHEDULERS)}.")


@contextmanager
def scheduled(pipeline: Any, name: str | None) -> Generator[None]:  # noqa: ANN401 - any diffusers pipeline
    """Lends `pipeline` the scheduler of that name, then gives back its own; None changes nothing."""
    check_scheduler(name)
    own = pipeline.scheduler
    if name is not None:
        (module, cls), options = SCHEDULERS[name]
        scheduler = getattr(import_module(module), cls)
        pipeline.scheduler = _from_first_step(scheduler.from_config(own.config, **options))
    try:
        yield
    finally:
        pipeline.scheduler = own


def _from_first_step(scheduler: Any) -> Any:  # noqa: ANN401 - any diffusers scheduler
    """Makes it count steps from 0 instead of looking its first timestep up.

    Karras's noise levels round to repeated timesteps where a schedule ends in pure noise, and the look-up
    takes the second. Image-to-image pipelines set their own first step afterwards.
    """
    if hasattr(scheduler, "set_begin_index"):
        set_timesteps = scheduler.set_timesteps

        @wraps(set_timesteps)
        def counted(*args: Any, **options: Any) -> None:  # noqa: ANN401 - passed through
            set_timesteps(*args, **options)
            scheduler.set_begin_index(0)

        scheduler.set_timesteps = counted
    return scheduler


def scheduler_name(scheduler: object, asked: str | None) -> str:
    """What the provenance says: the name that was asked for, else the class."""
    return asked or type(scheduler).__name__
