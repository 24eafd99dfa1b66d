"""A scene as OpenRaster 0.0.6: `mimetype`, `stack.xml`, a PNG a layer, the flattened image and a thumbnail.

Opacity is exact, places may lie outside the canvas. `pellucid.json` beside them holds provenance. Filters,
texts and modes that are not known here are refused, since they would look different.

| what | how |
|---|---|
| blend modes | by the names of the specification; others by Krita's (`krita:linear_burn`) |
| a group | `isolation="isolate"`, or "auto" if it passes through; no word means that too, as in Krita |
| clipped layers | by `svg:src-atop`, with their base in a stack; only normal ones have such a form |
| masks | a layer's is multiplied into its alpha; a group's is a layer with `svg:dst-in` on top in it |

A stack with a mode or an opacity below 1 is isolated, whatever its `isolation` says.

Source: OpenRaster specification, openraster.org; places of nested stacks add up, as in MyPaint.
"""

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

import numpy as np
from defusedxml.ElementTree import fromstring

from pellucid.errors import InputError
from pellucid.files.atomic import open_atomically
from pellucid.files.image_decoding import warn_of
from pellucid.files.images import read_rgba
from pellucid.files.metadata import GenerationMetadata
from pellucid.rgba.blend_modes import BlendMode
from pellucid.rgba.preview import thumbnail
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGBA8
from pellucid.scene.flatten import mask_values
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import (
    MIXED_IN_SRGB,
    PixelLimit,
    UnsupportedDocument,
    UnsupportedLayer,
    add_images,
    add_member,
    member,
)
from pellucid.scene.formats.xmp import xml_text
from pellucid.scene.layer import (
    MAX_DEPTH,
    Group,
    GroupNode,
    Layer,
    Mask,
    all_lie_over,
    clipping_runs,
    facts,
    layer_tree,
)
from pellucid.scene.scene import Scene, Unsupported

MIME = "image/openraster"
VERSION = "0.0.6"
STACK, METADATA_FILE = "stack.xml", "pellucid.json"
MERGED, THUMBNAIL = "mergedimage.png", "Thumbnails/thumbnail.png"
THUMBNAIL_SIDE = 256
MAX_XML_BYTES = 1 << 24
FARTHEST = 1 << 31
"""Pixels from the canvas at which no layer lies."""
NORMAL = "svg:src-over"
OPERATIONS: Mapping[BlendMode, str] = MappingProxyType(
    {
        "normal": NORMAL,
        "multiply": "svg:multiply",
        "screen": "svg:screen",
        "overlay": "svg:overlay",
        "darken": "svg:darken",
        "lighten": "svg:lighten",
        "color_dodge": "svg:color-dodge",
        "color_burn": "svg:color-burn",
        "hard_light": "svg:hard-light",
        "soft_light": "svg:soft-light",
        "difference": "svg:difference",
        "color": "svg:color",
        "luminosity": "svg:luminosity",
        "hue": "svg:hue",
        "saturation": "svg:saturation",
        "plus": "svg:plus",
        "destination_in": "svg:dst-in",
        "destination_out": "svg:dst-out",
        "source_atop": "svg:src-atop",
        "destination_atop": "svg:dst-atop",
        "exclusion": "krita:exclusion",
        "linear_burn": "krita:linear_burn",
        "linear_dodge": "krita:linear_dodge",
        "linear_light": "krita:linear light",
        "vivid_light": "krita:vivid_light",
        "pin_light": "krita:pin_light",
        "hard_mix": "krita:hard_mix_photoshop",
        "subtract": "krita:subtract",
        "divide": "krita:divide",
        "darker_color": "krita:darker color",
        "lighter_color": "krita:lighter color",
    }
)
"""Blend mode to its `composite-op`."""
ISOLATED, PASSES = "isolate", "auto"
PLAIN = {"opacity": "1.0", "visibility": "visible", "composite-op": NORMAL}
"""Of a node that is shown as it is."""
MASK = {"name": "mask", "composite-op": OPERATIONS["destination_in"], "opacity": "1.0"}
"""Of a layer on top in a stack that stands for the mask of a group."""
MODES: Mapping[str, BlendMode] = MappingProxyType(
    {**{name: mode for mode, name in OPERATIONS.items()}, "svg:exclusion": "exclusion"}
)


def write_ora(scene: Scene, path: Path) -> None:
    """Writes the document.

    Raises:
        InputError: a clipped layer or a mask that the format has no form for.
        FileError: the file cannot be written.
    """
    metadata, scene = LayerMetadata.describing(scene)
    root = ElementTree.Element("image", version=VERSION, w=str(scene.width), h=str(scene.height))
    writer = _Writer(metadata, scene.height, scene.width)
    writer.add_all(ElementTree.SubElement(root, "stack"), layer_tree(scene.layers), isolated=True)
    merged = scene.composite()
    if scene.blend_profile and len(scene.layers) > 1:
        warn_of(path.name, [MIXED_IN_SRGB])
    with open_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        add_member(archive, "mimetype", MIME.encode())  # first and not packed, so that programs find it
        add_member(archive, STACK, ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))
        writer.files[MERGED] = merged, scene.provenance
        writer.files[THUMBNAIL] = thumbnail(merged, THUMBNAIL_SIDE), None
        add_images(archive, ((name, *image) for name, image in writer.files.items()))
        add_member(archive, METADATA_FILE, metadata.to_json().encode() or b"{}")


