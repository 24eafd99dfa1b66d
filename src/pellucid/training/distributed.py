"""The processes that train one model together: a single one, unless `accelerate launch` started more.

A step's draws do not depend on how many there are: its `accumulation` micro-batches are dealt out among them.
State dicts of modules that are sharded (FSDP) are whole on disk, so a checkpoint does not tell how many
processes wrote it, and any number may take it up.
"""

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils import _pytree as trees

from pellucid.errors import ConfigError
from pellucid.training.stages.protocol import Stage

Tree = TypeVar("Tree")
"""A tree of tensors and plain values, such as a state dict."""
TIMEOUT = timedelta(hours=2)
"""How long the others wait while the main process draws a grid or writes a file."""


class Loss(nn.Module):
    """A stage's loss as a module that owns what it trains.

    Stages call parts of their modules, past `forward`, where the hooks of DDP and FSDP would not run.
    """

    def __init__(self, stage: Stage, module_name: str) -> None:
        super().__init__()
        self.stage, self.module_name = stage, module_name
        self.module: nn.Module = stage.modules[module_name]

    def forward(self, generator: torch.Generator) -> dict[str, Tensor]:
        return self.stage.loss(self.module_name, generator)


class Processes:
    """This process among those that train the same model.

    With `accelerate launch` each holds the whole model (DDP) or a share of it (FSDP, version 2), as its
    config file says; then all of them must call each method, but for `micro_batches`, together.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.rank, self.count = device, 0, 1
        self.accelerator = None
        # set by every launcher; a single process should not wait for accelerate's import
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator, InitProcessGroupKwargs

            # else from_pretrained gives all processes but the main one empty networks, frozen ones too
            os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
            patience = InitProcessGroupKwargs(timeout=TIMEOUT)
            self.accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[patience])
            self.device = self.accelerator.device
            self.rank, self.count = self.accelerator.process_index, self.accelerator.num_processes
            group = distributed.new_group(backend="gloo", timeout=TIMEOUT)
            assert isinstance(group, distributed.ProcessGroup)
            self._by_cpu = group
            if self.sharded and not self.accelerator.is_fsdp2:
                raise ConfigError("Expected FSDP version 2, found 1. Set `fsdp_version: 2` in its config.")

    @property
    def main(self) -> bool:
        """Returns whether this one writes files."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """Returns whether each process holds only a share of the first module."""
        return self.accelerator is not None and self.accelerator.distributed_type.value == "FSDP"

    def micro_batches(self, accumulation: int) -> range:
        """Returns which of a step's forward passes this process does.

        Raises:
            ConfigError: they cannot be dealt out evenly.
        """
        if accumulation % self.count:
            raise ConfigError(
                f"Expected accumulation to be a multiple of the {self.count} processes, got {accumulation}. "
                "Set it in the recipe, or start another number of processes."
            )
        # dealt like cards: a part has its own draws, whoever computes it
        return range(self.rank, accumulation, self.count)

    def prepared(
        self, losses: Mapping[str, Loss], optimizers: Mapping[str, Optimizer]
    ) -> dict[str, nn.Module]:
        """Prepares the losses for all processes; under FSDP the first one's module is sharded."""
        prepared_losses: dict[str, nn.Module] = dict(losses)
        if self.accelerator is None:
            return prepared_losses
        for number, (module_name, loss) in enumerate(losses.items()):
            if self.sharded and number:  # discriminators: small, and called for others too
                device_ids = [self.device] if self.device.type == "cuda" else None
                prepared_losses[module_name] = nn.parallel.DistributedDataParallel(
                    loss, device_ids=device_ids
                )
            else:
                prepared_losses[module_name], _ = self.accelerator.prepare(loss, optimizers[module_name])
        return prepared_losses

    def no_sync(self, loss: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Keeps gradients of what is done within in this process, unless it is the last of a step."""
        if self.accelerator is None or last:
            return nullcontext()
        return self.accelerator.no_sync(loss)

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Averages numbers over all processes."""
        # one message for all numbers
        together = torch.stack([value.detach().float() for value in values.values()])
        if self.accelerator is not None:
            distributed.all_reduce(together)
            together /= self.count
        averages: list[float] = together.tolist()
        return dict(zip(values, averages, strict=True))

    def all_of(self, flag: Tensor) -> Tensor:
        """Returns whether `flag`, a bool on the device, is true in every process."""
        # votes against are summed, since NCCL has no logical "and"
        against = (~flag).int()
        if self.accelerator is not None:
            distributed.all_reduce(against)
        return against == 0

    def clock(self) -> float:
        """Returns the main process's `time.monotonic()`, so that all stop and save at one step."""
        # over the CPU's group: no device has to finish its work first
        now = torch.tensor(time.monotonic(), dtype=torch.float64)
        if self.accelerator is not None:
            distributed.broadcast(now, 0, group=self._by_cpu)
        return float(now)

    def wait(self) -> None:
        """Returns when all processes are here."""
        self.clock()


def full_state_dict(state: Tree, *, keep: bool) -> Tree:
    """Puts sharded tensors together on the CPU; all processes must call this together.

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
    shards = module.state_dict()
    module.load_state_dict({name: _like(shards.get(name), value) for name, value in state.items()})


def load_optimizer(optimizer: Optimizer, state: Mapping[str, object]) -> None:
    """Loads a whole state into an optimizer whose parameters may be shared out."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    saved = state["state"]
    if not isinstance(saved, Mapping):
        raise TypeError(f"an optimizer's state of {type(saved).__name__}")
    # an optimizer's state is numbered by its parameters, in the order of their groups
    by_number: Mapping[int, Mapping[str, object]] = saved
    shared = {
        index: {name: _like(parameters[index], value) for name, value in values.items()}
        for index, values in by_number.items()
    }
    optimizer.load_state_dict({**state, "state": shared})


def shard_like(module: nn.Module, example: nn.Module) -> None:
    """Replaces the parameters of `module` by shares where those of its twin `example` are shared out."""
    for (name, parameter), shard in zip(list(module.named_parameters()), example.parameters(), strict=True):
        if isinstance(shard, DTensor):
            owner, _, last = name.rpartition(".")
            share = nn.Parameter(_like(shard, parameter.detach()), requires_grad=parameter.requires_grad)
            setattr(module.get_submodule(owner), last, share)


def _like(example: object, value: Tree) -> Tree:
    if isinstance(example, DTensor) and isinstance(value, Tensor) and value.shape == example.shape:
        # every process holds the whole value, so none has to send it
        whole = value.to(example.device)
        share = distribute_tensor(whole, example.device_mesh, example.placements, src_data_rank=None)
        return cast("Tree", share)
    return value
