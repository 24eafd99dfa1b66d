"""What is used here of pyarrow, which has no types."""

from collections.abc import Mapping, Sequence

class ArrowInvalid(ValueError): ...

class ChunkedArray:
    def to_pylist(self) -> list[object]: ...

class Table:
    schema: Schema
    def __getitem__(self, column: str) -> ChunkedArray: ...
    @classmethod
    def from_pylist(cls, mapping: Sequence[Mapping[str, object]]) -> Table: ...

class RecordBatch:
    def to_pylist(self) -> list[dict[str, object]]: ...

class Field:
    name: str

Schema = Sequence[Field]

class MemoryMappedFile: ...

def memory_map(path: str) -> MemoryMappedFile: ...
