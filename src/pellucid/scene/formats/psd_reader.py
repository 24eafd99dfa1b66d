"""A PSD or PSB by any program to a scene, as long as layers here can show it.

RGB and grey of 8 and 16 bits, normal layers, groups, pixel masks (multiplied into alpha), text, shapes and
smart objects by their stored pixels, embedded colour profiles (converted to sRGB). Everything else is
refused: another image than the author's would be worse than none.
"""

import io
import warnings

from psd_tools import ParseLimits, PSDDecompressionWarning, PSDImage
from psd_tools.api.layers import AdjustmentLayer, Artboard, FillLayer
from psd_tools.api.layers import Group as Folder
from psd_tools.api.layers import Layer as Entry
from psd_tools.constants import BlendMode, ColorMode, Resource
from psd_tools.psd.layer_and_mask import MaskParameters

from pellucid.files.image_decoding import warn_of
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import PixelLimit, UnsupportedDocument
from pellucid.scene.formats.psd_features import feature_obstacle
from pellucid.scene.formats.psd_pixels import StoredPixels
from pellucid.scene.formats.xmp import parse_xmp
from pellucid.scene.layer import MAX_DEPTH, Group, Layer
from pellucid.scene.scene import Scene

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
        for entry in parent:
            _check_entry(entry)
            key, stored_name = str(entry.layer_id), str(entry.name)
            if isinstance(entry, Folder):
                name = self.metadata.name(key, stored_name)
                group = Group(name=name, opacity=_opacity(entry), visible=entry.visible)
                self.read(entry, (*groups, group))
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
        )


def _opacity(entry: Entry) -> float:
    # fill opacity differs from opacity for effects only, and layers with effects are refused
    return entry.opacity / 255 * (entry.fill_opacity / 255)


def _check_document(document: PSDImage) -> None:
    mode, depth = document.color_mode, document.depth
    if mode not in (ColorMode.RGB, ColorMode.GRAYSCALE) or depth not in (8, 16):
        raise UnsupportedDocument(
            f"it is {mode.name} of {depth} bits, expected RGB or grey of 8 or 16. "
            "Convert it in the program that made it."
        )


def _check_entry(entry: Entry) -> None:
    """Refuses what a layer here cannot show."""
    obstacle = _obstacle(entry)
    if obstacle:
        raise UnsupportedDocument(
            f"{str(entry.name)[:40]!r} {obstacle}. Merge or rasterize it in the program that made it."
        )


def _obstacle(entry: Entry) -> str:
    allowed = (BlendMode.NORMAL, BlendMode.PASS_THROUGH) if entry.is_group() else (BlendMode.NORMAL,)
    if entry.blend_mode not in allowed:
        return f"blends by {entry.blend_mode.name.lower()}, only normal is known here"
    if isinstance(entry, AdjustmentLayer | FillLayer | Artboard):
        return "is an adjustment, a fill or an artboard, no image"
    # the record's own flag: psd-tools has none for groups
    if entry._record.clipping:  # pyright: ignore[reportPrivateUsage]
        return "is clipped to the layer below"
    return feature_obstacle(entry) or _mask_obstacle(entry) or _range_obstacle(entry)


def _mask_obstacle(entry: Entry) -> str:
    mask = entry.mask
    if mask is not None and mask.disabled:
        mask = None
    if mask is not None and entry.is_group():
        return "is a group with a mask"
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
