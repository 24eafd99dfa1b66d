"""A scene as a .zip: `scene.json` and one PNG a layer, so that any tool can look inside.

The same scene gives the same bytes.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from pellucid.files.atomic import open_atomically
from pellucid.files.images import encode_image, read_rgba
from pellucid.files.metadata import GenerationMetadata
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import PixelLimit, add_member, member
from pellucid.scene.layer import Group, Layer
from pellucid.scene.scene import Scene

INDEX = "scene.json"
FORMAT = "pellucid-scene"
VERSION = 1
MAX_INDEX_BYTES = 1 << 24


class _Facts(TypedDict):
    """What a layer and a group have in common."""

    name: str
    opacity: float
    visible: bool


class _Row(_Facts):
    """A layer in `scene.json`."""

    file: str
    top: int
    left: int
    provenance: dict[str, object] | None
    groups: NotRequired[list[int]]
    """Places in the index's groups, the outermost first."""


class _Index(TypedDict):
    """`scene.json`."""

    format: str
    version: int
    height: int
    width: int
    provenance: dict[str, object] | None
    layers: list[_Row]
    references: NotRequired[int]
    groups: NotRequired[list[_Facts]]


def write_archive(scene: Scene, path: Path) -> None:
    """Writes the layers, their places and where they come from.

    Raises:
        FileError: the file cannot be written.
    """
    metadata, scene = LayerMetadata.describing(scene)
    # numbered in the order of the layers, so that the same scene gives the same bytes
    groups = list(dict.fromkeys(group for layer in scene.layers for group in layer.groups))
    numbers = {group: number for number, group in enumerate(groups)}
    rows = [_row(layer, f"layers/{number:03}.png", numbers) for number, layer in enumerate(scene.layers)]
    index: _Index = {
        "format": FORMAT,
        "version": VERSION,
        "height": scene.height,
        "width": scene.width,
        "provenance": scene.provenance and scene.provenance.as_dict(),
        "layers": rows,
    }
    if metadata.references:
        index["references"] = metadata.references
    if groups:
        index["groups"] = [_common(group) for group in groups]
    # members are stored, not deflated: a PNG is packed already
    with open_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        add_member(archive, INDEX, json.dumps(index, ensure_ascii=False, indent=1).encode())
        for row, layer in zip(rows, scene.layers, strict=True):
            add_member(archive, row["file"], encode_image(layer.image, "PNG", metadata=layer.provenance))


def read_archive(content: bytes, pixel_limit: PixelLimit) -> Scene:
    """Reads `write_archive`.

    Raises:
        UnsupportedDocument: too large.
        ValueError, LookupError: another kind of zip.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # a file may say anything, so what is read of it is converted, which refuses what does not fit
        index: _Index = json.loads(member(archive, INDEX, MAX_INDEX_BYTES))
        if index["format"] != FORMAT or index["version"] != VERSION:
            raise ValueError("another format or version")
        height, width = int(index["height"]), int(index["width"])
        pixel_limit.canvas(height, width)
        groups = [Group(**_seen(row)) for row in index.get("groups", [])]
        layers = tuple(_layer(archive, row, groups, pixel_limit) for row in index["layers"])
        provenance, references = GenerationMetadata.of(index["provenance"]), int(index.get("references", 0))
        return LayerMetadata(provenance=provenance, references=references).scene(layers, height, width)


def _row(layer: Layer, file: str, numbers: Mapping[Group, int]) -> _Row:
    row: _Row = {
        "file": file,
        **_common(layer),
        "top": layer.offset[0],
        "left": layer.offset[1],
        "provenance": layer.provenance and layer.provenance.as_dict(),
    }
    if layer.groups:
        row["groups"] = [numbers[group] for group in layer.groups]
    return row


def _common(node: Layer | Group) -> _Facts:
    return {"name": node.name, "opacity": node.opacity, "visible": node.visible}


def _seen(row: _Facts) -> _Facts:
    return {
        "name": str(row["name"]),
        "opacity": float(row["opacity"]),
        "visible": bool(row["visible"]),
    }


def _layer(archive: zipfile.ZipFile, row: _Row, groups: Sequence[Group], pixel_limit: PixelLimit) -> Layer:
    image = read_rgba(member(archive, row["file"]), max_pixels=max(pixel_limit.left, 0))
    pixel_limit.spend(*image.shape[:2])
    return Layer(
        image=image,
        offset=(int(row["top"]), int(row["left"])),
        provenance=GenerationMetadata.of(row["provenance"]),
        groups=tuple(groups[int(number)] for number in row.get("groups", [])),
        **_seen(row),
    )
