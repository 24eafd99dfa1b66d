"""Fixtures of rounds, for the store and for its server."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pellucid.data.rounds.beginning import begin_round
from pellucid.data.rounds.database import Store, open_store
from pellucid.data.rounds.prompts import shipped_grammar
from pellucid.data.rounds.sampling import sample_round
from pellucid.data.rounds.settings import RoundSettings
from screening import PLAIN, draw


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "rounds", new_database())
    yield made
    made.close()


def new_database() -> str | None:
    """A new database on the server that a test of PostgreSQL names; None is SQLite's file, as usual."""
    server = os.environ.get("PELLUCID_TEST_DATABASE")
    if server is None:
        return None
    import psycopg
    from psycopg import sql

    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{server.rpartition('/')[0]}/{name}"


@pytest.fixture
def opened(store: Store) -> Callable[..., Store]:
    """Begins a round, samples it and opens it."""

    def begin(settings: RoundSettings = PLAIN, **arguments: object) -> Store:
        begin_round(store, settings, **arguments)  # type: ignore[arg-type]
        sample_round(store, shipped_grammar(), draw, model="discs", licence="CC0", batch_size=7)
        return store

    return begin
