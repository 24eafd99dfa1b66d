"""The adapters of one UNet, which wears one at a time."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.errors import InputError, WeightsError
from pellucid.models.concat_condition import ConcatCondition
from pellucid.weights.adapters import (
    AdapterReport,
    apply_adapter,
    pause_adapter,
    remove_adapter,
    resume_adapter,
)

TRAINING_TIMESTEPS = 1000
AdapterSource = str | Path | tuple[str | Path, ...] | None
WORN = "_pellucid_worn"  # attribute of the UNet


@dataclass(frozen=True, slots=True)
class _Worn:
    what: tuple[object, ...]
    report: AdapterReport


class AdapterManager:
    """Puts adapters on a UNet and takes them off; the last one stays on until another is asked for.

    What is worn is noted on the UNet, so that several pipelines may share one.
    """

    def __init__(self, unet: Any, strength: float = 1.0) -> None:  # noqa: ANN401 - any diffusers UNet
        """`strength`: of every adapter that has one, 0 to 2.

        Raises:
            InputError: another strength.
        """
        check_strength(strength)
        self.unet, self.strength = unet, strength

    def set(self, source: AdapterSource, strength: float | None = None) -> AdapterReport | None:
        """Changes to the adapter `source`, or to several on top of one another; None is the plain UNet.

        Args:
            source: see `pellucid.weights.store.locate`.
            strength: of them; None takes the wardrobe's.

        Returns:
            What the last of them did.

        Raises:
            WeightsError: it is absent or does not fit; the UNet is then plain.
            InputError: a strength that the adapter does not have.
        """
        strength = self.strength if strength is None else strength
        check_strength(strength)
        what = _what(source, strength)
        worn: _Worn | None = getattr(self.unet, WORN, None)
        if worn is not None:
            sharing = worn.report.sharing  # an IP-Adapter that is loaded takes the units' places
            if worn.what == what and (sharing is None or sharing.is_attached(self.unet)):
                return worn.report
            remove_adapter(self.unet)
            delattr(self.unet, WORN)
        if source is None:
            return None
        report = None
        try:
            for each in source if isinstance(source, tuple) else (source,):
                report = apply_adapter(self.unet, each, strength=strength)
        except (WeightsError, InputError):
            remove_adapter(self.unet)
            raise
        if report is None:
            return None
        object.__setattr__(self.unet, WORN, _Worn(what, report))
        return report

    def unload(self) -> None:
        self.set(None)

    @contextmanager
    def conditioned(self, concat: Tensor | None, hint: Tensor | None, *, end: float = 1.0) -> Generator[None]:
        """Shows the UNet pictures while it samples.

        Args:
            concat: scaled latents (scenes, c, h, w) for the extra input channels.
            hint: pictures (scenes, 3, h, w), [0, 1], for attention sharing with control.
            stop_sigma: steps with less noise are done by the plain UNet, without the adapter.
        """
        stop = stop_sigma(end)
        handles: list[Any] = []
        if concat is not None:
            handles.append(ConcatCondition(concat).attach(self.unet))
        if stop > 0:
            handles.append(self.unet.register_forward_pre_hook(_stopping_at(stop), with_kwargs=True))
        worn: _Worn | None = getattr(self.unet, WORN, None)
        sharing = worn.report.sharing if worn else None
        if hint is not None:
            if sharing is None:
                raise InputError("Expected an adapter with control, found none. Take one of the hint modes.")
            sharing.set_hint(hint)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            resume_adapter(self.unet)
            if sharing is not None:
                sharing.state.signals = {}


def check_strength(strength: float) -> None:
    """Raises InputError unless an adapter can be applied this strongly."""
    if not 0 <= strength <= 2:
        raise InputError(f"Expected an adapter strength of 0 to 2, found {strength}. 1 is what was trained.")


def _what(source: AdapterSource, strength: float) -> tuple[object, ...]:
    """Tells adapters apart, and a file from what it was before it was written again."""
    each = source if isinstance(source, tuple) else (source,)
    stats = [path.stat() for path in each if isinstance(path, Path) and path.is_file()]
    return source, strength, *((stat.st_mtime_ns, stat.st_size) for stat in stats)


@cache
def sigma_table() -> Tensor:
    """Noise level of each of the 1000 training timesteps of Stable Diffusion 1.5 and XL. Source: SPEC e."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, TRAINING_TIMESTEPS, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, 0)
    return ((1 - kept) / kept) ** 0.5


def sigma_at(timestep: float) -> float:
    """Noise level of a timestep of 0 to 999, interpolated in its logarithm."""
    logs = sigma_table().log()
    low = min(max(int(timestep), 0), TRAINING_TIMESTEPS - 2)
    share = timestep - low
    return float((logs[low] * (1 - share) + logs[low + 1] * share).exp())


def stop_sigma(share: float) -> float:
    """The noise level below which steps are beyond `share` of the schedule. Source: SPEC d.4 ("stop at")."""
    if share >= 1:
        return 0.0
    return 1e9 if share <= 0 else sigma_at((1 - share) * (TRAINING_TIMESTEPS - 1))


def _stopping_at(sigma: float) -> Any:  # noqa: ANN401 - a module hook
    def pause_below(unet: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:  # noqa: ANN401
        timestep = options["timestep"] if "timestep" in options else inputs[1]
        now = float(timestep.flatten()[0]) if isinstance(timestep, Tensor) else float(timestep)
        (pause_adapter if sigma_at(now) < sigma else resume_adapter)(unet)

    return pause_below
