"""Folders that one process at a time may write into."""

import contextlib
from collections.abc import Generator
from pathlib import Path

from filelock import FileLock, Timeout

from pellucid.errors import FileError, InputError, first_line

LOCK = ".lock"


@contextlib.contextmanager
def locked_folder(folder: Path) -> Generator[None]:
    """Keeps other processes of this machine out of a folder, which is made if it is absent.

    Raises:
        InputError: another process holds it.
        FileError: it cannot be made or written into.
    """
    # a lock of the operating system, which ends with its process however that ends
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"Expected {folder} to be free, found another command writing into it. Wait until it has ended, "
            "or write to another folder."
        ) from None
    except OSError as error:
        raise FileError(
            f"Cannot write into {folder}: {first_line(error)}. Check that it is a folder and yours to write."
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink()
        lock.release()
