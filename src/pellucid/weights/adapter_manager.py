"""Keeps the adapters of one denoiser, which has one set at a time."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from torch import Tensor, nn

from pellucid.errors import InputError
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.models.latent_inputs import unwrapped
from pellucid.models.showing import shown_latents
from pellucid.weights.adapter_state import AdapterReport, check_unchanged, state_of
from pellucid.weights.adapters import (
    attach_units,
    disable_adapters,
    enable_adapters,
    remove_adapter,
    stack_adapters,
)
from pellucid.weights.hub import is_path

TRAINING_TIMESTEPS = 1000
TIME_NAMES = ("timestep", "timesteps", "t")
"""What denoisers call the time in their calls; elsewhere it comes second."""
AdapterSource = str | Path | tuple[str | Path, ...] | None


class AdapterManager:
    """Sets adapters on a denoiser and takes them off; the last one stays until another is set.

    State is kept for each denoiser, so pipelines that share a UNet see the same adapter.
    Every change happens wholly or not at all, whatever interrupts it. LoRAs that diffusers loads stay in
    force, whichever came first. Not safe for threads by itself: the pipeline that samples holds the lock.
    """

    def __init__(self, denoiser: nn.Module, strength: float = 1.0) -> None:
        """Manages `denoiser`, a diffusers UNet or transformer, compiled or not.

        Args:
            denoiser: the module that the pipeline calls.
            strength: of every adapter that has one, 0 to 2.

        Raises:
            InputError: another strength.
        """
        check_adapter_strength(strength)
        self.called, self.strength = denoiser, strength

    @property
    def denoiser(self) -> nn.Module:
        """Returns the denoiser whose weights are changed, without `torch.compile`'s wrapper."""
        return unwrapped(self.called)

    def set(self, source: AdapterSource, strength: float | None = None) -> AdapterReport | None:
        """Replaces what is set by the adapter `source`, or by several on top of one another.

        Does nothing if that is what is set, and the file is the same.

        Args:
            source: see `pellucid.weights.hub.locate`; None is the plain denoiser.
            strength: of them; None takes the manager's.

        Returns:
            What the last of them did.

        Raises:
            WeightsError: a file is absent or has a tensor without a place, or others have changed the
                weights since. Nothing has changed then.
            InputError: a strength that the adapter does not have.
        """
        strength = self.strength if strength is None else strength
        check_adapter_strength(strength)
        # the file's time and size are in the key: a file that was trained again is loaded again
        key = _key(source, strength)
        contents = state_of(self.denoiser).contents
        if source is None or source == ():
            remove_adapter(self.denoiser)
            return None
        if contents.key == key:
            enable_adapters(self.denoiser)
            if contents.sharing is not None and not contents.sharing.is_attached(self.denoiser):
                attach_units(self.denoiser)  # others have set processors, as an IP-Adapter does
            return contents.report
        sources = source if isinstance(source, tuple) else (source,)
        return stack_adapters(self.denoiser, sources, strength, key=key)

    def unload(self) -> None:
        """Makes the denoiser plain again, bit for bit; raises WeightsError as `set` does."""
        self.set(None)

    @contextmanager
    def disabled(self) -> Generator[None]:
        """Makes the denoiser plain for a while; adapters are kept in memory, not loaded again.

        Raises:
            WeightsError: others have changed the weights since they were set, or within.
        """
        disabled = disable_adapters(self.denoiser)
        try:
            yield
        finally:
            if disabled:
                enable_adapters(self.denoiser)

    @contextmanager
    def conditioned(self, concat: Tensor | None, hint: Tensor | None, *, end: float = 1.0) -> Generator[None]:
        """Shows the denoiser images while it samples, and leaves no hook behind.

        Args:
            concat: scaled latents (rows, c, h, w) for the extra input channels, or for frame units that are
                shown images; one for all rows, or one each.
            hint: images (scenes, 3, h, w), [0, 1], for attention sharing with control.
            end: share of the schedule, 0 to 1, after which the plain denoiser goes on alone, as
                `control_guidance_end` of a ControlNet. Counts in timesteps of 0 to 999.

        Raises:
            InputError: a hint for an adapter that takes none, or another `end`.
            WeightsError: with `end`, if others have changed the weights since they were set.
        """
        if not 0 <= end <= 1:
            raise InputError(f"Expected end of 0 to 1, found {end}. 1 uses the adapter in every step.")
        contents = state_of(self.denoiser).contents
        with ExitStack() as stack:
            if end < 1:
                check_unchanged(self.denoiser, contents)
                # hooks of the outer module run before compiled code, which would not notice new ones
                hook = self.called.register_forward_pre_hook(_ending_at(end, self.denoiser), with_kwargs=True)
                stack.callback(enable_adapters, self.denoiser)
                stack.callback(hook.remove)
            # after the hook above, since it decides how many channels the first convolution reads
            if concat is not None:
                stack.enter_context(shown_latents(self.called, concat))
            if hint is not None:
                _show_hint(contents.sharing, hint, stack)
            yield


def _show_hint(sharing: AttentionSharing | None, hint: Tensor, stack: ExitStack) -> None:
    if sharing is None:
        raise InputError("Expected an adapter with control, found none. Take one of the hint modes.")
    stack.callback(_forget_hint, sharing)
    sharing.set_hint(hint)


def _forget_hint(sharing: AttentionSharing) -> None:
    sharing.state.control_features = {}


def check_adapter_strength(strength: float) -> None:
    """Raises InputError unless an adapter can be applied this strongly."""
    if not 0 <= strength <= 2:
        raise InputError(f"Expected an adapter strength of 0 to 2, found {strength}. 1 is what was trained.")


def _key(source: AdapterSource, strength: float) -> tuple[object, ...]:
    """Tells adapters apart, and a file from what it was before it was written again."""
    sources = source if isinstance(source, tuple) else (source,)
    paths = [Path(one).expanduser() for one in sources if one is not None and is_path(one)]
    stats = [path.stat() for path in paths if path.is_file()]
    return source, strength, *((stat.st_mtime_ns, stat.st_size) for stat in stats)


def last_timestep(end: float) -> float:
    """Returns the lowest of the timesteps, 0 to 999, at which an adapter with this `end` still works.

    Source: docs/released-format.md d.4 ("stop at"), where the same share is told as a noise level.
    """
    return (1 - end) * (TRAINING_TIMESTEPS - 1) if end > 0 else float("inf")


def _ending_at(end: float, denoiser: nn.Module) -> Callable[..., None]:
    last, clock = last_timestep(end), _Clock()

    def enable_or_disable(_: nn.Module, inputs: tuple[object, ...], options: Mapping[str, object]) -> None:
        names = [name for name in TIME_NAMES if name in options]
        timestep = clock.read(options[names[0]] if names else inputs[1])
        (disable_adapters if timestep < last else enable_adapters)(denoiser)

    return enable_or_disable


class _Clock:
    """Reads what denoisers are told of time: a timestep, its share of 1000, or the share that is done.

    Which of them the first call tells, since sampling begins at noise.
    """

    def __init__(self) -> None:
        self.first: float | None = None

    def read(self, told: object) -> float:
        """Returns the timestep, 0 to 1000."""
        if isinstance(told, Tensor):
            # all rows of a batch are at one timestep
            told = told.flatten()[0].item()
        assert isinstance(told, int | float)
        self.first = told if self.first is None else self.first
        if self.first > 1:
            return told
        return TRAINING_TIMESTEPS * (told if self.first > 0.5 else 1 - told)
