"""Files that are written whole or not at all."""

import contextlib
import errno
import io
import os
import re
import secrets
import stat
import sys
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from pellucid.errors import FileError, PellucidError

if sys.platform != "win32":
    import fcntl

PART = re.compile(r"\..*\.[0-9a-f]{12}\.part")
"""Names under which files are written before they take their place."""
NAME_BYTES = 100
"""Of the name that a part shows: names end at 255 bytes."""
_swept: set[Path] = set()
"""Folders in which this process has looked for what killed ones left."""


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

    A file that is replaced hands its mode, and its owner where that is allowed, on to the new one. Devices,
    pipes and sockets, which cannot be replaced, get the whole content when the block ends.

    Raises:
        FileError: as for `write_atomically`.
    """
    try:
        if _is_special(path):
            content = io.BytesIO()
            yield content
            with path.open("wb", buffering=0) as stream:
                _write_all(stream, content.getbuffer())
            return
        target = _resolved(path)  # so that a link stays a link
        with _opened_part(target) as (part, file):
            yield file
            file.flush()
            # renaming may reach the disk before the data does, and a crash would leave an empty file
            os.fsync(file.fileno())
            # in one folder, so on one file system, where renaming is atomic
            part.replace(target)
        _flush_folder(target.parent)
    except PellucidError:  # of what is read in the block: it names its own file
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(
            f"Cannot write {path}: {reason}. Check that the folder exists, is yours to write, and has room."
        ) from error


def _resolved(path: Path) -> Path:
    """Follows links; those in a circle are an OSError, as Python 3.13 has it."""
    try:
        return path.resolve()
    except RuntimeError as error:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error


def _is_special(path: Path) -> bool:
    """Tells whether a path leads to something that is neither file nor folder, through links as well."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _write_all(stream: io.RawIOBase | BinaryIO, content: memoryview) -> None:
    while content:  # a pipe takes a part at a time
        written = stream.write(content)
        content = content[written or 0 :]


@contextlib.contextmanager
def _opened_part(target: Path) -> Generator[tuple[Path, BinaryIO]]:
    """Opens the file that will take a target's place, with the target's mode and owner."""
    if target.is_dir():
        raise IsADirectoryError("it is a folder")
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError("it is read-only")
    _sweep(target.parent)
    # with a token, since two processes may write one file
    part = target.with_name(f".{_cut(target.name)}.{secrets.token_hex(6)}.part")
    try:
        with part.open("xb") as file:
            _lock(file)
            if target.exists():
                _hand_on(target.stat(), file)
            yield part, file
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _cut(name: str) -> str:
    """Cuts a name to `NAME_BYTES` bytes, between characters."""
    return os.fsdecode(os.fsencode(name)[:NAME_BYTES]).encode("utf-8", "ignore").decode()


def _hand_on(former: os.stat_result, file: BinaryIO) -> None:
    if sys.platform == "win32":
        return
    # owner first: changing it may take bits of the mode away
    if (former.st_uid, former.st_gid) != (os.geteuid(), os.getegid()):
        with contextlib.suppress(OSError):
            os.fchown(file.fileno(), former.st_uid, former.st_gid)
    os.fchmod(file.fileno(), stat.S_IMODE(former.st_mode))


def _lock(file: BinaryIO) -> bool:
    """Marks a part as being written, until its process ends; tells whether nobody else has."""
    if sys.platform == "win32":  # there an open file cannot be removed anyway
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Removes parts that processes left which were killed, once a folder: listing large ones takes time."""
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not PART.fullmatch(entry.name) or entry.is_symlink():
                continue
            part = Path(entry.path)
            with contextlib.suppress(OSError), part.open("r+b") as file:
                if _lock(file):  # nobody writes it any more
                    part.unlink()


def _flush_folder(folder: Path) -> None:
    """Brings a new name to the disk; file systems that cannot are left to their own time."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
