"""One server for the tests that only ask it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from live_server import Running, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Running]:
    """A server with a tiny model, without limits that a test would meet."""
    with running(tmp_path_factory.mktemp("server"), model) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"
