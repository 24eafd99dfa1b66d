"""A PSD or PSB by any program to a scene, as long as layers here can show it.

RGB and grey of 8 and 16 bits, normal layers, groups, pixel masks (multiplied into alpha), text, shapes and
smart objects by their stored pixels, embedded colour profiles (converted to sRGB). Everything else is
refused: another image than the author's would be worse than none.
"""

import io
import warnings
import zlib

import numpy as np
from psd_tools import ParseLimits, PSDDecompressionWarning, PSDImage
from psd_tools.api.layers import AdjustmentLayer, Artboard, FillLayer
from psd_tools.api.layers import Group as Folder
from psd_tools.api.layers import Layer as Entry
from psd_tools.api.mask import Mask
from psd_tools.constants import BlendMode, ColorMode, Compression, Resource
from psd_tools.psd.layer_and_mask import MaskParameters

from pellucid.files.colour_profiles import to_srgb
from pellucid.files.image_decoding import warn_of
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import PixelLimit, UnsupportedDocument
from pellucid.scene.formats.psd_features import feature_obstacle
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
        self.pixel_limit, self.metadata, self.profile = pixel_limit, metadata, profile
        self.layers: list[Layer] = []
        self.notes: list[str] = []

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
        _check_whole(document)
        self.pixel_limit.spend(document.height, document.width)
        colour, alpha = document.numpy("color"), document.numpy("shape")  # ones if it has none
        return Layer(image=self._in_srgb(_rgba(np.concatenate([colour, alpha], axis=-1))), name="Background")

    def _layer(self, entry: Entry, key: str, stored_name: str, groups: tuple[Group, ...]) -> Layer:
        return Layer(
            image=self._image(entry),
            name=self.metadata.name(key, stored_name),
            offset=(entry.top, entry.left),
            opacity=_opacity(entry),
            visible=entry.visible,
            provenance=self.metadata.of(key, stored_name),
            groups=groups,
        )

    def _image(self, entry: Entry) -> RGBA8:
        height, width = entry.bottom - entry.top, entry.right - entry.left
        if height == 0 or width == 0:  # an empty layer has no place either
            self.pixel_limit.spend(1, 1)
            return np.zeros((1, 1, 4), np.uint8)
        if height < 0 or width < 0:
            raise ValueError("a layer ends before it begins")
        self.pixel_limit.spend(height, width)
        colour, alpha = entry.numpy("color"), entry.numpy("shape")
        if colour is None:
            raise ValueError("a layer without colour")
        if alpha is None:
            alpha = np.ones_like(colour[..., :1])
        mask = entry.mask
        if mask is not None and not mask.disabled:
            alpha = alpha * self._mask(entry, mask)
        return self._in_srgb(_rgba(np.concatenate([colour, alpha], axis=-1)))

    def _mask(self, entry: Entry, mask: Mask) -> AnyArray:
        """Returns the opacity of the layer's pixels by its mask, float (h, w, 1), [0, 1]."""
        # outside its own rectangle a mask has one colour, white or black
        whole = np.full((entry.height, entry.width, 1), mask.background_color / 255, np.float32)
        if mask.width < 1 or mask.height < 1:
            return whole
        self.pixel_limit.spend(mask.height, mask.width)
        part = entry.numpy("mask")
        if part is None:
            return whole
        top, left = mask.top - entry.top, mask.left - entry.left
        rows = slice(max(top, 0), max(min(top + mask.height, entry.height), 0))
        columns = slice(max(left, 0), max(min(left + mask.width, entry.width), 0))
        if rows.start < rows.stop and columns.start < columns.stop:
            whole[rows, columns] = part[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
        return whole

    def _in_srgb(self, rgba: RGBA8) -> RGBA8:
        return to_srgb(rgba, self.profile, self.notes) if self.profile else rgba


def _rgba(levels: AnyArray) -> RGBA8:
    """Converts grey or RGB, with alpha, floats in [0, 1], to bytes."""
    return to_bytes(levels[..., [0, 0, 0, 1]] if levels.shape[2] == 2 else levels)


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


def _check_whole(document: PSDImage) -> None:
    """Refuses flattened pixels that end early: psd-tools shows the rest black.

    Raises:
        ValueError: the file is truncated.
    """
    data, header = document._record.image_data, document._record.header  # pyright: ignore[reportPrivateUsage]
    rows = header.height * header.channels
    if data.compression is Compression.RAW:
        wanted = rows * header.width * header.depth // 8
    elif data.compression is Compression.RLE:
        # before the rows stand their lengths
        size = 2 if header.version == 1 else 4
        lengths = np.frombuffer(data.data[: rows * size], f">u{size}")
        wanted = rows * size + int(lengths.sum())
        if len(lengths) < rows:
            raise ValueError("truncated")
    else:
        # zlib tells by itself where it is cut off
        zlib.decompress(data.data)
        return
    if len(data.data) < wanted:
        raise ValueError("truncated")


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
