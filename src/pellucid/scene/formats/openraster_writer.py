"""A scene as OpenRaster; `pellucid.scene.formats.openraster` says how."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pellucid.errors import InputError
from pellucid.files.atomic import open_atomically
from pellucid.files.image_decoding import warn_of
from pellucid.files.metadata import GenerationMetadata
from pellucid.rgba.preview import thumbnail
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.strips import StripImage, StripShrinker, is_large, strips_of
from pellucid.rgba.types import RGBA8
from pellucid.scene.flatten import mask_values
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import MIXED_IN_SRGB, add_images, add_member, open_member
from pellucid.scene.formats.merged import write_merged
from pellucid.scene.formats.openraster import (
    ISOLATED,
    MASK,
    MERGED,
    METADATA_FILE,
    MIME,
    NORMAL,
    OPERATIONS,
    PASSES,
    PLAIN,
    STACK,
    THUMBNAIL,
    THUMBNAIL_SIDE,
    VERSION,
)
from pellucid.scene.formats.xmp import xml_text
from pellucid.scene.layer import (
    Group,
    GroupNode,
    Layer,
    Mask,
    all_lie_over,
    clipping_runs,
    facts,
    layer_tree,
)
from pellucid.scene.scene import Scene


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
    if scene.blend_profile and len(scene.layers) > 1:
        warn_of(path.name, [MIXED_IN_SRGB])
    with open_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        add_member(archive, "mimetype", MIME.encode())  # first and not packed, so that programs find it
        add_member(archive, STACK, ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))
        image = StripImage(scene.height, scene.width, scene.composite_strips())
        if not image.is_large:
            merged = image.gather()
            writer.files[MERGED] = merged, scene.provenance
            writer.files[THUMBNAIL] = thumbnail(merged, THUMBNAIL_SIDE), None
        small = {name: file for name, file in writer.files.items() if not is_large(file[0].size // 4)}
        add_images(archive, ((name, *file) for name, file in small.items()))
        for name, (rgba, provenance) in writer.files.items():
            if name not in small:
                _add_by_strips(archive, name, strips_of(rgba), provenance)
        if image.is_large:
            _add_merged(archive, image, scene.provenance)
        add_member(archive, METADATA_FILE, metadata.to_json().encode() or b"{}")


def _add_merged(archive: zipfile.ZipFile, image: StripImage, provenance: GenerationMetadata | None) -> None:
    """Adds the flattened image by strips, and its small version."""
    small = StripShrinker(image.height, image.width)
    _add_by_strips(archive, MERGED, image.shrinking_to(small), provenance)
    add_images(archive, [(THUMBNAIL, thumbnail(small.image, THUMBNAIL_SIDE), None)])


def _add_by_strips(
    archive: zipfile.ZipFile, name: str, image: StripImage, provenance: GenerationMetadata | None
) -> None:
    # packed pixels are never much more than the pixels
    with open_member(archive, name, most_bytes=5 * image.height * image.width) as member:
        write_merged(member, image, provenance)


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
        mask = shown.enabled_mask
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
