"""The script for GPUs runs to its end on a CPU, with small models, so that minutes of a GPU are not lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_every_section_measures(tmp_path: Path) -> None:
    output = tmp_path / "gpu.json"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(
        [sys.executable, SCRIPT, "--tiny", "--minutes", "30", "-o", output], env=env, check=True, timeout=1200
    )
    found = json.loads(output.read_text())
    kinds = {name.partition(" ")[0] for name in found}
    assert {"sampling", "decoding", "offloading", "training"} <= kinds
    assert not found["skipped"]
    assert not [name for name, value in found.items() if isinstance(value, dict) and "failed" in value]
