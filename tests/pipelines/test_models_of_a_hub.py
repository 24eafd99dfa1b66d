"""Models of a hub that does not answer: the cache serves, and what is absent is said at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tiny

SCRIPT = """
import json, sys, time
import torch
from pellucid.errors import WeightsError
from pellucid.pipelines.loading import load_stock_pipeline
start = time.perf_counter()
try:
    said = type(load_stock_pipeline(sys.argv[1], torch.float32)).__name__
except WeightsError as error:
    said = str(error)
print(json.dumps([said, time.perf_counter() - start]))
"""


def loaded(name: str, home: Path, **env: str) -> tuple[str, float]:
    """Loads in a process of its own, since the hub's library reads its settings when it is imported."""
    # a port that nothing listens on
    env = {
        **os.environ,
        "HF_HOME": str(home),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_OFFLINE": "0",
        **env,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name], env=env, capture_output=True, text=True, check=True, timeout=240
    )
    said, seconds = json.loads(done.stdout.splitlines()[-1])
    return said, seconds


def cached(home: Path) -> None:
    """Lays a tiny pipeline into a cache as the hub's library does."""
    repository = home / "hub/models--me--tiny"
    tiny.sd15().save_pretrained(repository / "snapshots/abc")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("abc")


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_cached_model_loads_without_the_hub(tmp_path: Path, offline: str) -> None:
    cached(tmp_path)
    said, _ = loaded("me/tiny", tmp_path, HF_HUB_OFFLINE=offline)
    assert said == "StableDiffusionPipeline"


def test_an_absent_model_is_told_at_once(tmp_path: Path) -> None:
    said, seconds = loaded("me/absent", tmp_path)
    assert said.startswith("Expected me/absent in the local cache or a hub that answers, found neither.")
    assert seconds < 20  # retries for each part took 25, on a quiet machine


def test_networks_that_a_model_lacks_are_not_blamed_on_the_network(tmp_path: Path) -> None:
    from pellucid.errors import WeightsError
    from pellucid.weights.store import load_codec

    with pytest.raises(WeightsError, match="Train them with `pellucid train autoencoder`"):
        load_codec(tmp_path / "rgba", tiny.vae())
