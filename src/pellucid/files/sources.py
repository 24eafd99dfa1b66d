"""A file's content and what it is called, read once: pipes give it only once."""

import io
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from pellucid.errors import FileError
from pellucid.files.names import named_after

Source = str | Path | bytes | IO[bytes]
READ_IN_PIECES = (b"8BPS", b"PK\3\4")
"""Starts of documents, PSD and zip, whose readers take from the file what they need, piece by piece."""


@dataclass(frozen=True)
class NamedContent:
    """A file that has been read, or a document that will be."""

    name: str
    """What messages call it."""
    stored: bytes | Path
    """The content; the path of a document, which may be larger than all that is taken from it."""
    stem: str = "layer"
    """Its name without folder and ending, for a layer."""
    ending: str = ""
    """Small, with the dot; counts only where the content does not tell the format."""

    @cached_property
    def content(self) -> bytes:
        """Returns all of it; raises OSError if a document cannot be read any more."""
        return self.stored if isinstance(self.stored, bytes) else self.stored.read_bytes()

    def opened(self) -> io.BytesIO | io.BufferedReader:
        """Opens it to be sought in; raises OSError if a document cannot be read any more."""
        return io.BytesIO(self.stored) if isinstance(self.stored, bytes) else self.stored.open("rb")


def read_source(source: Source) -> NamedContent:
    """Reads a path, an open file, or takes bytes as they are; the whole of it, from front to back.

    Documents in files are only looked at: they may hold gigabytes beside the pixels that are read of them.

    Raises:
        FileError: the path cannot be read.
    """
    if isinstance(source, bytes):
        return NamedContent("these bytes", source)
    if not isinstance(source, str | Path):
        return NamedContent(str(getattr(source, "name", "this file")), source.read())
    try:
        path = Path(source)
        return NamedContent(str(source), _stored(path), named_after(path.stem), path.suffix.lower())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"Cannot read {source}: {reason}. Check the path.") from error


def _stored(path: Path) -> bytes | Path:
    """Returns what is kept of a file: its content, or where it is; what is no file gives that only once."""
    with path.open("rb") as file:
        start = file.read(4)
        if start in READ_IN_PIECES and stat.S_ISREG(path.stat().st_mode):
            return path
        return start + file.read()
