"""What is shipped: the wheel's contents, and lowest versions that are those of the list that CI installs."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_is_whole_and_works_by_itself() -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts/check_wheel.py")], check=True, timeout=580)


def test_lowest_versions_are_those_that_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["train"], *extras["clean"], *extras["test"]]
    declared = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(wanted), re.MULTILINE))
    del declared["torch"]  # the script installs it
    listed = dict(
        re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / "requirements/lowest.txt").read_text(), re.MULTILINE)
    )
    assert set(listed) == set(declared)
    for name, version in declared.items():
        assert f"{listed[name]}.".startswith(f"{version}."), name


def test_one_version_is_named_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'__version__ = "{version}"' in (ROOT / "src/pellucid/_version.py").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version} - " in (ROOT / "CHANGELOG.md").read_text()
