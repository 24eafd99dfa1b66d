"""An ONNX model of one operation, written by hand: the package that writes them is no dependency."""

from pathlib import Path


def _field(number: int, value: int | bytes | str) -> bytes:
    """Encodes a field of a protobuf message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts: list[int] = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _tensor(name: str, *sides: int) -> bytes:
    shape = b"".join(_field(1, _field(1, side)) for side in sides)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))


def write_mean_model(path: Path, side: int = 8) -> None:
    """Writes a model that gives an image (1, 3, side, side) the mean of its values, (1, 1, 1, 1)."""
    axes = _field(1, "axes") + _field(20, 7) + b"".join(_field(8, axis) for axis in (1, 2, 3))
    node = _field(1, "image") + _field(2, "mean") + _field(4, "ReduceMean") + _field(5, axes)
    graph = (
        _field(1, node) + _field(2, "mean of an image") + _field(11, _tensor("image", 1, 3, side, side))
        + _field(12, _tensor("mean", 1, 1, 1, 1))
    )  # fmt: skip
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
