"""A PSD or PSB by any program to a scene, as long as layers here can show it.

RGB and grey of 8 and 16 bits, layers and groups with their blend modes, clipping and pixel masks, text,
shapes and smart objects by their stored pixels, embedded colour profiles (converted to sRGB). Everything else
is refused: another image than the author's would be worse than none.
"""

import io
import warnings
from typing import cast

from psd_tools import ParseLimits, PSDDecompressionWarning, PSDImage
from psd_tools.api.layers import AdjustmentLayer, Artboard, FillLayer
from psd_tools.api.layers import Group as Folder
from psd_tools.api.layers import Layer as Entry
from psd_tools.constants import BlendMode, ColorMode, Resource, Tag
from psd_tools.psd.layer_and_mask import MaskParameters

from pellucid.files.image_decoding import warn_of
from pellucid.rgba.blend_modes import BLEND_FUNCTIONS
from pellucid.rgba.blend_modes import BlendMode as PixelMode
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import PixelLimit, UnsupportedDocument
from pellucid.scene.formats.psd_features import feature_obstacle
from pellucid.scene.formats.psd_pixels import StoredPixels
from pellucid.scene.formats.xmp import parse_xmp
from pellucid.scene.layer import MAX_DEPTH, Group, Layer
from pellucid.scene.scene import Scene

MODES: dict[BlendMode, PixelMode] = {
    mode: cast(PixelMode, mode.name.lower())
    for mode in BlendMode
    if mode.name.lower() in (*BLEND_FUNCTIONS, "normal")
}
"""Those of psd-tools that are known here, by the same names."""
FILL_COUNTS_OTHERWISE = (
    BlendMode.COLOR_BURN,
    BlendMode.LINEAR_BURN,
    BlendMode.COLOR_DODGE,
    BlendMode.LINEAR_DODGE,
    BlendMode.VIVID_LIGHT,
    BlendMode.LINEAR_LIGHT,
    BlendMode.HARD_MIX,
    BlendMode.DIFFERENCE,
)
"""Modes in which Photoshop's fill opacity is another thing than its opacity."""
OPAQUE = 255
WHOLE_RANGE = (0, 65535)
"""Of a blending range: black and white ends of both sliders."""


