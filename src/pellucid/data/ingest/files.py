"""Small files of a run on any file system that fsspec knows: whole or not at all."""

from pathlib import Path

import fsspec

from pellucid.errors import FileError, first_line
from pellucid.files.atomic import write_atomically


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
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        return
    try:
        file_system, path = fsspec.url_to_fs(location)
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
        file_system, path = fsspec.url_to_fs(location)
        return file_system.cat_file(path)
    except Exception as error:  # file systems have errors of their own
        raise FileError(
            f"Cannot read {location}: {type(error).__name__}: {first_line(error)}. Check that it is there."
        ) from error


def exists(location: str) -> bool:
    """Tells whether a file is there."""
    file_system, path = fsspec.url_to_fs(location)
    return bool(file_system.exists(path))
