"""Schedulers by name, each made from the pipeline's own noise schedule."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pellucid.errors import InputError

DPM = ("scheduling_dpmsolver_multistep", "DPMSolverMultistepScheduler")
SCHEDULERS: dict[str, tuple[tuple[str, str], dict[str, Any]]] = {
    # name: ((module of diffusers.schedulers, class), what differs from its defaults)
    "ddim": (("scheduling_ddim", "DDIMScheduler"), {}),
    "ddpm": (("scheduling_ddpm", "DDPMScheduler"), {}),
    "dpm++-2m": (DPM, {"algorithm_type": "dpmsolver++"}),
    "dpm++-2m-karras": (DPM, {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "dpm++-2m-sde": (DPM, {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++-2m-sde-karras": (DPM, {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True}),
    "euler": (("scheduling_euler_discrete", "EulerDiscreteScheduler"), {}),
    "euler-a": (("scheduling_euler_ancestral_discrete", "EulerAncestralDiscreteScheduler"), {}),
    "unipc": (("scheduling_unipc_multistep", "UniPCMultistepScheduler"), {}),
}


def check_scheduler(name: str | None) -> None:
    """Raises InputError, with the names that exist, unless `name` is one of them or None."""
    if name is not None and name not in SCHEDULERS:
        raise InputError(f"No scheduler is called {name!r}. Choose one of {', '.join(SCHEDULERS)}.")


@contextmanager
def scheduled(pipeline: Any, name: str | None) -> Iterator[None]:  # noqa: ANN401 - any diffusers pipeline
    """Lends `pipeline` the scheduler of that name, and gives back its own afterwards; None changes nothing."""
    check_scheduler(name)
    own = pipeline.scheduler
    if name is not None:
        (module, cls), options = SCHEDULERS[name]
        scheduler = getattr(import_module(f"diffusers.schedulers.{module}"), cls)
        pipeline.scheduler = scheduler.from_config(own.config, **options)
    try:
        yield
    finally:
        pipeline.scheduler = own


def scheduler_name(scheduler: object, asked: str | None) -> str:
    """What the provenance says: the name that was asked for, else the class."""
    return asked or type(scheduler).__name__
