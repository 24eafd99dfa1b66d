"""Adapters beside weights that nothing can be merged into: quantised ones, and those stored in 8 bits.

A hook on the layer adds what the difference makes of the layer's input, in the precision of its output. The
weights stay as they are, at the cost of the difference's memory and of its multiplications at every step.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary, ref

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pellucid.errors import WeightsError
from pellucid.weights.placement import Slot


@dataclass(eq=False, slots=True)
class SideDifference:
    """What one adapter adds to one layer: a whole difference of weight or bias, or a LoRA's two factors."""

    leaf: str
    """"weight" or "bias"."""
    parts: tuple[Tensor, ...]
    """The difference, or up and down. They move to where the layer computes, and stay there."""
    strength: float
    moved: tuple[Tensor, ...] = field(default=())

    def of(self, layer: nn.Module, x: Tensor, like: Tensor) -> Tensor:
        """Computes what is added to the output `like` that the layer made of `x`."""
        parts = self._beside(like)
        if self.leaf == "bias":
            return self.strength * (parts[0].view(-1, 1, 1) if isinstance(layer, nn.Conv2d) else parts[0])
        x = x.to(like)
        if isinstance(layer, nn.Conv2d):
            return self.strength * self._convolved(layer, x, parts)
        for part in reversed(parts):
            x = F.linear(x, part)
        return self.strength * x

    def _convolved(self, layer: nn.Conv2d, x: Tensor, parts: tuple[Tensor, ...]) -> Tensor:
        kernel = (-1, layer.in_channels // layer.groups, *layer.kernel_size)
        # the input is padded as the layer does it, whatever its way of padding
        made = layer._conv_forward(x, parts[-1].view(kernel), None)  # pyright: ignore[reportPrivateUsage]
        return made if len(parts) == 1 else F.conv2d(made, parts[0][..., None, None])

    def _beside(self, like: Tensor) -> tuple[Tensor, ...]:
        first = self.moved[0] if self.moved else None
        if first is None or first.device != like.device or first.dtype != like.dtype:
            self.moved = tuple(part.to(like) for part in self.parts)
        return self.moved


Sides = Mapping[Slot, tuple[SideDifference, ...]]
"""Differences by the parameter that they belong to, the lowest adapter's first."""


@dataclass(frozen=True, slots=True)
class _Hook:
    handle: RemovableHandle
    differences: tuple[SideDifference, ...]


# Weak, and beside the module: an attribute would be saved with it, or keep it alive.
_HOOKS: WeakKeyDictionary[nn.Module, _Hook] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class PutSides:
    """Replaces the differences beside one layer; may be applied any number of times."""

    layer: ref[nn.Module]
    differences: tuple[SideDifference, ...]

    def apply(self) -> None:
        """Puts the differences there."""
        layer = self.layer()
        if layer is None:
            return
        before = _HOOKS.get(layer)
        # the new hook first: an interruption between the two is taken back by the inverse
        if self.differences:
            handle = layer.register_forward_hook(_adding(self.differences))
            _HOOKS[layer] = _Hook(handle, self.differences)
        else:
            _HOOKS.pop(layer, None)
        if before is not None:
            before.handle.remove()

    def inverse(self) -> "PutSides":
        """Makes the change that restores what is there now."""
        layer = self.layer()
        hook = None if layer is None else _HOOKS.get(layer)
        return PutSides(self.layer, hook.differences if hook else ())


def _adding(
    differences: tuple[SideDifference, ...],
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for difference in differences:
            output = output + difference.of(layer, inputs[0], output)
        return output

    return add


@dataclass(frozen=True, slots=True)
class ForgetCompiled:
    """Has `torch.compile` compile anew: what it compiled does not notice hooks that come and go."""

    def apply(self) -> None:
        """Forgets all compiled code of the process; nothing where none can be."""
        if "torch._dynamo" in sys.modules:
            torch.compiler.reset()

    def inverse(self) -> "ForgetCompiled":
        """Makes the same, since the hooks of before would go unnoticed too."""
        return self


SideChange = PutSides | ForgetCompiled


def side_changes(before: Sides, after: Sides) -> list[SideChange]:
    """Plans the hooks that lead from some differences to others."""
    # a layer may have differences of its weight and of its bias
    layers: dict[ref[nn.Module], list[SideDifference]] = {slot.owner: [] for slot in (*before, *after)}
    for slot, differences in after.items():
        layers[slot.owner] += differences
    changes: list[SideChange] = [PutSides(owner, tuple(some)) for owner, some in layers.items()]
    return [*changes, ForgetCompiled()] if changes else []


def is_dense(value: Tensor) -> bool:
    """Tells whether a difference can be merged into a weight: plain numbers of 16 bits or more."""
    # quantised weights are other classes of tensors, or integers; `nn.Parameter` hides what it holds
    plain = type(value.detach()) is Tensor or type(value) is nn.Parameter
    return plain and value.is_floating_point() and value.dtype.itemsize > 1


def shape_of(slot: Slot, value: Tensor) -> tuple[int, ...]:
    """Returns the shape that a parameter stands for, which packed weights do not have."""
    layer = slot.module
    if isinstance(layer, nn.Linear) and slot.leaf == "weight":
        return layer.out_features, layer.in_features
    return tuple(value.shape)


def check_layer(slot: Slot, name: str) -> None:
    """Raises WeightsError for a layer that no difference can stand beside."""
    if not isinstance(slot.module, nn.Linear | nn.Conv2d):
        raise WeightsError(
            f"Expected {name} as floating point numbers of 16 bits or more, found {slot.value.dtype} in "
            f"{type(slot.module).__name__}. Load that layer without quantisation."
        )
