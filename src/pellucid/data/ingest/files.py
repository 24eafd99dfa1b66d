"""Small files of a run on any file system that fsspec knows: whole or not at all."""

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

import fsspec

from pellucid.errors import FileError, first_line
from pellucid.files.atomic import write_atomically

if TYPE_CHECKING:
    Opened = IO[bytes]
else:
    # what files of fsspec are; of `IO` they lack the name, at which type checks in tests look
    Opened = io.IOBase


def file_system_of(location: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Returns the file system of a path or URL, and the path in it; ValueError for an unknown protocol."""
    if "://" in location:
        return fsspec.url_to_fs(location)
    # not by fsspec's rules for URLs, which take "::" in a name for a chain of file systems
    return fsspec.filesystem("file"), str(Path(location).absolute())


def open_file(location: str) -> Opened:
    """Opens a file for reading; errors are those of its file system."""
    file_system, path = file_system_of(location)
    return file_system.open(path, "rb")


def write_file(location: str, content: bytes) -> None:
    """Writes a file whole or not at all.

    Args:
        location: a path, or a URL. Object stores put a file whole by themselves.
        content: of the file.

    Raises:
        FileError: it cannot be written.
    """
    if "://" not in location:
        path = Path(location)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"Cannot make the folder {path.parent}: {error.strerror}. Check that no file has its name, "
                "and that it is yours to write."
            ) from error
        write_atomically(path, content)
        return
    try:
        file_system, path = file_system_of(location)
        file_system.makedirs(file_system._parent(path), exist_ok=True)
        file_system.pipe_file(path, content)
    except Exception as error:  # file systems have errors of their own
        raise FileError(
            f"Cannot write {location}: {type(error).__name__}: {first_line(error)}. Check the address "
            "and your credentials."
        ) from error


def read_file(location: str) -> bytes:
    """Reads a whole file.

    Raises:
        FileError: it cannot be read.
    """
    try:
        file_system, path = file_system_of(location)
        return file_system.cat_file(path)
    except Exception as error:  # file systems have errors of their own
        raise FileError(
            f"Cannot read {location}: {type(error).__name__}: {first_line(error)}. Check that it is there."
        ) from error


def exists(location: str) -> bool:
    """Tells whether a file is there.

    Raises:
        FileError: the file system cannot be asked.
    """
    try:
        file_system, path = file_system_of(location)
        return bool(file_system.exists(path))
    except Exception as error:  # file systems have errors of their own
        raise FileError(
            f"Cannot look for {location}: {type(error).__name__}: {first_line(error)}. Check the address and "
            "your credentials."
        ) from error
