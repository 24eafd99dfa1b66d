"""A scene as OpenRaster 0.0.6: `mimetype`, `stack.xml`, a PNG a layer, the flattened image and a thumbnail.

Opacity is exact, places may lie outside the canvas. `pellucid.json` beside them holds provenance. Read:
layers and groups that blend normally; anything else is refused, since it would look different here.

Source: OpenRaster specification, freedesktop.org; places of nested stacks add up, as in MyPaint.
"""

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from defusedxml.ElementTree import fromstring

from pellucid.files.atomic import open_atomically
from pellucid.files.images import encode_image, read_rgba
from pellucid.rgba.preview import thumbnail
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import PixelLimit, UnsupportedDocument, add_member, member
from pellucid.scene.formats.xmp import xml_text
from pellucid.scene.layer import MAX_DEPTH, Group, GroupNode, Layer, layer_tree
from pellucid.scene.scene import Scene

MIME = "image/openraster"
VERSION = "0.0.6"
STACK, METADATA_FILE = "stack.xml", "pellucid.json"
MERGED, THUMBNAIL = "mergedimage.png", "Thumbnails/thumbnail.png"
THUMBNAIL_SIDE = 256
MAX_XML_BYTES = 1 << 24
FARTHEST = 1 << 31
"""Pixels from the canvas at which no layer lies."""
NORMAL = "svg:src-over"


def write_ora(scene: Scene, path: Path) -> None:
    """Writes the document.

    Raises:
        FileError: the file cannot be written.
    """
    metadata, scene = LayerMetadata.describing(scene)
    root = ElementTree.Element("image", version=VERSION, w=str(scene.width), h=str(scene.height))
    files = [f"data/layer{number:03}.png" for number in range(len(scene.layers))]
    _describe(ElementTree.SubElement(root, "stack"), layer_tree(scene.layers), iter(files), metadata)
    merged = scene.composite()
    with open_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        add_member(archive, "mimetype", MIME.encode())  # first and not packed, so that programs find it
        add_member(archive, STACK, ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))
        for name, layer in zip(files, scene.layers, strict=True):
            add_member(archive, name, encode_image(layer.image, "PNG", metadata=layer.provenance))
        add_member(archive, MERGED, encode_image(merged, "PNG", metadata=scene.provenance))
        add_member(archive, THUMBNAIL, encode_image(thumbnail(merged, THUMBNAIL_SIDE), "PNG"))
        add_member(archive, METADATA_FILE, metadata.to_json().encode() or b"{}")


def _describe(
    parent: ElementTree.Element,
    nodes: Sequence[Layer | GroupNode],
    files: Iterator[str],
    metadata: LayerMetadata,
) -> None:
    """Adds the nodes, top first as the format wants; `files` names the layers' files, bottom first."""
    for node in nodes:
        if isinstance(node, GroupNode):
            element = ElementTree.Element("stack", _common(node.group))
            _describe(element, node.children, files, metadata)
        else:
            file, attributes = next(files), _common(node)
            metadata.add(file, node.name, attributes["name"], node.provenance)
            top, left = node.offset
            element = ElementTree.Element("layer", attributes, src=file, x=str(left), y=str(top))
        # in front: the format lists the top layer first
        parent.insert(0, element)


def _common(node: Layer | Group) -> dict[str, str]:
    return {
        "name": xml_text(node.name),
        # repr is the shortest text that gives the same number back
        "opacity": repr(float(node.opacity)),
        "visibility": "visible" if node.visible else "hidden",
        "composite-op": NORMAL,
    }


def read_ora(content: bytes, pixel_limit: PixelLimit) -> Scene:
    """Reads a document by any program, as long as its layers are images that blend normally.

    Raises:
        UnsupportedDocument: something that layers here cannot show, or too large.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        if "mimetype" in names and member(archive, "mimetype", 1024).strip() != MIME.encode():
            raise UnsupportedDocument("its mimetype is another one. Open an OpenRaster document.")
        root = fromstring(member(archive, STACK, MAX_XML_BYTES))
        stack = root.find("stack")
        if root.tag != "image" or stack is None:
            raise ValueError("no image with a stack")
        height, width = int(root.attrib["h"]), int(root.attrib["w"])
        pixel_limit.canvas(height, width)
        text = member(archive, METADATA_FILE, MAX_XML_BYTES) if METADATA_FILE in names else b""
        reader = _Reader(archive, LayerMetadata.from_json(text), pixel_limit)
        reader.read(stack, (), (0, 0))
        return reader.metadata.scene(tuple(reversed(reader.layers)), height, width)


@dataclass
class _Reader:
    archive: zipfile.ZipFile
    metadata: LayerMetadata
    pixel_limit: PixelLimit
    layers: list[Layer] = field(default_factory=list[Layer])
    """Top first."""

    def read(self, stack: ElementTree.Element, groups: tuple[Group, ...], place: tuple[int, int]) -> None:
        if len(groups) > MAX_DEPTH:
            raise UnsupportedDocument(f"its groups are nested more than {MAX_DEPTH} deep. Nest them less.")
        for element in stack:
            if element.tag == "stack":
                name = element.get("name", "group")
                _check_blending(element, name)
                group = Group(name=name, opacity=_opacity(element), visible=_is_visible(element))
                self.read(element, (*groups, group), _place(element, place))
            elif element.tag == "layer":
                self.layers.append(self._layer(element, groups, place))
            else:
                raise UnsupportedDocument(
                    f"it has a {element.tag[:40]!r} in its stack. Turn it into a layer or remove it."
                )

    def _layer(
        self, element: ElementTree.Element, groups: tuple[Group, ...], place: tuple[int, int]
    ) -> Layer:
        stored_name, file = element.get("name", "layer"), element.attrib["src"]
        _check_blending(element, stored_name)
        # the limit is what earlier layers have left
        image = read_rgba(member(self.archive, file), max_pixels=max(self.pixel_limit.left, 0))
        self.pixel_limit.spend(*image.shape[:2])
        return Layer(
            image=image,
            name=self.metadata.name(file, stored_name),
            offset=_place(element, place),
            opacity=_opacity(element),
            visible=_is_visible(element),
            provenance=self.metadata.of(file, stored_name),
            groups=groups,
        )


def _place(element: ElementTree.Element, place: tuple[int, int]) -> tuple[int, int]:
    return place[0] + _whole(element.get("y", "0")), place[1] + _whole(element.get("x", "0"))


def _whole(text: str) -> int:
    """Rounds a place to the pixel grid, halves up: some programs write decimals, no layer here has any.

    Raises:
        ValueError: no number, or one beyond every canvas.
    """
    value = float(text)
    if not abs(value) < FARTHEST:  # nan as well
        raise ValueError("a place beyond every canvas")
    return math.floor(value + 0.5)


def _opacity(element: ElementTree.Element) -> float:
    return float(element.get("opacity", "1"))


def _is_visible(element: ElementTree.Element) -> bool:
    return element.get("visibility", "visible") == "visible"


def _check_blending(element: ElementTree.Element, name: str) -> None:
    mode = element.get("composite-op", NORMAL)
    if mode != NORMAL:
        raise UnsupportedDocument(
            f"{name[:40]!r} blends by {mode[:40]}, only {NORMAL} is known here. "
            "Set it to normal, or merge it with what is below."
        )