def read_psd(content: bytes, pixel_limit: PixelLimit) -> Scene:
    """Reads a document.

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
        _check_document(document)
        resources = document.image_resources
        profile = resources.get_data(Resource.ICC_PROFILE)
        metadata = parse_xmp(resources.get_data(Resource.XMP_METADATA))
        reader = _Reader(pixel_limit, metadata, profile if isinstance(profile, bytes) else b"")
        reader.read(document, ())
        layers = reader.layers if len(document) else [reader.flattened(document)]
    warn_of("This document", reader.notes)
    return metadata.scene(layers, document.height, document.width)


class _Reader:
    """Gathers the layers of a document, bottom first."""

    def __init__(self, pixel_limit: PixelLimit, metadata: LayerMetadata, profile: bytes) -> None:
        self.metadata = metadata
        self.layers: list[Layer] = []
        self.notes: list[str] = []
        self.pixels = StoredPixels(pixel_limit, profile, self.notes)

    def read(self, parent: PSDImage | Folder, groups: tuple[Group, ...]) -> None:
        if len(groups) > MAX_DEPTH:
            raise UnsupportedDocument(f"its groups are nested more than {MAX_DEPTH} deep. Nest them less.")
        base: Entry | None = None
        for entry in parent:
            clipped = _is_clipped(entry)
            obstacle = _obstacle(entry) or (_clipping_obstacle(base) if clipped else "")
            if obstacle:
                raise UnsupportedDocument(
                    f"{str(entry.name)[:40]!r} {obstacle}. Merge or rasterize it in the program that made it."
                )
            base = base if clipped else entry
            key, stored_name = str(entry.layer_id), str(entry.name)
            if isinstance(entry, Folder):
                self.read(entry, (*groups, self._group(entry, self.metadata.name(key, stored_name))))
            else:
                self.layers.append(self._layer(entry, key, stored_name, groups))

    def flattened(self, document: PSDImage) -> Layer:
        """Returns the flattened image of a document without layers as its only layer."""
        return Layer(image=self.pixels.flattened(document), name="Background")

    def _layer(self, entry: Entry, key: str, stored_name: str, groups: tuple[Group, ...]) -> Layer:
        return Layer(
            image=self.pixels.layer(entry),
            name=self.metadata.name(key, stored_name),
            offset=(entry.top, entry.left),
            opacity=_opacity(entry),
            visible=entry.visible,
            provenance=self.metadata.of(key, stored_name),
            groups=groups,
            blend_mode=MODES[entry.blend_mode],
            clipped=_is_clipped(entry),
            mask=self.pixels.mask(entry),
        )

    def _group(self, entry: Folder, name: str) -> Group:
        passes = entry.blend_mode is BlendMode.PASS_THROUGH
        return Group(
            name=name,
            opacity=_opacity(entry),
            visible=entry.visible,
            blend_mode="pass_through" if passes else MODES[entry.blend_mode],
            clipped=_is_clipped(entry),
            mask=self.pixels.mask(entry),
        )


def _is_clipped(entry: Entry) -> bool:
    # the record's own flag: psd-tools has none for groups
    return bool(entry._record.clipping)  # pyright: ignore[reportPrivateUsage]


def _opacity(entry: Entry) -> float:
    # where fill opacity is something else than opacity, the layer is refused
    return entry.opacity / 255 * (entry.fill_opacity / 255)


def _check_document(document: PSDImage) -> None:
    mode, depth = document.color_mode, document.depth
    if mode not in (ColorMode.RGB, ColorMode.GRAYSCALE) or depth not in (8, 16):
        raise UnsupportedDocument(
            f"it is {mode.name} of {depth} bits, expected RGB or grey of 8 or 16. "
            "Convert it in the program that made it."
        )


def _obstacle(entry: Entry) -> str:
    """Says what of a layer or group cannot be shown, as the end of a sentence; empty where all can."""
    mode = entry.blend_mode
    if mode not in MODES and not (mode is BlendMode.PASS_THROUGH and entry.is_group()):
        return f"blends by {mode.name.lower()}, which is not known here"
    if mode in FILL_COUNTS_OTHERWISE and entry.fill_opacity < OPAQUE:
        return f"blends by {mode.name.lower()} with a fill opacity, which is not known here"
    if isinstance(entry, AdjustmentLayer | FillLayer | Artboard):
        return "is an adjustment, a fill or an artboard, no image"
    return feature_obstacle(entry) or _mask_obstacle(entry) or _range_obstacle(entry)


def _clipping_obstacle(base: Entry | None) -> str:
    """Says why nothing can be clipped to a layer or group."""
    if base is None:
        return "is clipped, with nothing below it in its group"
    if not base.tagged_blocks.get_data(Tag.BLEND_CLIPPING_ELEMENTS, True):
        return "is clipped, and blended not with the layer below but with all"
    if base.fill_opacity < OPAQUE:
        return "is clipped to a layer with a fill opacity"
    if isinstance(base, Folder) and base.blend_mode is BlendMode.PASS_THROUGH and not _all_normal(base):
        return "is clipped to a group that lets its blend modes through"
    return ""


def _all_normal(folder: Folder) -> bool:
    normal = (BlendMode.NORMAL, BlendMode.PASS_THROUGH)
    return all(entry.blend_mode in normal for entry in folder.descendants())


def _mask_obstacle(entry: Entry) -> str:
    mask = entry.mask
    if mask is not None and mask.disabled:
        mask = None
    if mask is not None and (mask.flags.invert_mask or _is_softened(mask.parameters)):
        return "has a mask that is inverted, thinned or feathered"
    vector = entry.vector_mask
    if vector is not None and not vector.disabled and not (mask is not None and mask.has_real()):
        return "has a vector mask"
    return ""


def _is_softened(parameters: MaskParameters | None) -> bool:
    if parameters is None:
        return False
    densities = (parameters.user_mask_density, parameters.vector_mask_density)
    feathers = (parameters.user_mask_feather, parameters.vector_mask_feather)
    return any(value not in (None, 255) for value in densities) or any(feathers)


def _range_obstacle(entry: Entry) -> str:
    ranges = entry._record.blending_ranges  # pyright: ignore[reportPrivateUsage]
    pairs = [*(ranges.composite_ranges or []), *(pair for row in ranges.channel_ranges or [] for pair in row)]
    return "" if all(tuple(pair) == WHOLE_RANGE for pair in pairs) else "blends only some levels"
