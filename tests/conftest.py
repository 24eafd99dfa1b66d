"""Every test starts from the same seed, and its process computes on one thread.

Several processes with several threads each, as `pytest -n auto` and whatever else the machine does, would
stall one another: torch's threads spin while they wait.
"""

import gc
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, which reads it once
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach a hub
# pymatting compiles for half a minute when it is first imported; the tests' images are small enough without
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

import numpy as np
import pytest
from hypothesis import settings

import lighter_checks

lighter_checks.install()  # before any module of pellucid is imported

settings.register_profile("pellucid", derandomize=True, deadline=None)
settings.load_profile("pellucid")


def pytest_collection_finish() -> None:
    # torch and all that is imported stays to the end, and need not be searched for what is no longer used:
    # a tenth of the processor time
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded(request: pytest.FixtureRequest) -> None:
    import torch

    # a test module's own dice start anew with each test, so that none hangs on which ran before it
    dice = vars(sys.modules[request.node.module.__name__]).get("RANDOM")  # pyright: ignore
    if isinstance(dice, np.random.Generator):
        dice.bit_generator.state = np.random.default_rng(7).bit_generator.state

    torch.set_num_threads(1)  # libraries and `train --threads` change it for the whole process
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries under test may use the global state
