"""Remembers what adapters replaced in a denoiser, and replaces it whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from pellucid.errors import WeightsError
from pellucid.models.attention_sharing import (
    AttentionSharing,
    SharingProcessor,
    attention_modules,
    stock_processor,
)
from pellucid.models.frame_hooks import put_units, units_on
from pellucid.models.frame_units import FrameUnits
from pellucid.weights.placement import (
    Slot,
    as_like,
    check_not_fused,
    check_present,
    check_reachable,
    merged_loras,
    sample,
)
from pellucid.weights.side_differences import (
    ForgetCompiled,
    SideChange,
    SideDifference,
    Sides,
    side_changes,
)

ROUNDING = 4e-6
"""By how much float32 weights may differ, as a share of their norm, after others added and took off again."""
ROUNDINGS_OF_HALF = 2.0
"""The same for half precisions, in their own epsilons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterReport:
    """Tells what an adapter did."""

    kind: str
    """"lora", "weight_deltas", "attention_sharing" or "frame_units"."""
    changed: tuple[str, ...]
    """diffusers names that it changed."""
    unmatched: tuple[str, ...] = ()
    """Always empty, since a tensor without a place is an error; kept for one release."""
    sharing: AttentionSharing | None = None
    """The attached units, whose `state` and `set_hint` take prompts and hints."""


@dataclass(frozen=True, slots=True)
class PutParameter:
    """Replaces a parameter; may be applied any number of times."""

    slot: Slot
    value: nn.Parameter

    def apply(self) -> None:
        """Puts the value there."""
        self.slot.put(self.value)

    def inverse(self) -> "PutParameter":
        """Makes the change that restores what is there now."""
        return PutParameter(self.slot, self.slot.value)


@dataclass(frozen=True, slots=True)
class PutProcessor:
    """Replaces an attention's processor; may be applied any number of times."""

    attention: Attention
    processor: object

    def apply(self) -> None:
        """Puts the processor there."""
        self.attention.set_processor(self.processor)  # pyright: ignore[reportArgumentType]

    def inverse(self) -> "PutProcessor":
        """Makes the change that restores what is there now."""
        return PutProcessor(self.attention, self.attention.processor)


@dataclass(frozen=True, slots=True)
class PutFrames:
    """Replaces the frame units of a transformer; may be applied any number of times."""

    denoiser: nn.Module
    units: FrameUnits | None

    def apply(self) -> None:
        """Lets the units run there."""
        put_units(self.denoiser, self.units)

    def inverse(self) -> "PutFrames":
        """Makes the change that restores what is there now."""
        return PutFrames(self.denoiser, units_on(self.denoiser))


Change = PutParameter | PutProcessor | PutFrames | SideChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Remembers one merged parameter."""

    name: str
    slot: Slot
    aside: nn.Parameter
    """The original; while adapters are disabled, what they had made of it."""
    sample: Tensor
    """Of what is in the denoiser, to notice changes by others."""
    fused: tuple[str, ...]
    """LoRAs that PEFT had fused into the layer then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Says what adapters have made of a denoiser. Never changed, only replaced by a whole other one."""

    patches: tuple[Patch, ...] = ()
    sides: Sides = field(default_factory=dict[Slot, tuple[SideDifference, ...]])
    """Differences beside weights that none can be merged into, there while adapters are enabled."""
    sharing: AttentionSharing | None = None
    frames: FrameUnits | None = None
    stock: Mapping[str, object] = field(default_factory=dict[str, object])
    """Processors that attention sharing replaced, by the attention's name."""
    enabled: bool = True
    key: object = None
    """What the adapter manager was asked for."""
    report: AdapterReport | None = None
    undo: tuple[Change, ...] = ()
    """What has to be done to come back to these contents while a swap is unfinished."""

    @property
    def is_plain(self) -> bool:
        """Tells whether nothing is set."""
        return not self.changes_anything and self.key is None

    @property
    def changes_anything(self) -> bool:
        """Tells whether the denoiser is another one with what is set."""
        units = self.sharing is not None or self.frames is not None
        return bool(self.patches) or bool(self.sides) or units


class AdapterState:
    """Holds the contents of one denoiser, and swaps them.

    Everything that a swap decides is one assignment to `contents`. An exception before it, Ctrl-C included,
    leads back to the contents before; should that be interrupted as well, the next call completes it.
    """

    def __init__(self) -> None:
        """Starts with a plain denoiser."""
        self.contents = Contents()

    def swap(self, changes: Sequence[Change], after: Contents) -> None:
        """Makes all changes, which must have been built before, or none."""
        before = self.contents
        undo = tuple(change.inverse() for change in changes)
        try:
            # noted before the first change, so that an interruption at any line can be taken back
            self.contents = replace(before, undo=undo)
            for change in changes:
                change.apply()
            self.contents = after
        except BaseException:
            self.recover()
            raise

    def recover(self) -> None:
        """Takes back an unfinished swap; nothing if there is none."""
        if not self.contents.undo:
            return
        for change in self.contents.undo:
            change.apply()
        self.contents = replace(self.contents, undo=())


# Weak, so that a denoiser is freed with its pipeline; beside the module, since attributes would be saved.
_STATES: WeakKeyDictionary[nn.Module, AdapterState] = WeakKeyDictionary()


def state_of(denoiser: nn.Module) -> AdapterState:
    """Returns what is remembered of a denoiser, after taking back what an interrupted call left."""
    state = _STATES.get(denoiser)
    if state is None:
        # setdefault, since two threads may ask at once and must get one state
        state = _STATES.setdefault(denoiser, AdapterState())
    state.recover()
    return state