@dataclass
class _Writer:
    """Describes layers as XML, and gathers the images that it names."""

    metadata: LayerMetadata
    height: int
    width: int
    files: dict[str, tuple[RGBA8, GenerationMetadata | None]] = field(
        default_factory=dict[str, tuple[RGBA8, GenerationMetadata | None]]
    )

    def add_all(
        self, parent: ElementTree.Element, nodes: Sequence[Layer | GroupNode], *, isolated: bool
    ) -> None:
        """Adds nodes, bottom first, to a stack whose backdrop is clear (`isolated`) or what is below it."""
        for number, (base, clipped) in enumerate(clipping_runs(nodes)):
            stack, attributes = parent, _common(facts(base))
            # "atop" keeps the alpha of all that is below, so that must be the base alone
            if clipped and not (isolated and number == 0):
                stack = _insert(parent, "stack", {**attributes, "isolation": ISOLATED})
                attributes |= PLAIN
            self._add(stack, base, attributes, isolated=bool(clipped))
            for node in clipped:
                _check_clipped(facts(node))
                attributes = {**_common(facts(node)), "composite-op": OPERATIONS["source_atop"]}
                self._add(stack, node, attributes, isolated=True)

    def _add(
        self,
        parent: ElementTree.Element,
        node: Layer | GroupNode,
        attributes: dict[str, str],
        *,
        isolated: bool,
    ) -> None:
        shown = facts(node)
        mask = shown.mask if shown.mask is not None and shown.mask.enabled else None
        if isinstance(node, Layer):
            image, (top, left) = node.image, node.offset
            if mask is not None:
                image = image.copy()
                shares = mask_values(mask, top, left, *image.shape[:2]) / 255
                image[..., 3] = to_bytes(image[..., 3] / 255 * shares, ties_up=True)
            name = self._file(image, node.provenance)
            self.metadata.add(name, node.name, attributes["name"], node.provenance)
            _insert(parent, "layer", {**attributes, "src": name, "x": str(left), "y": str(top)})
            return
        isolated = isolated or node.group.blend_mode != "pass_through"
        if not isolated:
            _check_passing(node, mask)
            # the format isolates what is not opaque; of layers that lie over one another it is the same
            isolated = node.group.opacity < 1
        stack = _insert(parent, "stack", {**attributes, "isolation": ISOLATED if isolated else PASSES})
        self.add_all(stack, node.children, isolated=isolated)
        if mask is not None:
            levels = mask_values(mask, 0, 0, self.height, self.width)
            image = np.dstack([np.zeros((*levels.shape, 3), np.uint8), levels])
            _insert(stack, "layer", {**MASK, "src": self._file(image, None)})

    def _file(self, image: RGBA8, provenance: GenerationMetadata | None) -> str:
        name = f"data/layer{len(self.files):03}.png"
        self.files[name] = image, provenance
        return name


def _check_passing(node: GroupNode, mask: Mask | None) -> None:
    """Refuses a group that passes through in part, if its layers blend with what is below it."""
    found = "a mask" if mask is not None else "an opacity" if node.group.opacity < 1 else ""
    if found and (mask is not None or not all_lie_over(node.children)):
        raise InputError(
            f"Expected no mask or opacity of a group that passes through for .ora, found {found} of "
            f"{node.group.name[:40]!r}. Save it as .psd, or flatten it."
        )


def _check_clipped(shown: Layer | Group) -> None:
    if shown.blend_mode not in ("normal", "pass_through"):
        raise InputError(
            f"Expected clipped layers that blend normally for .ora, found {shown.name[:40]!r}, which blends "
            f"by {shown.blend_mode}. Save it as .psd, or flatten it."
        )


