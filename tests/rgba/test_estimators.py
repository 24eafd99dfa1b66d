"""What a library does to the process that imports it."""

import os
import subprocess
import sys
from pathlib import Path

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


# what pymatting's import does to threads, without what it compiles for half a minute
PARALLEL = """
import numba
import numpy as np

@numba.njit("f8[:](f8[:])", parallel=True)
def twice(x):
    y = np.empty_like(x)
    for i in numba.prange(len(x)):
        y[i] = 2 * x[i]
    return y

twice(np.zeros(8))

def estimate_foreground_ml(image, alpha):
    return image
"""


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("threads", [1, 3])
def test_an_estimate_leaves_torchs_threads_alone(threads: int, real: bool, tmp_path: Path) -> None:
    pytest.importorskip("pymatting")
    # numba takes the number of the machine's cores
    env = {**os.environ, "NUMBA_NUM_THREADS": "2", "NUMBA_DISABLE_JIT": "0"}
    if not real:
        (tmp_path / "pymatting.py").write_text(PARALLEL)
        env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), env.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(threads=threads)],
        env=env, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.split()[-1] == str(threads)