def check_unchanged(denoiser: nn.Module, contents: Contents) -> None:
    """Refuses to put originals back over weights that others have changed since.

    Raises:
        WeightsError: they have, and what would be lost.
    """
    if not contents.patches and not contents.sides:
        return
    check_reachable(denoiser)
    check_present(denoiser, (*(patch.slot for patch in contents.patches), *contents.sides))
    check_not_fused(denoiser, (patch.slot for patch in contents.patches))
    now = merged_loras(denoiser)
    for patch in contents.patches:
        fused = now.get(patch.slot.module)
        if fused is not None and fused != patch.fused:
            raise _fused_since(patch, fused)
        if not _same(patch, wrapped=fused is not None):
            raise WeightsError(
                f"Expected {patch.name} as the adapter left it, found it changed since, as by a LoRA that "
                "was fused and then unloaded. Load the model again, and fuse or edit weights before that."
            )


def _fused_since(patch: Patch, fused: tuple[str, ...]) -> WeightsError:
    names, before = (", ".join(some) or "none" for some in (fused, patch.fused))
    remedy = "fuse_lora() as before" if len(fused) < len(patch.fused) else "unfuse_lora()"
    return WeightsError(
        f"Expected the LoRAs fused into {patch.name} to be those of when the adapter came ({before}), found "
        f"{names}. Call {remedy} first, then change the adapter."
    )


def _same(patch: Patch, *, wrapped: bool) -> bool:
    """Compares what is in the denoiser with what was put there, cast or not."""
    value = patch.slot.value
    now, then = sample(value), patch.sample
    if now.shape != then.shape:
        return False
    then = then.to(now.device)
    # `.to(dtype)` since then has rounded once, or twice if it went there and back
    casts = (value.dtype, torch.bfloat16, torch.float16)
    candidates: list[Tensor] = [then, *(then.to(dtype).to(now.dtype) for dtype in casts)]
    if any(torch.equal(now, candidate) for candidate in candidates):
        return True
    # PEFT's fusing and unfusing leaves rounding errors; in half precision they could hide a weak LoRA, so
    # they are tolerated only where PEFT itself still says what is fused
    if value.dtype.itemsize >= 4:
        tolerance = ROUNDING
    else:
        tolerance = ROUNDINGS_OF_HALF * torch.finfo(value.dtype).eps if wrapped else 0.0
    return any(bool(_norm(now - candidate) <= tolerance * _norm(candidate)) for candidate in candidates[:2])


def _norm(x: Tensor) -> Tensor:
    return x.norm()


def patched(
    denoiser: nn.Module, named: Iterable[tuple[str, Slot, nn.Parameter, nn.Parameter]]
) -> tuple[Patch, ...]:
    """Makes patches of (name, slot, parameter to set aside, parameter that is put there)."""
    fused = merged_loras(denoiser)
    return tuple(
        Patch(name=name, slot=slot, aside=aside, sample=sample(put), fused=fused.get(slot.module, ()))
        for name, slot, aside, put in named
    )


def detaching(denoiser: nn.Module, contents: Contents) -> list[Change]:
    """Plans to take attention-sharing units off; processors that were set since stay."""
    if contents.sharing is None:
        return []
    return [
        PutProcessor(module, contents.stock[name])
        for name, module in attention_modules(denoiser)
        if isinstance(module.processor, SharingProcessor)
    ]


def attaching(
    denoiser: nn.Module, sharing: AttentionSharing, contents: Contents
) -> tuple[list[Change], dict[str, object]]:
    """Plans to put units in place of attentions.

    Returns:
        The changes, and what the attentions ran before, by name.
    """
    changes: list[Change] = []
    stock: dict[str, object] = {}
    for name, module, unit in sharing.units_for(denoiser):
        processor = module.processor
        # diffusers makes processors of our class without a unit when IP-Adapters come while units are on
        orphan = isinstance(processor, SharingProcessor) and processor.unit is None
        stock[name] = (
            contents.stock[name] if orphan and name in contents.stock else stock_processor(processor)
        )
        changes.append(PutProcessor(module, SharingProcessor(unit, sharing.state, stock[name])))
    return changes, stock


def frame_changes(denoiser: nn.Module, units: FrameUnits | None) -> list[Change]:
    """Plans to let a transformer's units run, or none; nothing where they do already."""
    if units_on(denoiser) is units:
        return []
    return [PutFrames(denoiser, units), ForgetCompiled()]


def toggle(denoiser: nn.Module, *, enabled: bool) -> bool:
    """Swaps the plain denoiser and its adapters; returns whether anything was to do.

    Raises:
        WeightsError: see `check_unchanged`; nothing has changed then.
    """
    state = state_of(denoiser)
    contents = state.contents
    if contents.enabled == enabled or not contents.changes_anything:
        return False
    check_unchanged(denoiser, contents)
    puts = [(patch, as_like(patch.aside, patch.slot.value)) for patch in contents.patches]
    patches = patched(denoiser, ((patch.name, patch.slot, patch.slot.value, put) for patch, put in puts))
    changes: list[Change] = [PutParameter(patch.slot, put) for patch, put in puts]
    changes += side_changes({} if enabled else contents.sides, contents.sides if enabled else {})
    stock = contents.stock
    if contents.sharing is not None and enabled:
        put_units, stock = attaching(denoiser, contents.sharing, contents)
        changes += put_units
    else:
        changes += detaching(denoiser, contents)
    changes += frame_changes(denoiser, contents.frames if enabled else None)
    state.swap(changes, replace(contents, patches=patches, enabled=enabled, stock=stock))
    return True
