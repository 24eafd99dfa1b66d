"""A file's content and what it is called, read once: pipes give it only once."""

from pathlib import Path
from typing import IO, NamedTuple

from pellucid.errors import FileError

Source = str | Path | bytes | IO[bytes]


class NamedContent(NamedTuple):
    """A file that has been read."""

    name: str
    """What messages call it."""
    content: bytes
    stem: str = "layer"
    """Its name without folder and ending, for a layer."""
    ending: str = ""
    """Small, with the dot; counts only where the content does not tell the format."""


def read_source(source: Source) -> NamedContent:
    """Reads a path, an open file, or takes bytes as they are; the whole of it, from front to back.

    Raises:
        FileError: the path cannot be read.
    """
    if isinstance(source, bytes):
        return NamedContent("these bytes", source)
    if not isinstance(source, str | Path):
        return NamedContent(str(getattr(source, "name", "this file")), source.read())
    try:
        path = Path(source)
        return NamedContent(str(source), path.read_bytes(), path.stem, path.suffix.lower())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"Cannot read {source}: {reason}. Check the path.") from error
