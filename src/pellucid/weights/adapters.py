"""Applies released adapters to a diffusers UNet and takes them off, bit for bit. Source: SPEC a.2 to a.4."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.errors import InputError, WeightsError
from pellucid.models.attention_sharing import AttentionSharing, attention_modules
from pellucid.weights.key_maps import ldm_to_diffusers
from pellucid.weights.store import fill, locate, shapes, tensors_in

BACKUP = "_pellucid_backup"  # attribute of the UNet
HOOKERS = "hookers."


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterReport:
    """What an adapter did."""

    kind: str
    """"lora", "weight_deltas" or "attention_sharing"."""
    changed: tuple[str, ...]
    """diffusers names that it changed."""
    unmatched: tuple[str, ...]
    """Names in the file that fit nothing in the UNet; the released code is silent about them."""
    sharing: AttentionSharing | None = None
    """The attached units, whose `state` and `set_hint` take prompts and hints."""


@dataclass
class _Backup:
    """What the UNet had before; while an adapter is paused, what the adapter had made of it."""

    parameters: dict[str, nn.Parameter] = field(default_factory=dict[str, nn.Parameter])
    processors: dict[str, Any] | None = None
    paused: bool = False


def merge_lora(weight: Tensor, up: Tensor, down: Tensor, strength: float) -> Tensor:
    """W + strength * up @ down in float32, in the dtype of `weight`. Source: SPEC a.3.

    Of a convolution, a row of `down` is a whole kernel (LoCon).
    """
    difference = (up.float() @ down.float()).view(weight.shape)
    return (weight.float() + strength * difference).to(weight.dtype)


def merge_delta(weight: Tensor, delta: Tensor, strength: float) -> Tensor:
    """W + strength * delta in float32; a convolution grows, padded with 0. Source: SPEC a.3.

    Raises:
        InputError: the shapes differ and are no convolution's.
    """
    if weight.shape != delta.shape:
        if weight.ndim != 4 or delta.ndim != 4:
            raise InputError(
                f"Expected a difference of shape {tuple(weight.shape)}, found {tuple(delta.shape)}. "
                "Take the file made for this base model."
            )
        whole = [max(sides) for sides in zip(weight.shape, delta.shape, strict=True)]
        grown = torch.zeros(whole, dtype=torch.float32, device=weight.device)
        grown[tuple(slice(side) for side in weight.shape)] = weight.float()
        grown[tuple(slice(side) for side in delta.shape)] += strength * delta.float()
        return grown.to(weight.dtype)
    return (weight.float() + strength * delta.float()).to(weight.dtype)


def apply_adapter(unet: nn.Module, source: str | Path, strength: float = 1.0) -> AdapterReport:
    """Merges or attaches an adapter; the kind is seen from the names in the file.

    Several files may be applied one after another; `remove_adapter` takes all off. A grown `conv_in` changes
    the module, not `unet.config`, from which pipelines read the channels of the latent.

    Args:
        unet: diffusers UNet of the base model.
        source: path or name, see `pellucid.weights.store.locate`.
        strength: factor of the change; 0 leaves every value as it is. Attention sharing has only 0 and 1.

    Raises:
        WeightsError: nothing in the file fits.
        InputError: a strength that the kind does not have.
    """
    path = locate(source)
    names = list(shapes(path))
    if any(name.startswith(HOOKERS) for name in names):
        return _attach_sharing(unet, path, strength)
    patches, unmatched = _group(unet, names)
    if not patches:
        raise WeightsError.mismatch(path, missing=dict(unet.named_parameters()).keys(), unexpected=names)
    _check_shapes(unet, path, patches)
    backup = _backup_of(unet)
    with tensors_in(path) as tensor, torch.no_grad():
        for name, slots in patches.items():
            module, leaf = _owner(unet, name)
            original: nn.Parameter = getattr(module, leaf)
            tensors = [tensor(slots[i]).to(original.device) for i in sorted(slots)]
            base, first = original.detach(), tensors[0]
            if len(tensors) == 2:
                merged = merge_lora(base, first, tensors[1], strength)
            else:
                merged = merge_delta(base, first, strength)
            backup.parameters.setdefault(name, original)
            _put(module, leaf, nn.Parameter(merged, requires_grad=original.requires_grad))
    kind = "lora" if any(len(slots) == 2 for slots in patches.values()) else "weight_deltas"
    return AdapterReport(kind=kind, changed=tuple(patches), unmatched=tuple(unmatched))


def remove_adapter(unet: nn.Module) -> None:
    """Puts back the very tensors and attention processors that `apply_adapter` replaced; nothing if none."""
    backup: _Backup | None = getattr(unet, BACKUP, None)
    if backup is None:
        return
    resume_adapter(unet)
    for name, original in backup.parameters.items():
        module, leaf = _owner(unet, name)
        current: nn.Parameter = getattr(module, leaf)
        _put(module, leaf, nn.Parameter(original.detach().to(current.device), original.requires_grad))
    if backup.processors is not None:
        AttentionSharing.detach(unet, backup.processors)
    delattr(unet, BACKUP)


def pause_adapter(unet: nn.Module) -> None:
    """Lets the UNet run as it was before, at no cost but the memory, until `resume_adapter`."""
    _exchange(unet, pause=True)


def resume_adapter(unet: nn.Module) -> None:
    """Ends `pause_adapter`; nothing if there is no pause."""
    _exchange(unet, pause=False)


def _exchange(unet: nn.Module, *, pause: bool) -> None:
    backup: _Backup | None = getattr(unet, BACKUP, None)
    if backup is None or backup.paused == pause:
        return
    for name, other in backup.parameters.items():
        module, leaf = _owner(unet, name)
        current: nn.Parameter = getattr(module, leaf)
        backup.parameters[name] = current
        _put(module, leaf, nn.Parameter(other.detach().to(current.device), other.requires_grad))
    if backup.processors is not None:
        for name, module in attention_modules(unet):
            other = backup.processors[name]
            backup.processors[name] = module.processor
            module.set_processor(other)
    backup.paused = pause


def _backup_of(unet: nn.Module) -> _Backup:
    if getattr(unet, BACKUP, None) is None:
        object.__setattr__(unet, BACKUP, _Backup())
    return getattr(unet, BACKUP)


def _group(unet: nn.Module, names: list[str]) -> tuple[dict[str, dict[int, str]], list[str]]:
    """Diffusers name -> slot -> name in the file, and what fits nothing."""
    own = {name for name, _ in unet.named_parameters()}
    patches: dict[str, dict[int, str]] = {}
    unmatched: list[str] = []
    for name in names:
        target, kind, slot = _parse(name)
        if target in own and (kind, slot) in {("lora", 0), ("lora", 1), ("diff", 0)}:
            patches.setdefault(target, {})[slot] = name
        else:
            unmatched.append(name)
    return patches, unmatched


def _parse(name: str) -> tuple[str | None, str, int]:
    parts = name.split("::")
    if len(parts) == 3 and parts[2].isdigit():
        return ldm_to_diffusers(parts[0]) or parts[0], parts[1], int(parts[2])
    return name, "diff", 0  # a file of plain diffusers names


def _check_shapes(unet: nn.Module, path: Path, patches: dict[str, dict[int, str]]) -> None:
    """Refuses before anything is changed, so that a wrong file leaves the UNet whole."""
    found, own = shapes(path), {name: tuple(value.shape) for name, value in unet.named_parameters()}
    wrong = list(_misfits(found, own, patches))
    if wrong:
        raise WeightsError(
            f"{path} does not fit this UNet: {len(wrong)} tensors have other shapes: {', '.join(wrong[:3])}. "
            "Take the file made for this base model."
        )


def _misfits(
    found: dict[str, tuple[int, ...]], own: dict[str, tuple[int, ...]], patches: dict[str, dict[int, str]]
) -> Iterator[str]:
    for name, slots in patches.items():
        first: tuple[int, ...] = found.get(slots.get(0, ""), ())
        if "::lora::" in next(iter(slots.values())):
            second: tuple[int, ...] = found.get(slots.get(1, ""), ())
            fits = (
                len(first) == len(second) == 2
                and first[1] == second[0]
                and own[name][0] == first[0]
                and math.prod(own[name][1:]) == second[1]
            )
        else:
            # a convolution may grow, as conv_in does, but only in its inputs
            grows = (
                len(first) == len(own[name]) == 4 and first[0] == own[name][0] and first[2:] == own[name][2:]
            )
            fits = first == own[name] or grows
        if not fits:
            yield f"{name} {own[name]} but {first}"


def _owner(unet: nn.Module, name: str) -> tuple[nn.Module, str]:
    parent, _, leaf = name.rpartition(".")
    return unet.get_submodule(parent), leaf


def _put(module: nn.Module, leaf: str, value: nn.Parameter) -> None:
    setattr(module, leaf, value)
    if isinstance(module, nn.Conv2d) and leaf == "weight":
        module.in_channels = value.shape[1]


def _attach_sharing(unet: nn.Module, path: Path, strength: float) -> AdapterReport:
    if strength not in (0.0, 1.0):
        raise InputError(f"Attention sharing has strength 0 or 1, found {strength}. Pass 1.")
    found = shapes(path)
    frames = sum(f"hookers.layers.0.to_q_lora.{f}.down.weight" in found for f in range(3))
    control = any(name.startswith("kwargs_encoder.") for name in found)
    rank = found.get("hookers.layers.0.to_q_lora.0.down.weight", (256,))[0]
    sharing = AttentionSharing.for_unet(unet, frames=max(frames, 1), rank=rank, control=control)
    fill(sharing, path, HOOKERS)
    like = next(unet.parameters())
    nn.Module.to(sharing, device=like.device, dtype=like.dtype).eval()  # diffusers' own `to` warns of half
    changed: tuple[str, ...] = ()
    if strength:
        previous, backup = sharing.attach(unet), _backup_of(unet)
        backup.processors = backup.processors or previous
        changed = tuple(previous)
    return AdapterReport(kind="attention_sharing", changed=changed, unmatched=(), sharing=sharing)
