"""What is used here of accelerate, which has no types."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

import torch
from torch import nn
from torch.optim import Optimizer

class DistributedType(StrEnum):
    FSDP = "FSDP"

class InitProcessGroupKwargs:
    def __init__(self, *, timeout: timedelta) -> None: ...

M = TypeVar("M", bound=nn.Module)

class Accelerator:
    device: torch.device
    process_index: int
    num_processes: int
    is_fsdp2: bool
    distributed_type: DistributedType
    def __init__(self, *, cpu: bool, kwargs_handlers: Sequence[InitProcessGroupKwargs]) -> None: ...
    def prepare(self, module: M, optimizer: Optimizer) -> tuple[M, Optimizer]: ...
    def no_sync(self, model: nn.Module) -> AbstractContextManager[None]: ...

def cpu_offload(model: nn.Module, execution_device: torch.device) -> nn.Module: ...
