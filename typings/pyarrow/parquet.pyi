from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from pyarrow import RecordBatch, Schema, Table

class RowGroupMetaData:
    num_rows: int

class FileMetaData:
    num_row_groups: int
    def row_group(self, i: int) -> RowGroupMetaData: ...

class ParquetFile:
    metadata: FileMetaData
    schema_arrow: Schema
    def __init__(self, source: IO[bytes]) -> None: ...
    def iter_batches(self, *, columns: Sequence[str]) -> Iterator[RecordBatch]: ...
    def read_row_group(self, i: int, *, columns: Sequence[str]) -> Table: ...

def write_table(table: Table, where: Path, *, row_group_size: int) -> None: ...
