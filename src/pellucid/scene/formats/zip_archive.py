"""A scene as a .zip: `scene.json` and one PNG a layer, so that any tool can look inside.

The same scene gives the same bytes.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import numpy as np

from pellucid.files.atomic import open_atomically
from pellucid.files.image_decoding import warn_of
from pellucid.files.metadata import GenerationMetadata
from pellucid.files.sources import NamedContent
from pellucid.rgba.blend_modes import BlendMode
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.formats.archive_images import ArchiveImages
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import PixelLimit, add_images, add_member, member
from pellucid.scene.layer import Group, Layer, Mask
from pellucid.scene.scene import Scene

INDEX, PROFILE = "scene.json", "blend-profile.icc"
FORMAT = "pellucid-scene"
PLAIN_VERSION, VERSION = 1, 2
"""The second has blend modes, clipping, masks and a blend profile; without them the first is written."""
MAX_INDEX_BYTES = 1 << 24


class _Mask(TypedDict):
    """A mask in `scene.json`."""

    file: str
    top: int
    left: int
    outside: int
    enabled: bool


class _Facts(TypedDict):
    """What a layer and a group have in common; what is absent is as usual."""

    name: str
    opacity: float
    visible: bool
    blend_mode: NotRequired[str]
    clipped: NotRequired[bool]
    mask: NotRequired[_Mask]


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
    blend_profile: NotRequired[str]
    """Name of its file."""


def write_archive(scene: Scene, path: Path) -> None:
    """Writes the layers, their places and where they come from.

    Raises:
        FileError: the file cannot be written.
    """
    metadata, scene = LayerMetadata.describing(scene)
    # numbered in the order of the layers, so that the same scene gives the same bytes
    groups = list(dict.fromkeys(group for layer in scene.layers for group in layer.groups))
    numbers = {group: number for number, group in enumerate(groups)}
    masks: dict[str, Mask] = {}
    files = [f"layers/{number:03}.png" for number in range(len(scene.layers))]
    rows = [_row(layer, file, numbers, masks) for file, layer in zip(files, scene.layers, strict=True)]
    grouped = [_common(group, masks) for group in groups]
    new = any({"blend_mode", "clipped", "mask"} & row.keys() for row in (*rows, *grouped))
    new = new or scene.blend_profile is not None
    index: _Index = {
        "format": FORMAT,
        "version": VERSION if new else PLAIN_VERSION,
        "height": scene.height,
        "width": scene.width,
        "provenance": scene.provenance and scene.provenance.as_dict(),
        "layers": rows,
    }
    if metadata.references:
        index["references"] = metadata.references
    if groups:
        index["groups"] = grouped
    if scene.blend_profile is not None:
        index["blend_profile"] = PROFILE
    # members are stored, not deflated: a PNG is packed already
    with open_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        add_member(archive, INDEX, json.dumps(index, ensure_ascii=False, indent=1).encode())
        if scene.blend_profile is not None:
            add_member(archive, PROFILE, scene.blend_profile)
        layers = zip(files, scene.layers, strict=True)
        images = [(file, layer.image, layer.provenance) for file, layer in layers]
        add_images(archive, [*images, *((name, _opaque(mask.image), None) for name, mask in masks.items())])


def _opaque(grey: AnyArray) -> RGBA8:
    return np.dstack([grey] * 3 + [np.full_like(grey, 255)])


def read_archive(source: NamedContent, pixel_limit: PixelLimit) -> Scene:
    """Reads `write_archive`.

    Raises:
        UnsupportedDocument: too large.
        ValueError, LookupError: another kind of zip.
    """
    with source.opened() as file, zipfile.ZipFile(file) as archive:
        # a file may say anything, so what is read of it is converted, which refuses what does not fit
        index: _Index = json.loads(member(archive, INDEX, MAX_INDEX_BYTES))
        if index["format"] != FORMAT or index["version"] not in (PLAIN_VERSION, VERSION):
            raise ValueError("another format or version")
        height, width = int(index["height"]), int(index["width"])
        pixel_limit.canvas(height, width)
        notes = list[str]()
        images = ArchiveImages(archive, pixel_limit, notes)
        reader = _Reader(images)
        groups = [reader.group(row) for row in index.get("groups", [])]
        with images.coming([str(row["file"]) for row in index["layers"]]):
            layers = tuple(reader.layer(row, groups) for row in index["layers"])
        provenance, references = GenerationMetadata.of(index["provenance"]), int(index.get("references", 0))
        profile = (
            member(archive, index["blend_profile"], MAX_INDEX_BYTES) if "blend_profile" in index else None
        )
        scene = LayerMetadata(provenance=provenance, references=references).scene(layers, height, width)
    warn_of(source.name, notes)
    return replace(scene, blend_profile=profile)


def _row(layer: Layer, file: str, numbers: Mapping[Group, int], masks: dict[str, Mask]) -> _Row:
    row: _Row = {
        "file": file,
        **_common(layer, masks),
        "top": layer.offset[0],
        "left": layer.offset[1],
        "provenance": layer.provenance and layer.provenance.as_dict(),
    }
    if layer.groups:
        row["groups"] = [numbers[group] for group in layer.groups]
    return row


def _common(node: Layer | Group, masks: dict[str, Mask]) -> _Facts:
    """Describes what layers and groups have in common; a mask goes into `masks` under its file's name."""
    row: _Facts = {"name": node.name, "opacity": node.opacity, "visible": node.visible}
    if node.blend_mode != "normal":
        row["blend_mode"] = node.blend_mode
    if node.clipped:
        row["clipped"] = True
    if node.mask is not None:
        file, mask = f"masks/{len(masks):03}.png", node.mask
        masks[file] = mask
        top, left = mask.offset
        row["mask"] = _Mask(file=file, top=top, left=left, outside=mask.outside, enabled=mask.enabled)
    return row


class _Seen(TypedDict):
    """What is read of `_Facts`, but for the blend mode, of which groups have one more."""

    name: str
    opacity: float
    visible: bool
    clipped: bool
    mask: Mask | None


@dataclass(frozen=True, slots=True)
class _Reader:
    images: ArchiveImages

    def group(self, row: _Facts) -> Group:
        return Group(**self._seen(row), blend_mode=cast(BlendMode, row.get("blend_mode", "normal")))

    def layer(self, row: _Row, groups: Sequence[Group]) -> Layer:
        return Layer(
            image=self.images.read(row["file"]),
            offset=(int(row["top"]), int(row["left"])),
            provenance=GenerationMetadata.of(row["provenance"]),
            groups=tuple(groups[int(number)] for number in row.get("groups", [])),
            blend_mode=cast(BlendMode, row.get("blend_mode", "normal")),
            **self._seen(row),
        )

    def _seen(self, row: _Facts) -> _Seen:
        return {
            "name": str(row["name"]),
            "opacity": float(row["opacity"]),
            "visible": bool(row["visible"]),
            "clipped": bool(row.get("clipped", False)),
            "mask": self._mask(row["mask"]) if "mask" in row else None,
        }

    def _mask(self, row: _Mask) -> Mask:
        return Mask(
            image=self.images.read(row["file"])[..., 0],
            offset=(int(row["top"]), int(row["left"])),
            outside=int(row["outside"]),
            enabled=bool(row["enabled"]),
        )
