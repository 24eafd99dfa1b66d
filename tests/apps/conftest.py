"""A small model of the embedded kind, and an empty folder to work in."""

from pathlib import Path

import pytest

import tiny


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_mini(tmp_path_factory.mktemp("models") / "mini"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
