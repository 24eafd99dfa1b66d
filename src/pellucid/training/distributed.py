"""The processes that train one model together: a single one, unless `accelerate launch` started more.

A step's draws do not depend on how many there are: its `accumulation` parts are dealt out among them.
"""

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from pellucid.errors import ConfigError

PATIENCE = timedelta(hours=2)
"""How long the others wait while the main process draws a sheet or writes a file."""


class Loss(nn.Module):
    """The loss of one turn as a module, so that DDP's and FSDP's hooks run: a stage calls its own parts."""

    def __init__(self, stage: Any, turn: str) -> None:  # noqa: ANN401 - `loop.Stage`, which imports this file
        super().__init__()
        self.stage, self.turn = stage, turn
        self.module: nn.Module = stage.turns[turn]

    def forward(self, generator: torch.Generator) -> dict[str, Tensor]:
        return self.stage.loss(self.turn, generator)


class Processes:
    """This process among those that train the same model.

    With `accelerate launch` each holds the whole model (DDP) or a share of it (FSDP, version 2), as its
    config file says; then all of them must call each method, but for `parts`, together.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.rank, self.count = device, 0, 1
        self.accelerator = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator, InitProcessGroupKwargs

            # else from_pretrained gives all processes but the main one empty networks, frozen ones too
            os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
            patience = InitProcessGroupKwargs(timeout=PATIENCE)
            self.accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[patience])
            self.device = self.accelerator.device
            self.rank, self.count = self.accelerator.process_index, self.accelerator.num_processes
            self._by_cpu: Any = distributed.new_group(backend="gloo", timeout=PATIENCE)
            if self.sharded and not self.accelerator.is_fsdp2:
                raise ConfigError("Expected FSDP version 2, found 1. Set `fsdp_version: 2` in its config.")

    @property
    def main(self) -> bool:
        """Whether this one writes files."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """Whether each process holds only a share of the first turn's module."""
        return self.accelerator is not None and self.accelerator.distributed_type.value == "FSDP"

    def parts(self, accumulation: int) -> range:
        """Which of a step's forward passes this process does.

        Raises:
            ConfigError: they cannot be dealt out evenly.
        """
        if accumulation % self.count:
            raise ConfigError(
                f"Expected accumulation to be a multiple of the {self.count} processes, got {accumulation}. "
                "Set it in the recipe, or start another number of processes."
            )
        return range(self.rank, accumulation, self.count)

    def prepared(
        self, losses: Mapping[str, Loss], optimizers: Mapping[str, Optimizer]
    ) -> dict[str, nn.Module]:
        """The losses for all processes; under FSDP the first one's module, and its optimizer, are sharded."""
        found: dict[str, nn.Module] = dict(losses)
        if self.accelerator is None:
            return found
        for number, (turn, loss) in enumerate(losses.items()):
            if self.sharded and number:  # discriminators and the like: small, and called in other turns too
                device_ids = [self.device] if self.device.type == "cuda" else None
                found[turn] = nn.parallel.DistributedDataParallel(loss, device_ids=device_ids)
            else:
                found[turn], _ = self.accelerator.prepare(loss, optimizers[turn])
        return found

    def apart(self, loss: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Gradients of what is done within stay in this process, unless it is the last of a step."""
        if self.accelerator is None or last:
            return nullcontext()
        return self.accelerator.no_sync(loss)

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Numbers, averaged over all processes."""
        together = torch.stack([value.detach().float() for value in values.values()])
        if self.accelerator is not None:
            distributed.all_reduce(together)
            together /= self.count
        return dict(zip(values, together.tolist(), strict=True))

    def all_of(self, flag: Tensor) -> Tensor:
        """Whether `flag`, a bool on the device, is true in every process."""
        against = (~flag).int()
        if self.accelerator is not None:
            distributed.all_reduce(against)
        return against == 0

    def clock(self) -> float:
        """The main process's `time.monotonic()`: all stop and save at one step; no device waits for it."""
        now = torch.tensor(time.monotonic(), dtype=torch.float64)
        if self.accelerator is not None:
            distributed.broadcast(now, 0, group=self._by_cpu)
        return float(now)

    def wait(self) -> None:
        """Returns when all processes are here."""
        self.clock()
