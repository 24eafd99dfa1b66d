"""State dicts of modules that are shared out among processes (FSDP): whole on disk, shares in use.

So a checkpoint does not tell how many processes wrote it, and any number may take it up.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils import _pytree as trees


def whole(state: Any, *, keep: bool) -> Any:  # noqa: ANN401 - a state dict is a tree of anything
    """`state` with shared-out tensors put together on the CPU; all processes must call this together.

    Args:
        state: any tree of tensors and plain values.
        keep: whether this process wants the result. The others get None for such tensors: less memory.
    """

    def together(value: DTensor) -> Tensor | None:
        full = value.full_tensor()
        return full.cpu() if keep else None

    return trees.tree_map_only(DTensor, together, state)


def load_module(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads a whole state into a module that may be shared out."""
    own = module.state_dict()
    module.load_state_dict({name: _like(own.get(name), value) for name, value in state.items()})


def load_optimizer(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Loads a whole state into an optimizer whose parameters may be shared out."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    shared = {
        index: {name: _like(parameters[index], value) for name, value in values.items()}
        for index, values in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": shared})


def share_like(module: nn.Module, example: nn.Module) -> None:
    """Replaces the parameters of `module` by shares where those of its twin `example` are shared out."""
    for (name, own), other in zip(list(module.named_parameters()), example.parameters(), strict=True):
        if isinstance(other, DTensor):
            owner, _, last = name.rpartition(".")
            share = nn.Parameter(_like(other, own.detach()), requires_grad=own.requires_grad)
            setattr(module.get_submodule(owner), last, share)


def _like(example: object, value: Any) -> Any:  # noqa: ANN401 - a tensor, or a plain value that stays
    if isinstance(example, DTensor) and isinstance(value, Tensor) and value.shape == example.shape:
        value = value.to(example.device)
        return distribute_tensor(value, example.device_mesh, example.placements, src_data_rank=None)
    return value
