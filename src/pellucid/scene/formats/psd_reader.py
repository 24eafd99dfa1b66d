"""A PSD or PSB by any program to a scene, as long as layers here can show it.

Every colour mode that can be shown right (see `psd_colours`), layers and groups with their blend modes,
clipping and pixel masks, text, shapes and smart objects by their stored pixels. Everything else is refused:
another image than the author's would be worse than none.
"""

import io
import warnings
from dataclasses import replace

from psd_tools import ParseLimits, PSDDecompressionWarning, PSDImage
from psd_tools.api.layers import Group as Folder
from psd_tools.api.layers import Layer as Entry
from psd_tools.constants import BlendMode, Resource

from pellucid.files.image_decoding import warn_of
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import (
    PixelLimit,
    UnsupportedDocument,
    UnsupportedLayer,
)
from pellucid.scene.formats.psd_colours import Colours
from pellucid.scene.formats.psd_features import MODES, find_obstacle, is_clipped
from pellucid.scene.formats.psd_pixels import StoredPixels
from pellucid.scene.formats.xmp import parse_xmp
from pellucid.scene.layer import MAX_DEPTH, Group, Layer
from pellucid.scene.scene import Scene, Unsupported


def read_psd(content: bytes, pixel_limit: PixelLimit, unsupported: Unsupported = "refuse") -> Scene:
    """Reads a document.

    Args:
        content: the file.
        pixel_limit: of what is unpacked.
        unsupported: what becomes of a layer that cannot be shown as its author sees it.

    Raises:
        UnsupportedDocument: something that layers here cannot show, or too large.
    """
    # a small file may declare gigabytes: unpacked data is bounded by what its size makes likely
    limits = ParseLimits(max_read_bytes=len(content) + 1, max_total_bytes=16 * len(content) + (1 << 20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PSDDecompressionWarning)  # it would go on with black
        document = PSDImage.open(io.BytesIO(content), parse_limits=limits)
        pixel_limit.canvas(document.height, document.width)
        resources = document.image_resources
        profile = resources.get_data(Resource.ICC_PROFILE)
        metadata = parse_xmp(resources.get_data(Resource.XMP_METADATA))
        icc, notes = profile if isinstance(profile, bytes) else b"", list[str]()
        colours = Colours(document.color_mode, document.depth, icc, notes)
        reader = _Reader(StoredPixels(pixel_limit, colours), metadata, notes, skips=unsupported == "skip")
        try:
            reader.read(document, ())
            layers = reader.layers if len(document) else [reader.flattened(document)]
            colours.check_blending(layers, skips=reader.skips)
        except UnsupportedLayer as refusal:
            if unsupported != "flatten":
                raise
            layers = [reader.flattened_instead(document, refusal)]
    warn_of("This document", notes)
    scene = metadata.scene(layers, document.height, document.width)
    return replace(scene, blend_profile=colours.blend_profile) if len(layers) > 1 else scene


class _Reader:
    """Gathers the layers of a document, bottom first."""

    def __init__(
        self, pixels: StoredPixels, metadata: LayerMetadata, notes: list[str], *, skips: bool
    ) -> None:
        self.pixels, self.metadata, self.notes, self.skips = pixels, metadata, notes, skips
        self.layers: list[Layer] = []

    def read(self, parent: PSDImage | Folder, groups: tuple[Group, ...]) -> None:
        if len(groups) > MAX_DEPTH:
            raise UnsupportedDocument(f"its groups are nested more than {MAX_DEPTH} deep. Nest them less.")
        base: Entry | None = None
        for entry in parent:
            clipped, name = is_clipped(entry), str(entry.name)[:40]
            obstacle = find_obstacle(entry, base)
            base = base if clipped else entry
            if obstacle is not None and not self.skips:
                raise UnsupportedLayer(f"{name!r} {obstacle.words}")
            if obstacle is not None:
                left_out = "it" if obstacle.whole else "that"
                self.notes.append(f"{name!r} {obstacle.words}; {left_out} is left out")
            if obstacle is not None and obstacle.whole:
                continue
            key, stored_name = str(entry.layer_id), str(entry.name)
            if isinstance(entry, Folder):
                self.read(entry, (*groups, self._group(entry, self.metadata.name(key, stored_name))))
            else:
                self.layers.append(self._layer(entry, key, stored_name, groups))

    def flattened_instead(self, document: PSDImage, refusal: UnsupportedLayer) -> Layer:
        """Returns the flattened image that the file holds beside layers of which one cannot be shown.

        Raises:
            UnsupportedDocument: it holds none.
        """
        version = document.image_resources.get_data(Resource.VERSION_INFO)
        if version is not None and not version.has_composite:
            raise UnsupportedDocument(
                f"{refusal.words}, and it holds no flattened image. "
                "Save it with maximum compatibility in the program that made it."
            ) from refusal
        self.notes.append(f"{refusal.words}; the file's flattened image is taken instead")
        return self.flattened(document)

    def flattened(self, document: PSDImage) -> Layer:
        """Returns the flattened image of a document as its only layer."""
        return Layer(image=self.pixels.flattened(document), name="Background")

    def _layer(self, entry: Entry, key: str, stored_name: str, groups: tuple[Group, ...]) -> Layer:
        return Layer(
            image=self.pixels.layer(entry),
            name=self.metadata.name(key, stored_name),
            offset=self.pixels.place(entry),
            opacity=_opacity(entry),
            visible=entry.visible,
            provenance=self.metadata.of(key, stored_name),
            groups=groups,
            blend_mode=MODES.get(entry.blend_mode, "normal"),
            clipped=is_clipped(entry),
            mask=self.pixels.mask(entry),
        )

    def _group(self, entry: Folder, name: str) -> Group:
        passes = entry.blend_mode is BlendMode.PASS_THROUGH
        return Group(
            name=name,
            opacity=_opacity(entry),
            visible=entry.visible,
            blend_mode="pass_through" if passes else MODES.get(entry.blend_mode, "normal"),
            clipped=is_clipped(entry),
            mask=self.pixels.mask(entry),
        )


def _opacity(entry: Entry) -> float:
    # where fill opacity is something else than opacity, the layer is refused
    return entry.opacity / 255 * (entry.fill_opacity / 255)
