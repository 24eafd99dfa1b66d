"""Finds where a file's tensors go in a denoiser, whatever others have wrapped around its layers."""

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import ref

import torch
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from pellucid.errors import WeightsError
from pellucid.models.latent_inputs import modules_of

WRAPPERS = {"base_layer", "_orig_mod"}
"""Parts of names that PEFT and torch.compile put in; files know nothing of them."""
PROJECTIONS = ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj")
"""Layers of an attention that `fuse_qkv_projections` copies into one."""
# diffusers' name for the hook, spelled out because its constant is private.
GROUP_OFFLOADING = "group_offloading"


@dataclass(frozen=True, slots=True)
class Slot:
    """Names one parameter by the module that owns it.

    PEFT wraps and unwraps layers between calls, which changes names but not modules. The reference is weak,
    so that a denoiser with parameters of its own is not kept alive by what is remembered of it.
    """

    owner: ref[nn.Module]
    leaf: str

    @property
    def module(self) -> nn.Module:
        """Returns the owner, and raises WeightsError if it is gone."""
        module = self.owner()
        if module is None:
            raise _replaced()
        return module

    @property
    def value(self) -> nn.Parameter:
        """Returns the parameter that is there now."""
        value = getattr(self.module, self.leaf)
        if not isinstance(value, nn.Parameter):
            raise _replaced()
        return value

    def put(self, value: nn.Parameter) -> None:
        """Replaces the parameter; a layer's number of inputs follows."""
        module = self.module
        setattr(module, self.leaf, value)
        if self.leaf != "weight":
            return
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.in_channels = value.shape[1] * module.groups
        elif type(module) is nn.Linear:  # packed weights of other classes have shapes of their own
            module.in_features = value.shape[1]


def slots_of(denoiser: nn.Module) -> dict[str, Slot]:
    """Maps diffusers' names, as if nobody had wrapped a layer, to where the parameters are."""
    slots: dict[str, Slot] = {}
    for path, module in modules_of(denoiser):
        parts = [part for part in path.split(".") if part and part not in WRAPPERS]
        for leaf, _ in module.named_parameters(recurse=False):
            slots[".".join([*parts, leaf])] = Slot(ref(module), leaf)
    return slots


def merged_loras(denoiser: nn.Module) -> dict[nn.Module, tuple[str, ...]]:
    """Maps layers that PEFT has wrapped to the names of the LoRAs that are fused into them."""
    merged: dict[nn.Module, tuple[str, ...]] = {}
    for module in denoiser.modules():
        if "base_layer" in dict(module.named_children()):
            merged[module.get_submodule("base_layer")] = tuple(getattr(module, "merged_adapters", ()))
    return merged


def fused_layers(denoiser: nn.Module) -> set[nn.Module]:
    """Collects the projections that are not read, because `fuse_qkv_projections` copied them."""
    fused: set[nn.Module] = set()
    for module in denoiser.modules():
        if isinstance(module, Attention | AttentionModuleMixin) and _is_fused(module):
            assert isinstance(module, nn.Module)
            layers = [child for name, child in module.named_children() if name in PROJECTIONS]
            fused |= {inner for layer in layers for inner in layer.modules()}
    return fused


def _is_fused(attention: Attention | AttentionModuleMixin) -> bool:
    # diffusers' older attentions keep the flag when they are unfused, and get their processor back; the newer
    # ones take the flag back, and have one processor for both
    fused = bool(getattr(attention, "fused_projections", False))  # HiDream's have no such flag
    if isinstance(attention, Attention):
        return fused and type(attention.processor).__name__.startswith("Fused")
    return fused


def check_not_fused(denoiser: nn.Module, slots: Iterable[Slot]) -> None:
    """Refuses to change projections that are not read.

    Raises:
        WeightsError: `fuse_qkv_projections` has copied one of them.
    """
    fused = fused_layers(denoiser)
    if fused and any(slot.module in fused for slot in slots):
        raise WeightsError(
            "Expected separate query, key and value projections, found them fused into copies that an "
            "adapter does not reach. Call unfuse_qkv_projections() first, and fuse again afterwards."
        )


def check_mergeable(denoiser: nn.Module, names: dict[str, nn.Parameter]) -> None:
    """Refuses weights into which no difference can be merged.

    Args:
        denoiser: unwrapped.
        names: the weights by name, as they are without adapters.

    Raises:
        WeightsError: they are elsewhere.
    """
    for value in names.values():
        if value.is_meta:
            raise offloaded()
    check_reachable(denoiser)


def check_reachable(denoiser: nn.Module) -> None:
    """Raises WeightsError if group offloading holds copies of weights that would replace what is merged."""
    for module in denoiser.modules():
        hooks: dict[str, object] = getattr(getattr(module, "_diffusers_hook", None), "hooks", {})
        group: object = getattr(hooks.get(GROUP_OFFLOADING), "group", None)
        if group is not None and (getattr(group, "cpu_param_dict", None) or _on_disk(group)):
            raise WeightsError(
                "Expected weights in the model, found copies of them that group offloading with a stream, or "
                "to disk, keeps and would put back. Change adapters before enable_group_offload()."
            )


def _on_disk(group: object) -> bool:
    return bool(getattr(group, "offload_to_disk_path", None))


def offloaded() -> WeightsError:
    """Makes the error for weights that are not in the module."""
    return WeightsError(
        "Expected the denoiser's weights in memory, found them offloaded one by one. "
        "Call remove_all_hooks() of the pipeline first, and enable_sequential_cpu_offload() afterwards."
    )


def _replaced() -> WeightsError:
    return WeightsError(
        "Expected the layers into which an adapter was merged, found others in their place. "
        "Load the model again, and attach after whatever replaced them."
    )


def check_present(denoiser: nn.Module, slots: Iterable[Slot]) -> None:
    """Raises WeightsError if a layer is no longer a part of the denoiser."""
    present = set(denoiser.modules())
    if any(slot.module not in present for slot in slots):
        raise _replaced()


def as_like(value: nn.Parameter, current: nn.Parameter) -> nn.Parameter:
    """Returns `value` itself, or a copy with the dtype and device that `current` has been given since."""
    if current.is_meta:
        raise offloaded()
    if value.dtype == current.dtype and value.device == current.device:
        return value
    return nn.Parameter(value.detach().to(current.device, current.dtype), value.requires_grad)


SAMPLE = 1024
"""Values of each tensor by which changes are noticed."""


def sample(value: Tensor) -> Tensor:
    """Copies values spread over a whole tensor, in at least float32."""
    if value.is_meta:
        raise offloaded()
    flat = value.detach().flatten()
    # spread over the whole tensor: a LoRA changes all of a matrix, so a thousand values tell
    some = flat[:: max(1, flat.numel() // SAMPLE)].clone()
    return some if some.dtype == torch.float64 else some.float()
