"""The first command of the README, in a process that no network reaches."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid
from pellucid.files.images import read_image

SOURCE = Path(pellucid.__file__).parent.parent
COMMAND = [sys.executable, "-m", "pellucid", "generate", "a red apple", "--seed", "7", "-o", "apple.png"]
CLEAR_CORNER, VISIBLE = 16, 200
UNREACHABLE = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=2)"


def namespace() -> list[str]:
    """The command that starts another one in a network namespace of its own, with no route."""
    for words in (["unshare", "-n"], ["unshare", "-r", "-n"]):
        if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    pytest.skip("this system does not let the test make a network namespace (unshare -n)")


@pytest.mark.slow
def test_a_transparent_apple_without_a_network(tmp_path: Path) -> None:
    alone = namespace()
    closed = subprocess.run([*alone, sys.executable, "-c", UNREACHABLE], capture_output=True, text=True)
    assert "unreachable" in closed.stderr
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE),
        "HF_HUB_OFFLINE": "1",
        "HOME": str(tmp_path),  # nor anything that was fetched before
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [*alone, *COMMAND, "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pictures"][0]["path"] == "apple.png"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["apple.png"]

    image = read_image(tmp_path / "apple.png")
    alpha = image.rgba[..., 3]
    partial = ((alpha > 0) & (alpha < 255)).mean()
    red = image.rgba[alpha > VISIBLE][:, :3].astype(int)
    corners: list[int] = alpha[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()
    facts = {
        "highest": int(alpha.max()),
        "partial": round(float(partial), 3),
        "opaque": round(float((alpha > VISIBLE).mean()), 3),
    }
    assert image.format == "PNG"
    assert max(corners) < CLEAR_CORNER, corners
    assert facts["highest"] > VISIBLE, facts
    assert 0.1 < facts["opaque"] < 0.9, facts
    assert 0.005 < facts["partial"] < 0.9, facts
    assert np.median(red[:, 0]) > np.median(red[:, 1:]) + 50, facts  # it is red
    assert image.provenance is not None
    assert (image.provenance.prompt, image.provenance.seed) == ("a red apple", 7)
    assert image.provenance.model == "mini"
    assert image.provenance.version == pellucid.__version__
