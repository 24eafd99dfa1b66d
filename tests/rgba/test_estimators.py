"""What a library does to the process that imports it."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import torch
torch.set_num_threads({threads})
import numpy as np
from pellucid.rgba.cleanup import Cleaning, clean
rgba = np.zeros((32, 32, 4), np.uint8)
rgba[8:24, 8:24] = 200
rgba[8:24, 24] = 90
clean(rgba, Cleaning(foreground="estimate"))
print(torch.get_num_threads())
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_an_estimate_leaves_torchs_threads_alone(threads: int) -> None:
    pytest.importorskip("pymatting")
    # numba takes the number of the machine's cores
    env = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(threads=threads)],
        env=env, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.split()[-1] == str(threads)
