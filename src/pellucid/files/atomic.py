"""Files that are written whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from pellucid.errors import FileError, PellucidError


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name beside its place, flushes it to disk, then renames it.

    Raises:
        FileError: the folder is absent or refuses, or the disk is full. An older file at `path` is then
            untouched, and nothing new is left.
    """
    with open_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def open_atomically(path: Path) -> Generator[BinaryIO]:
    """Opens a file that appears at `path` when the block ends, and never if the block raises.

    Raises:
        FileError: as for `write_atomically`.
    """
    try:
        target = path.resolve()  # so that a link stays a link
        # cut, since a name may have 255 bytes; with a token, since two processes may write one file
        part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.part")
        if target.is_dir():
            raise IsADirectoryError("it is a folder")
        try:
            with part.open("xb") as file:
                yield file
                file.flush()
                # renaming may reach the disk before the data does, and a crash would leave an empty file
                os.fsync(file.fileno())
            # in one folder, so on one file system, where renaming is atomic
            part.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
    except PellucidError:  # of what is read in the block: it names its own file
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(
            f"Cannot write {path}: {reason}. Check that the folder exists, is yours to write, and has room."
        ) from error
