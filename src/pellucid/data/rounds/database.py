"""Opens the rounds' store: a SQLite file or PostgreSQL, brought to the present schema."""

import contextlib
import shlex
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pellucid.errors import FileError, InputError
from pellucid.files.databases import open_engine, reading, unusable, writing

DATABASE_FILE = "rounds.sqlite"
DEFAULT_FOLDER = "rounds"
LOCK = 0x70656C
"""Key of PostgreSQL's advisory locks of this program: the letters "pel"."""


@dataclass(frozen=True)
class Store:
    """A folder of shards, and the database that says what people think of their images."""

    folder: Path
    engine: Engine

    @contextlib.contextmanager
    def reading(self) -> Generator[Session]:
        """Opens a session that sees one state of the database and changes nothing."""
        with reading(self.engine) as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Generator[Session]:
        """Opens a session whose changes are on the disk when the block ends, or are none if it raises."""
        with writing(self.engine) as session:
            yield session

    def command(self, words: str) -> str:
        """Returns the command `pellucid data rounds WORDS` for this store, to be told in an error."""
        where = "" if self.folder == Path(DEFAULT_FOLDER) else f" --folder {shlex.quote(str(self.folder))}"
        url = self.engine.url
        if url.database != (self.folder / DATABASE_FILE).as_posix():
            # a driver's name is ours, and a password nobody's to read
            shown = url.set(drivername=url.get_backend_name()).render_as_string()
            where += f" --database {shlex.quote(shown)}"
        return f"pellucid data rounds {words}{where}"

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


def open_store(folder: Path, database: str | None = None, *, create: bool = True) -> Store:
    """Opens a store, and brings an older schema to the present one.

    Args:
        folder: where shards lie, and the SQLite file.
        database: a URL such as postgresql://user@host/name. None is a file in the folder.
        create: whether to make a store where there is none. Only what begins a round should: elsewhere a
            misspelt folder would become an empty store.

    Raises:
        FileError: the database cannot be reached, is none, or is of a newer version.
        InputError: the URL is none, its driver is not installed, or there is no store to open.
    """
    if create:
        folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(database or f"sqlite:///{(folder / DATABASE_FILE).as_posix()}")
    store = Store(folder, engine)
    try:
        if not create:
            _check_files(store)
        with engine.execution_options(immediate=True).begin() as connection:
            if not create and MigrationContext.configure(connection).get_current_revision() is None:
                raise _no_store(store)
            _migrate(connection)
    except DBAPIError as error:
        store.close()
        raise unusable("rounds'", engine, error) from error
    except (FileError, InputError):
        store.close()
        raise
    return store


def _check_files(store: Store) -> None:
    """Looks before SQLite does, which makes a file where there is none."""
    url = store.engine.url
    is_file = url.get_backend_name() == "sqlite"
    if not store.folder.is_dir() or (is_file and not Path(str(url.database)).is_file()):
        raise _no_store(store)


def _no_store(store: Store) -> InputError:
    place = store.folder
    if store.folder.is_dir() and Path(str(store.engine.url.database)).parent != store.folder:
        place = store.engine.url.render_as_string()
    return InputError(
        f"Expected rounds in {place}, found none. Correct --folder or --database, or begin the first "
        f"round with `{store.command('new')}`."
    )


def lock_round(session: Session, number: int) -> None:
    """Lets one transaction at a time change a round.

    SQLite does so by itself: a writing session owns the file.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key, :number)"), {"key": LOCK, "number": number})


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # two commands may open a new store at once
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise FileError(
            f"The rounds' database has schema {current}, made by a newer version of Pellucid than this one, "
            f"which knows {scripts.get_current_head()} at most. Update Pellucid."
        )
    if current != scripts.get_current_head():
        command.upgrade(config, "head")
