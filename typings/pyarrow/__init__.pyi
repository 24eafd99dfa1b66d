"""What is used here of pyarrow, which has no types."""

from collections.abc import Sequence

class ArrowInvalid(ValueError): ...

class ChunkedArray:
    def to_pylist(self) -> list[object]: ...

class Table:
    def __getitem__(self, column: str) -> ChunkedArray: ...

class RecordBatch:
    def to_pylist(self) -> list[dict[str, object]]: ...

class Field:
    name: str

Schema = Sequence[Field]

class MemoryMappedFile: ...

def memory_map(path: str) -> MemoryMappedFile: ...
