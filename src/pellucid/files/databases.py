"""Opens SQL databases, SQLite files and PostgreSQL, in the way that several writers need."""

import contextlib
import sqlite3
from collections.abc import Generator

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from pellucid.errors import FileError, InputError, first_line, missing_package

BUSY_S = 30
"""How long a writer waits for another one."""


def open_engine(database: str) -> Engine:
    """Makes the engine of a database; nothing is connected to yet.

    Args:
        database: a URL: sqlite:///FILE or postgresql://USER@HOST/NAME.

    Raises:
        InputError: another kind of URL, or its driver is not installed.
    """
    try:
        url = make_url(database)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite":
            # waiting callers queue for the pool, not for the file
            arguments = {"timeout": BUSY_S, "check_same_thread": False}
            engine = create_engine(url, connect_args=arguments, pool_size=8, max_overflow=8)
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        if url.get_backend_name() != "postgresql":
            # what is built on this relies on locks, which were tried with these two alone
            raise ArgumentError(url.drivername)
        # a connection that the server dropped while nobody asked is replaced in silence
        return create_engine(url, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError) as error:
        raise InputError(
            f"Expected a database as sqlite:///FILE or postgresql://USER@HOST/NAME, found "
            f"{first_line(error)}. Write such a URL."
        ) from None
    except ModuleNotFoundError as error:
        raise missing_package(error.name or database, "this database", "postgres") from None


@contextlib.contextmanager
def reading(engine: Engine) -> Generator[Session]:
    """Opens a session that sees one state of the database and changes nothing."""
    with Session(engine) as session:
        yield session


@contextlib.contextmanager
def writing(engine: Engine) -> Generator[Session]:
    """Opens a session whose changes are on the disk when the block ends, or are none if it raises."""
    # SQLite gives one writer at a time the file; a transaction that starts as a reader could not wait
    immediate = engine.execution_options(immediate=True)
    with Session(immediate, expire_on_commit=False) as session, session.begin():
        yield session


def unusable(whose: str, engine: Engine, error: DBAPIError) -> FileError:
    """Makes the error for a database that cannot be reached, or is none.

    Args:
        whose: as in "server's".
        engine: of the database.
        error: of the driver.
    """
    reason = first_line(error.orig if isinstance(error.orig, Exception) else error)
    return FileError(
        f"The {whose} database {engine.url.render_as_string()} cannot be used: {reason}. Check that it "
        "exists, is yours to write and, if it is PostgreSQL, that the server runs."
    )


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # Python's own BEGIN comes too late and is never IMMEDIATE; _begin_sqlite writes it
    connection.isolation_level = None
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        # FULL flushes the log at every commit: WAL's usual NORMAL may lose the last ones with the power
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