def _insert(parent: ElementTree.Element, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
    element = ElementTree.Element(tag, attributes)
    parent.insert(0, element)  # in front: the format lists the top layer first
    return element


def _common(node: Layer | Group) -> dict[str, str]:
    return {
        "name": xml_text(node.name),
        # repr is the shortest text that gives the same number back
        "opacity": repr(float(node.opacity)),
        "visibility": "visible" if node.visible else "hidden",
        "composite-op": NORMAL if node.blend_mode == "pass_through" else OPERATIONS[node.blend_mode],
    }


def read_ora(content: bytes, pixel_limit: PixelLimit, unsupported: Unsupported = "refuse") -> Scene:
    """Reads a document by any program, as long as its layers are images.

    Args:
        content: the file.
        pixel_limit: of what is unpacked.
        unsupported: what becomes of a layer that cannot be shown as its author sees it.

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
        reader = _Reader(archive, LayerMetadata.from_json(text), pixel_limit, unsupported == "skip")
        try:
            reader.read(stack, (), (0, 0))
        except UnsupportedLayer as refusal:
            if unsupported != "flatten" or MERGED not in names:
                raise
            words = f"{refusal.words}; the file's flattened image is taken instead"
            reader.notes, reader.layers = [words], [Layer(image=reader.image(MERGED), name="Background")]
        scene = reader.metadata.scene(tuple(reversed(reader.layers)), height, width)
    warn_of("This document", reader.notes)
    return scene


@dataclass
class _Reader:
    archive: zipfile.ZipFile
    metadata: LayerMetadata
    pixel_limit: PixelLimit
    skips: bool
    notes: list[str] = field(default_factory=list[str])
    layers: list[Layer] = field(default_factory=list[Layer])
    """Top first."""

    def read(self, stack: ElementTree.Element, groups: tuple[Group, ...], place: tuple[int, int]) -> None:
        if len(groups) > MAX_DEPTH:
            raise UnsupportedDocument(f"its groups are nested more than {MAX_DEPTH} deep. Nest them less.")
        # the whole image is isolated too
        clipped = _clipped(stack) if not groups or _is_isolated(stack) else []
        for element in stack:
            if element.tag == "stack":
                place_of_all = _place(element, place)
                group = self._group(element, place_of_all, clipped=element in clipped)
                self.read(element, (*groups, group), place_of_all)
            elif element.tag == "layer":
                if not _is_mask(stack, element):
                    self.layers.append(self._layer(element, groups, place, clipped=element in clipped))
            else:
                self._leave_out(f"{element.tag[:40]!r} in its stack is no layer")

    def _leave_out(self, words: str) -> None:
        """Notes what is left out, where it may be.

        Raises:
            UnsupportedLayer: it may not.
        """
        if not self.skips:
            raise UnsupportedLayer(words)
        self.notes.append(f"{words}; that is left out")

    def _mode(self, element: ElementTree.Element, name: str) -> BlendMode:
        operation = element.get("composite-op", NORMAL)
        if operation not in MODES:
            self._leave_out(f"{name[:40]!r} blends by {operation[:40]}, which is not known here")
        return MODES.get(operation, "normal")

    def _group(self, element: ElementTree.Element, place: tuple[int, int], *, clipped: bool) -> Group:
        name = element.get("name", "group")
        mode = self._mode(element, name)
        mask = next((self._mask(child, place) for child in element if _is_mask(element, child)), None)
        return Group(
            name=name,
            opacity=_opacity(element),
            visible=_is_visible(element),
            blend_mode="normal" if clipped else mode if _is_isolated(element) else "pass_through",
            clipped=clipped,
            mask=mask,
        )

    def _mask(self, element: ElementTree.Element, place: tuple[int, int]) -> Mask:
        return Mask(image=self.image(element.attrib["src"])[..., 3], offset=_place(element, place))

    def _layer(
        self,
        element: ElementTree.Element,
        groups: tuple[Group, ...],
        place: tuple[int, int],
        *,
        clipped: bool,
    ) -> Layer:
        stored_name, file = element.get("name", "layer"), element.attrib["src"]
        mode = self._mode(element, stored_name)
        return Layer(
            image=self.image(file),
            name=self.metadata.name(file, stored_name),
            offset=_place(element, place),
            opacity=_opacity(element),
            visible=_is_visible(element),
            provenance=self.metadata.of(file, stored_name),
            groups=groups,
            blend_mode="normal" if clipped else mode,
            clipped=clipped,
        )

    def image(self, file: str) -> RGBA8:
        """Reads an image of the archive; errors of `read_rgba`."""
        # the limit is what earlier layers have left
        image = read_rgba(member(self.archive, file), max_pixels=max(self.pixel_limit.left, 0))
        self.pixel_limit.spend(*image.shape[:2])
        return image


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


def _is_isolated(stack: ElementTree.Element) -> bool:
    # "auto" is isolated by whatever makes it one image, as in CSS
    told = stack.get("isolation", PASSES) != PASSES or stack.get("composite-op", NORMAL) != NORMAL
    return told or _opacity(stack) < 1


def _clipped(stack: ElementTree.Element) -> list[ElementTree.Element]:
    """Returns what is clipped to the lowest in an isolated stack: the run of "atop" right above it."""
    above = list(stack)[-2::-1]
    atop = OPERATIONS["source_atop"]
    return list(takewhile(lambda element: element.get("composite-op") == atop, above))


def _is_mask(stack: ElementTree.Element, element: ElementTree.Element) -> bool:
    """Says whether a layer is how a mask of its group is written here."""
    stands_for = all(element.get(key) == value for key, value in MASK.items()) and _is_visible(element)
    return element.tag == "layer" and stands_for and _is_isolated(stack) and element is stack[0]
