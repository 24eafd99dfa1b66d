"""An OpenRaster document by any program to a scene, as long as its layers are images."""

import math
import zipfile
from dataclasses import dataclass, field
from itertools import takewhile
from xml.etree import ElementTree

from defusedxml.ElementTree import fromstring

from pellucid.files.image_decoding import warn_of
from pellucid.files.sources import NamedContent
from pellucid.rgba.blend_modes import BlendMode
from pellucid.scene.formats.archive_images import ArchiveImages
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import (
    PixelLimit,
    UnsupportedDocument,
    UnsupportedLayer,
    member,
)
from pellucid.scene.formats.openraster import (
    FARTHEST,
    MASK,
    MAX_XML_BYTES,
    MERGED,
    METADATA_FILE,
    MIME,
    MODES,
    NORMAL,
    OPERATIONS,
    PASSES,
    STACK,
)
from pellucid.scene.layer import (
    MAX_DEPTH,
    Group,
    Layer,
    Mask,
)
from pellucid.scene.scene import Scene, Unsupported


def read_ora(source: NamedContent, pixel_limit: PixelLimit, unsupported: Unsupported = "refuse") -> Scene:
    """Reads a document by any program, as long as its layers are images.

    Args:
        source: the file.
        pixel_limit: of what is unpacked.
        unsupported: what becomes of a layer that cannot be shown as its author sees it.

    Raises:
        UnsupportedDocument: something that layers here cannot show, or too large.
    """
    with source.opened() as file, zipfile.ZipFile(file) as archive:
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
        notes = list[str]()
        images = ArchiveImages(archive, pixel_limit, notes)
        reader = _Reader(images, LayerMetadata.from_json(text), unsupported == "skip", notes)
        try:
            with images.coming(layer.get("src", "") for layer in stack.iter("layer")):
                reader.read(stack, (), (0, 0))
        except UnsupportedLayer as refusal:
            if unsupported != "flatten" or MERGED not in names:
                raise
            words = f"{refusal.words}; the file's flattened image is taken instead"
            notes[:] = [words]
            reader.layers = [Layer(image=images.read(MERGED), name="Background")]
        scene = reader.metadata.scene(tuple(reversed(reader.layers)), height, width)
    warn_of(source.name, notes)
    return scene


@dataclass
class _Reader:
    images: ArchiveImages
    metadata: LayerMetadata
    skips: bool
    notes: list[str]
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
        return Mask(image=self.images.read(element.attrib["src"])[..., 3], offset=_place(element, place))

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
            image=self.images.read(file),
            name=self.metadata.name(file, stored_name),
            offset=_place(element, place),
            opacity=_opacity(element),
            visible=_is_visible(element),
            provenance=self.metadata.of(file, stored_name),
            groups=groups,
            blend_mode="normal" if clipped else mode,
            clipped=clipped,
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
