"""Schedulers by name, each made from the pipeline's own noise schedule.

Commands check names here before anything else is loaded, so diffusers is imported when a scheduler is made.
"""

import copy
from collections.abc import Mapping
from functools import wraps
from importlib import import_module
from typing import Protocol, runtime_checkable

from pellucid.errors import InputError
from pellucid.pipelines.families import ModelFamily


@runtime_checkable
class Scheduler(Protocol):
    """What is asked of a diffusers scheduler here."""

    config: Mapping[str, object]

    def set_timesteps(self, *args: object, **options: object) -> None: ...


SPACING = {"timestep_spacing": "linspace"}
"""From pure noise on, as k-diffusion; many models' own configs skip the noisiest steps."""
TRAILING = {"timestep_spacing": "trailing"}
"""Steps end at the cleanest timestep and begin at pure noise: what distilled models were trained at."""
STOCK = "diffusers.schedulers.scheduling_"
DPM = (f"{STOCK}dpmsolver_multistep", "DPMSolverMultistepScheduler")
LCM = (f"{STOCK}lcm", "LCMScheduler")
SECOND_ORDER = {
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
    "solver_type": "midpoint",
    "final_sigmas_type": "zero",
    "thresholding": False,
}
"""What DPM-Solver++(2M) means, whatever the pipeline's own scheduler was set to."""
SCHEDULERS: Mapping[str, tuple[tuple[str, str], Mapping[str, object]]] = {
    # name: ((module, class), what differs from its defaults)
    "ddim": ((f"{STOCK}ddim", "DDIMScheduler"), {}),
    "ddim-trailing": ((f"{STOCK}ddim", "DDIMScheduler"), {"clip_sample": False, **TRAILING}),
    "ddpm": ((f"{STOCK}ddpm", "DDPMScheduler"), {}),
    "dmd2": (LCM, {"original_inference_steps": 4}),  # the timesteps 999, 749, 499 and 249
    "dpm++-2m": (DPM, {"algorithm_type": "dpmsolver++", **SPACING}),
    "dpm++-2m-karras": (DPM, {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True, **SPACING}),
    "dpm++-2m-karras-exact": (  # as the released command line: docs/decisions/008-exact-sampler.md
        ("pellucid.pipelines.layerdiffuse_solver", "LayerDiffuseDPMSolver"),
        {**SECOND_ORDER, "use_karras_sigmas": True},
    ),
    "dpm++-2m-sde": (DPM, {"algorithm_type": "sde-dpmsolver++", **SPACING}),
    "dpm++-2m-sde-karras": (DPM, {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True, **SPACING}),
    "euler": ((f"{STOCK}euler_discrete", "EulerDiscreteScheduler"), SPACING),
    "euler-a": ((f"{STOCK}euler_ancestral_discrete", "EulerAncestralDiscreteScheduler"), SPACING),
    "euler-a-trailing": ((f"{STOCK}euler_ancestral_discrete", "EulerAncestralDiscreteScheduler"), TRAILING),
    "euler-trailing": ((f"{STOCK}euler_discrete", "EulerDiscreteScheduler"), TRAILING),
    "lcm": (LCM, {}),
    "tcd": ((f"{STOCK}tcd", "TCDScheduler"), {}),
    "unipc": ((f"{STOCK}unipc_multistep", "UniPCMultistepScheduler"), {}),
}
MOST_STEPS = {"dmd2": 4, "lcm": 50, "tcd": 50}
"""Steps of schedulers that take theirs out of so many, at which their models were distilled."""


def check_scheduler(name: str | None, family: ModelFamily | None = None) -> None:
    """Raises InputError, with the names that exist, unless `name` is one of them or None.

    None of them is for models of `family` that were trained by flow matching.
    """
    if name is not None and family is not None and family.flow:
        raise InputError(
            f"Expected no scheduler with {family.title}, which was trained by flow matching, found {name!r}. "
            "Leave it out, or set `scheduler` of the stock pipeline."
        )
    if name is not None and name not in SCHEDULERS:
        raise InputError(f"No scheduler is called {name!r}. Choose one of {', '.join(SCHEDULERS)}.")


def check_steps(name: str | None, num_inference_steps: int) -> None:
    """Raises InputError for more steps than a scheduler of distilled models has."""
    most = MOST_STEPS.get(name or "")
    if most is not None and num_inference_steps > most:
        raise InputError(
            f"Expected at most {most} steps with the scheduler {name}, found {num_inference_steps}. "
            "Take fewer: models that were distilled for it need 4 to 8."
        )


def scheduler_for_call(pipeline_scheduler: Scheduler, name: str | None) -> Scheduler:
    """Makes the scheduler of one call: that of `name` over the pipeline's noise schedule, or a copy of it.

    A scheduler counts its steps, so calls that share one would go on from where another is.

    Raises:
        InputError: no scheduler is called so.
    """
    check_scheduler(name)
    if name is None and type(pipeline_scheduler).__name__ == "SCMScheduler":
        trig_flow = import_module("pellucid.pipelines.trig_flow")
        return trig_flow.TrigFlowScheduler.from_config(pipeline_scheduler.config)
    if name is None:
        return copy.deepcopy(pipeline_scheduler)
    (module, cls), options = SCHEDULERS[name]
    return _from_first_step(
        getattr(import_module(module), cls).from_config(pipeline_scheduler.config, **options)
    )


def _from_first_step(scheduler: Scheduler) -> Scheduler:
    """Makes it count steps from 0 instead of looking its first timestep up.

    Karras's noise levels round to repeated timesteps where a schedule ends in pure noise, and the look-up
    takes the second. Image-to-image pipelines set their own first step afterwards.
    """
    set_begin_index = getattr(scheduler, "set_begin_index", None)
    if set_begin_index is not None:
        set_timesteps = scheduler.set_timesteps

        @wraps(set_timesteps)
        def counted(*args: object, **options: object) -> None:
            set_timesteps(*args, **options)
            set_begin_index(0)

        scheduler.set_timesteps = counted
    return scheduler


def scheduler_name(scheduler: object, name: str | None) -> str:
    """Returns what the metadata says: the name that was asked for, else the scheduler's class."""
    return name or type(scheduler).__name__
