"""Applies adapters to a diffusers denoiser and takes them off, bit for bit.

Source: docs/released-format.md a.2 to a.4.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.errors import InputError, WeightsError
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.models.frame_units import FrameUnits, names_of
from pellucid.models.latent_inputs import unwrapped
from pellucid.weights.adapter_state import (
    AdapterReport,
    Change,
    Contents,
    PutParameter,
    attaching,
    check_unchanged,
    detaching,
    frame_changes,
    patched,
    state_of,
    toggle,
)
from pellucid.weights.file_names import Shape, delta_fits, first_weight, lora_fits, parse_name, without_place
from pellucid.weights.hub import locate
from pellucid.weights.layer_units import FRAME_UNITS, HOOKERS, read_frames, read_sharing
from pellucid.weights.placement import (
    Slot,
    as_like,
    check_mergeable,
    check_not_fused,
    fused_layers,
    slots_of,
)
from pellucid.weights.side_differences import (
    SideDifference,
    check_layer,
    is_dense,
    shape_of,
    side_changes,
)
from pellucid.weights.tensor_files import shapes, tensors_in


def merge_lora(weight: Tensor, up: Tensor, down: Tensor, strength: float) -> Tensor:
    """Computes W + strength * up @ down in float32, in the dtype of `weight`.

    Source: docs/released-format.md a.3.

    Of a convolution, a row of `down` is a whole kernel (LoCon).
    """
    # in float32, since half precision would round the product and the sum; in place, since new memory costs
    # more than the sum
    difference = (up.float() @ down.float()).view(weight.shape).mul_(strength)
    return difference.add_(weight.float()).to(weight.dtype)


def merge_delta(weight: Tensor, delta: Tensor, strength: float) -> Tensor:
    """Computes W + strength * delta in float32; a first layer grows, padded with 0.

    Source: docs/released-format.md a.3.

    Raises:
        InputError: the shapes differ in more than their inputs.
    """
    if weight.shape != delta.shape:
        if _without_inputs(weight) != _without_inputs(delta):
            raise InputError(
                f"Expected a difference of shape {tuple(weight.shape)}, found {tuple(delta.shape)}. "
                "Take the file made for this base model."
            )
        whole = [max(sides) for sides in zip(weight.shape, delta.shape, strict=True)]
        grown = torch.zeros(whole, dtype=torch.float32, device=weight.device)
        grown[tuple(slice(side) for side in weight.shape)] = weight.float()
        grown[tuple(slice(side) for side in delta.shape)] += strength * delta.float()
        return grown.to(weight.dtype)
    return (strength * delta.float()).add_(weight.float()).to(weight.dtype)


def _without_inputs(weight: Tensor) -> Shape:
    return *weight.shape[:1], *weight.shape[2:]


def apply_adapter(unet: nn.Module, source: str | Path, strength: float = 1.0) -> AdapterReport:
    """Merges or attaches an adapter on top of what is there; the names in the file tell its kind.

    `remove_adapter` takes off all that were applied. A grown `conv_in` changes the module, not `unet.config`,
    from which pipelines read the channels of the latent. LoRAs of PEFT stay in force, whichever came first.

    Args:
        unet: diffusers UNet or transformer of the base model, compiled or not.
        source: path or name, see `pellucid.weights.hub.locate`.
        strength: factor of the change; 0 leaves every value as it is. Attention sharing has only 0 and 1.

    Raises:
        WeightsError: a tensor of the file has no place here, or the weights cannot be changed now. Nothing
            has changed then.
        InputError: a strength that the kind does not have.
    """
    return stack_adapters(unet, (source,), strength, keep=True)


def stack_adapters(
    denoiser: nn.Module,
    sources: Iterable[str | Path],
    strength: float,
    *,
    keep: bool = False,
    key: object = None,
) -> AdapterReport:
    """Puts adapters on top of one another, all or none.

    Args:
        denoiser: see `apply_adapter`.
        sources: at least one, the lowest first.
        strength: of each.
        keep: whether they come on top of what is there already, or in its place.
        key: what to remember them by.

    Returns:
        What the last of them did.

    Raises:
        WeightsError: see `apply_adapter`.
        InputError: see `apply_adapter`.
    """
    denoiser = unwrapped(denoiser)
    state = state_of(denoiser)
    check_unchanged(denoiser, state.contents)
    stack = AdapterStack(denoiser, state.contents, keep=keep)
    with torch.no_grad():
        reports = [stack.add(locate(source), strength) for source in sources]
        changes, after = stack.built(key, reports[-1])
    state.swap(changes, after)
    return reports[-1]


def attach_units(denoiser: nn.Module) -> None:
    """Puts attention-sharing units back that others have replaced by processors, on top of these.

    Raises:
        WeightsError: fused projections replace them. Nothing has changed then.
    """
    state = state_of(denoiser)
    check_unchanged(denoiser, state.contents)
    _check_separate(denoiser)
    stack = AdapterStack(denoiser, state.contents, keep=True)
    state.swap(*stack.built(state.contents.key, state.contents.report))


def remove_adapter(unet: nn.Module) -> None:
    """Puts back the very tensors and attention processors that adapters replaced; nothing if there are none.

    Tensors come in the dtype and on the device that the UNet has now.

    Raises:
        WeightsError: others have changed merged weights since. Nothing has changed then.
    """
    denoiser = unwrapped(unet)
    state = state_of(denoiser)
    if state.contents.is_plain:
        return
    check_unchanged(denoiser, state.contents)
    state.swap(*AdapterStack(denoiser, state.contents, keep=False).built(None, None))


def disable_adapters(unet: nn.Module) -> bool:
    """Lets the UNet run as without adapters, at no cost but the memory, until `enable_adapters`.

    Returns:
        Whether there was anything to disable.

    Raises:
        WeightsError: others have changed merged weights since. Nothing has changed then.
    """
    return toggle(unwrapped(unet), enabled=False)


def enable_adapters(unet: nn.Module) -> bool:
    """Ends `disable_adapters`; the same result and errors."""
    return toggle(unwrapped(unet), enabled=True)


class AdapterStack:
    """Builds what a denoiser will be with adapters on it, and leaves the denoiser alone."""

    def __init__(self, denoiser: nn.Module, before: Contents, *, keep: bool) -> None:
        """Starts from what is on the denoiser, or from the plain one unless `keep`."""
        self.denoiser, self.before = denoiser, before
        self.slots = slots_of(denoiser)
        self.names = {slot: name for name, slot in self.slots.items()} | {
            patch.slot: patch.name for patch in before.patches
        }
        self.originals = {
            patch.slot: as_like(patch.aside, patch.slot.value) if before.enabled else patch.slot.value
            for patch in before.patches
        }
        self.merged: dict[Slot, Tensor] = {}
        self.sides: dict[Slot, tuple[SideDifference, ...]] = {}
        self.sharing: AttentionSharing | None = None
        self.frames: FrameUnits | None = None
        if keep:
            self.sharing, self.frames, self.sides = before.sharing, before.frames, dict(before.sides)
            for patch in before.patches:
                self.merged[patch.slot] = patch.slot.value if before.enabled else patch.aside

    def add(self, path: Path, strength: float) -> AdapterReport:
        """Puts one more file on top; raises as `apply_adapter` does."""
        stored = shapes(path)
        if any(name.startswith(HOOKERS) for name in stored):
            return self._add_sharing(path, stored, strength)
        if any(name.startswith(FRAME_UNITS) for name in stored):
            return self._add_frames(path, stored, strength)
        patches = self._placed(path, stored)
        slots = {name: self.slots[name] for name in patches}
        # what can be checked is checked before the first tensor is read
        beside = self._beside(slots)
        check_mergeable(
            self.denoiser,
            {name: self._original(slot) for name, slot in slots.items() if name not in beside},
        )
        check_not_fused(self.denoiser, slots.values())
        # a parameter at a time: files have up to 3.6 GB, and originals are kept too
        with tensors_in(path) as tensor:
            for name, names in patches.items():
                if name in beside:
                    parts = tuple(tensor(part_name) for part_name in names)
                    difference = SideDifference(slots[name].leaf, parts, strength)
                    self.sides[slots[name]] = (*self.sides.get(slots[name], ()), difference)
                    continue
                base = self._base(slots[name])
                parts = [tensor(part_name).to(base.device) for part_name in names]
                if len(parts) == 2:
                    self.merged[slots[name]] = merge_lora(base, parts[0], parts[1], strength)
                else:
                    self.merged[slots[name]] = merge_delta(base, parts[0], strength)
        kind = "lora" if any(len(names) == 2 for names in patches.values()) else "weight_deltas"
        return AdapterReport(kind=kind, changed=tuple(patches))

    def built(self, key: object, report: AdapterReport | None) -> tuple[list[Change], Contents]:
        """Returns the changes to make and the contents that the denoiser will then have."""
        # originals first: what no adapter of the new stack touches goes back to what it was
        puts: dict[Slot, nn.Parameter] = dict(self.originals)
        for slot, value in self.merged.items():
            current = slot.value
            puts[slot] = as_like(nn.Parameter(value.detach(), current.requires_grad), current)
        changes: list[Change] = [PutParameter(slot, value) for slot, value in puts.items()]
        changes += side_changes(self.before.sides if self.before.enabled else {}, self.sides)
        changes += detaching(self.denoiser, self.before)
        stock: Mapping[str, object] = {}
        if self.sharing is not None:
            units, stock = attaching(self.denoiser, self.sharing, self.before)
            changes += units
        changes += frame_changes(self.denoiser, self.frames)
        named = ((self.names[slot], slot, self._original(slot), puts[slot]) for slot in self.merged)
        after = Contents(
            patches=patched(self.denoiser, named),
            sides=self.sides,
            sharing=self.sharing,
            frames=self.frames,
            stock=stock,
            key=key,
            report=report,
        )
        return changes, after

    def _beside(self, slots: Mapping[str, Slot]) -> set[str]:
        """Returns the names of weights that nothing can be merged into, or that have something beside them.

        Raises:
            WeightsError: one of them is not in a layer that a difference can stand beside.
        """
        names = {name for name, slot in slots.items() if not is_dense(self._original(slot))}
        for name in names:
            check_layer(slots[name], name)
        return names

    def _original(self, slot: Slot) -> nn.Parameter:
        return self.originals.get(slot, slot.value)

    def _base(self, slot: Slot) -> Tensor:
        return self.merged.get(slot, self._original(slot)).detach()

    def _placed(self, path: Path, stored: Mapping[str, Shape]) -> dict[str, tuple[str, ...]]:
        """Returns the names in the file of each parameter: of a difference, or of a LoRA's up and down."""
        places: dict[tuple[str, str], dict[int, str]] = {}
        homeless: list[str] = []
        for name in stored:
            target, kind, index = parse_name(name)
            if target in self.slots and (kind, index) in {("lora", 0), ("lora", 1), ("diff", 0)}:
                places.setdefault((target, kind), {})[index] = name
            else:
                homeless.append(name)
        if homeless or not places:
            raise without_place(path, homeless, len(stored))
        stored_names = {
            target: tuple(names[i] for i in sorted(names)) for (target, _), names in places.items()
        }
        if sum(map(len, stored_names.values())) != len(stored):
            raise WeightsError(f"{path} changes a parameter in two ways. Take a file with one for each.")
        self._check_shapes(path, stored, places)
        return stored_names

    def _check_shapes(
        self, path: Path, stored: Mapping[str, Shape], places: Mapping[tuple[str, str], Mapping[int, str]]
    ) -> None:
        wrong: list[str] = []
        first = first_weight(self.denoiser)
        for (target, kind), names in places.items():
            slot = self.slots[target]
            base = self._base(slot)
            current = shape_of(slot, base)
            shapes_in_file = [stored[names[i]] for i in sorted(names)]
            fits = (
                lora_fits(current, shapes_in_file)
                if kind == "lora"
                else delta_fits(current, shapes_in_file[0], may_grow=target == first and is_dense(base))
            )
            if not fits:
                wrong.append(f"{target} {current} but {' and '.join(map(str, shapes_in_file))}")
        if wrong:
            raise WeightsError(
                f"{path} does not fit this UNet: {len(wrong)} tensors have other shapes: "
                f"{', '.join(wrong[:3])}. Take the file made for this base model."
            )

    def _add_sharing(self, path: Path, stored: Mapping[str, Shape], strength: float) -> AdapterReport:
        if strength not in (0.0, 1.0):
            raise InputError(f"Attention sharing has strength 0 or 1, found {strength}. Pass 1.")
        _check_separate(self.denoiser)
        sharing = read_sharing(self.denoiser, path, stored)
        if not strength:
            return AdapterReport(kind="attention_sharing", changed=(), sharing=sharing)
        self.sharing = sharing
        names = tuple(name for name, _, _ in sharing.units_for(self.denoiser))
        return AdapterReport(kind="attention_sharing", changed=names, sharing=sharing)

    def _add_frames(self, path: Path, stored: Mapping[str, Shape], strength: float) -> AdapterReport:
        _check_separate(self.denoiser)
        units = read_frames(self.denoiser, path, stored)
        units.state.strength = strength
        self.frames = units if strength else None
        return AdapterReport(kind="frame_units", changed=tuple(names_of(self.denoiser)) if strength else ())


def _check_separate(denoiser: nn.Module) -> None:
    if fused_layers(denoiser):
        raise WeightsError(
            "Expected separate query, key and value projections for attention sharing, found them fused. "
            "Call unfuse_qkv_projections() first."
        )
