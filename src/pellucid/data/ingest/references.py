"""References to images that are not read yet: small enough to send to any worker, which reads the bytes."""

import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol, cast, runtime_checkable

from pellucid.data.ingest.files import open_file
from pellucid.data.records import Record
from pellucid.errors import FileError, first_line
from pellucid.files.tables import is_table

if TYPE_CHECKING:
    from pellucid.data.ingest.fetching import Fetcher

Kind = Literal["file", "zip", "tar", "table", "arrow", "url"]
MAX_BYTES = 64 * 2**20
"""Largest image file that is read: a member of an archive can claim any size."""


@runtime_checkable
class Readable(Protocol):
    """An open file: of a disk, an archive or a network."""

    def read(self, size: int, /) -> bytes: ...


@runtime_checkable
class Table(Protocol):
    """What is used of a pyarrow.Table, which has no types of its own."""

    column_names: list[str]

    def __getitem__(self, column: str) -> Sequence["Cell"]: ...
    def select(self, columns: Sequence[str]) -> "Table": ...
    def to_pylist(self) -> list[dict[str, object]]: ...


@runtime_checkable
class Cell(Protocol):
    """One value of a table."""

    def as_py(self) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """Where one image lies and what its source says of it."""

    name: str
    """Unique in a run, and the same in each run."""
    kind: Kind
    location: str
    """Path or URL of the file that holds the image, or of the image itself."""
    member: str = ""
    """Its name in an archive, or "COLUMN" in a table."""
    row: int = -1
    """Its row in a table."""
    record: Record = field(default_factory=lambda: Record(name="", label=""))
    """What its source says of it."""


def read_content(reference: ImageReference, fetcher: "Fetcher") -> bytes:
    """Reads the file of one image.

    Args:
        reference: where it lies.
        fetcher: fetches those that are on the web.

    Raises:
        FileError: absent, damaged, larger than `MAX_BYTES`, or on a host that is not allowed.
    """
    try:
        if reference.kind == "url":
            return fetcher.fetch(reference.location)
        content = READERS[reference.kind](reference)
    except FileError:
        raise
    except Exception as error:  # archive readers raise anything on damage
        raise FileError(
            f"{reference.name} cannot be read from {reference.location}: {type(error).__name__}: "
            f"{first_line(error)}. Leave it out, or fetch its source again."
        ) from error
    # one byte more than allowed was read, so this can tell
    if len(content) > MAX_BYTES:
        raise FileError(
            f"Expected an image file of at most {MAX_BYTES >> 20} MB, found a larger one at "
            f"{reference.name}. Make it smaller."
        )
    return content


def _read_file(reference: ImageReference) -> bytes:
    with open_file(reference.location) as file:
        return _bounded(cast("Readable", file))


def _read_zip(reference: ImageReference) -> bytes:
    with _open_zip(reference.location).open(reference.member) as file:
        return _bounded(file)


def _read_tar(reference: ImageReference) -> bytes:
    tar, members = _open_tar(reference.location)
    file = tar.extractfile(members[reference.member])
    return _bounded(file) if file else b""


def _read_table(reference: ImageReference) -> bytes:
    return image_bytes(_row_group(reference.location, reference.member, reference.row))


def _read_arrow(reference: ImageReference) -> bytes:
    return image_bytes(open_arrow(reference.location)[reference.member][reference.row].as_py())


READERS = {
    "file": _read_file,
    "zip": _read_zip,
    "tar": _read_tar,
    "table": _read_table,
    "arrow": _read_arrow,
}


def image_bytes(cell: object) -> bytes:
    """Returns the bytes in a cell of a table: plain, or in the {bytes, path} of Hugging Face's images.

    Raises:
        FileError: the cell holds no image.
    """
    if is_table(cell):
        cell = cell.get("bytes")
    if not isinstance(cell, bytes):
        raise FileError(
            f"Expected an image's bytes in a table, found {type(cell).__name__}. Name its column."
        )
    return cell


def _bounded(file: Readable) -> bytes:
    return file.read(MAX_BYTES + 1)


@lru_cache(maxsize=4)
def _open_zip(location: str) -> zipfile.ZipFile:
    # kept open: the directory of a large archive is read once for all of a part's images
    return zipfile.ZipFile(open_file(location))


@lru_cache(maxsize=4)
def _open_tar(location: str) -> tuple[tarfile.TarFile, dict[str, tarfile.TarInfo]]:
    tar = tarfile.open(fileobj=open_file(location))  # noqa: SIM115 - kept open, as above
    return tar, {member.name: member for member in tar if member.isfile()}


@lru_cache(maxsize=2)
def open_arrow(location: str) -> Table:
    """Opens one file of a Hugging Face dataset on disk; its columns stay on disk until they are used."""
    import pyarrow.ipc

    source = pyarrow.memory_map(location)
    try:
        return cast("Table", pyarrow.ipc.open_stream(source).read_all())
    except pyarrow.ArrowInvalid:
        return cast("Table", pyarrow.ipc.open_file(source).read_all())


def _row_group(location: str, column: str, row: int) -> object:
    first, cells = _cells(location, column, _group_of(location, row))
    return cells[row - first]


@lru_cache(maxsize=2)
def _group_starts(location: str) -> tuple[int, ...]:
    from pyarrow import parquet

    with open_file(location) as file:
        metadata = parquet.ParquetFile(file).metadata
    starts = [0]
    for group in range(metadata.num_row_groups):
        starts.append(starts[-1] + metadata.row_group(group).num_rows)
    return tuple(starts)


def _group_of(location: str, row: int) -> int:
    starts = _group_starts(location)
    return next(group for group, start in enumerate(starts[1:]) if row < start)


@lru_cache(maxsize=1)
def _cells(location: str, column: str, group: int) -> tuple[int, list[object]]:
    # rows are asked for in order, so one row group at a time is what memory must hold
    from pyarrow import parquet

    with open_file(location) as file:
        table = parquet.ParquetFile(file).read_row_group(group, columns=[column])
    return _group_starts(location)[group], table[column].to_pylist()
