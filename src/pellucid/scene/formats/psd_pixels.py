"""The stored channels of a PSD, of a layer or of its flattened image, as straight sRGB bytes."""

import zlib
from typing import Literal, NamedTuple

import numpy as np
from psd_tools import PSDDecompressionWarning, PSDImage
from psd_tools.api.layers import Layer as Entry
from psd_tools.api.utils import get_transparency_index, has_transparency
from psd_tools.constants import ChannelID, ColorMode, Compression, Resource, Tag
from psd_tools.psd.image_resources import AlphaIdentifiers, ImageResource
from psd_tools.psd.layer_and_mask import ChannelData

from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.strips import strip_slices
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.formats.limits import PixelLimit, UnsupportedDocument
from pellucid.scene.formats.psd_colours import Colours
from pellucid.scene.formats.psd_features import channels_of, is_drawn_shape
from pellucid.scene.formats.psd_fills import is_painted, paint
from pellucid.scene.formats.psd_gradients import Box
from pellucid.scene.layer import Mask

STRIP_PIXELS = 1 << 18
DEEP_PIXELS = 1 << 21
"""Converted at once: as floats a layer would take four to eight times its memory."""
COLOURS = {ColorMode.GRAYSCALE: 1, ColorMode.RGB: 3, ColorMode.CMYK: 4, ColorMode.LAB: 3}
LEVELS = {8: np.dtype(np.uint8), 16: np.dtype(">u2"), 32: np.dtype(">f4")}
"""Kind of a channel's levels by the document's depth."""
MERGED_TRANSPARENCY = (
    Tag.SAVING_MERGED_TRANSPARENCY,
    Tag.SAVING_MERGED_TRANSPARENCY16,
    Tag.SAVING_MERGED_TRANSPARENCY32,
)
"""Blocks that say that the flattened image has transparency."""


class StoredPixels:
    """Pixels of one document.

    Args:
        pixel_limit: is told of each image and mask before it is unpacked.
        colours: what its levels mean.
        unpacked: gets images of layers, and has those of an earlier look at the document.
    """

    def __init__(
        self, pixel_limit: PixelLimit, colours: Colours, unpacked: dict[int, RGBA8] | None = None
    ) -> None:
        self.pixel_limit, self.colours = pixel_limit, colours
        self.unpacked = dict[int, RGBA8]() if unpacked is None else unpacked

    def flattened(self, document: PSDImage) -> RGBA8:
        """Returns the flattened image; white that is laid under its colour, as Photoshop does, is off again.

        Raises:
            UnsupportedDocument: its colours may be laid on white, in a mode of which that is not known.
            ValueError: the file is truncated.
        """
        _check_whole(document)
        self.pixel_limit.spend(document.height, document.width)
        _name_selections(document)
        if document.color_mode is ColorMode.INDEXED:
            return self.colours.to_srgb(*_indexed(document))
        if self.colours.are_bytes:
            return self.colours.bytes_to_srgb(_flat_bytes(document))
        colour, alpha = _unpacked(document, "color"), _unpacked(document, "shape")  # ones if it has none
        if colour is None or alpha is None:
            raise ValueError("a document without colour")
        # psd-tools takes the white off in these two; of others nobody knows whether it is there
        known = document.color_mode in (ColorMode.RGB, ColorMode.GRAYSCALE) or not len(document)
        if not known and (alpha < 1).any():
            raise UnsupportedDocument(
                f"its flattened image is partly clear, in {document.color_mode.name}. Convert it to RGB in "
                "the program that made it."
            )
        return self.colours.to_srgb(colour, alpha)

    def layer(self, entry: Entry, box: Box | None = None) -> RGBA8:
        """Returns the image of a layer; a clear pixel if it is empty.

        Args:
            entry: the layer.
            box: where a fill is seen; the canvas by default.

        Raises:
            ValueError: the file is damaged.
        """
        if is_painted(entry):
            document = entry._psd  # pyright: ignore[reportPrivateUsage]
            self.pixel_limit.spend(document.height, document.width)
            height, width = document.height, document.width
            return paint(entry, self.colours, height, width, box or (0, 0, height, width))
        height, width = entry.bottom - entry.top, entry.right - entry.left
        if height == 0 or width == 0:  # an empty layer has no place either
            self.pixel_limit.spend(1, 1)
            return np.zeros((1, 1, 4), np.uint8)
        if height < 0 or width < 0:
            raise ValueError("a layer ends before it begins")
        self.pixel_limit.spend(height, width)
        if id(entry) not in self.unpacked:
            self.unpacked[id(entry)] = self._unpack(entry, height, width)
            _forget_packed(entry)
        return self.unpacked[id(entry)]

    def _unpack(self, entry: Entry, height: int, width: int) -> RGBA8:
        if self.colours.are_bytes:
            return self.colours.bytes_to_srgb(_bytes_of(entry, height, width))
        colour, alpha = _planes_of(entry, height, width)
        image = np.empty((height, width, 4), np.uint8)
        for rows in strip_slices(height, width, max(1, DEEP_PIXELS // width)):
            levels = np.stack([_floats(plane[rows]) for plane in colour], axis=-1)
            share = np.ones_like(levels[..., :1]) if alpha is None else _floats(alpha[rows])[..., None]
            image[rows] = self.colours.to_srgb(levels, share)
        return image

    def place(self, entry: Entry) -> tuple[int, int]:
        """Returns top and left of the image of a layer."""
        return (0, 0) if is_painted(entry) else (entry.top, entry.left)

    def mask(self, entry: Entry) -> Mask | None:
        """Returns the pixel mask of a layer or group, if it has one.

        Raises:
            ValueError: the file is damaged.
        """
        if entry.mask is None:
            return None
        stored = _stored_mask(entry)
        if stored is None:
            return None
        top, left, bottom, right = stored.box
        if right <= left or bottom <= top:
            image = np.full((1, 1), stored.outside, np.uint8)
        else:
            self.pixel_limit.spend(bottom - top, right - left)
            image = _mask_levels(entry, stored.channel, bottom - top, right - left)
        return Mask(image=image, offset=(top, left), outside=stored.outside, enabled=stored.enabled)


class _StoredMask(NamedTuple):
    """Which of a layer's masks counts, and where it lies."""

    channel: ChannelID
    box: tuple[int, int, int, int]
    """(top, left, bottom, right)."""
    outside: int
    enabled: bool


def _stored_mask(entry: Entry) -> _StoredMask | None:
    """Finds the mask that is not in the layer's alpha already; there may be none."""
    data = entry._record.mask_data  # pyright: ignore[reportPrivateUsage]
    assert data is not None
    own = _StoredMask(
        ChannelID.USER_LAYER_MASK,
        (data.top, data.left, data.bottom, data.right),
        data.background_color,
        not data.flags.mask_disabled,
    )
    real = data.real_flags
    if real is not None and (real.parameters_applied or is_drawn_shape(entry)):
        # beside a vector mask the first channel has both together, this one what was painted
        box = (
            int(data.real_top or 0),
            int(data.real_left or 0),
            int(data.real_bottom or 0),
            int(data.real_right or 0),
        )
        outside, enabled = int(data.real_background_color or 0), not real.mask_disabled
        return _StoredMask(ChannelID.REAL_USER_LAYER_MASK, box, outside, enabled)
    # of a shape it may be the vector mask once more
    return None if is_drawn_shape(entry) and data.flags.user_mask_from_render else own


def _mask_levels(entry: Entry, wanted: ChannelID, height: int, width: int) -> AnyArray:
    """Returns a mask's levels, uint8 (height, width).

    Raises:
        ValueError: it is absent or damaged.
    """
    document = entry._psd  # pyright: ignore[reportPrivateUsage]
    data = next((channel for number, channel in channels_of(entry) if number == wanted), None)
    if data is None or not data.data:
        raise ValueError("a mask without pixels")
    plane = _plane(entry, data, height, width)
    if document.depth == 1:
        bits = np.unpackbits(np.frombuffer(plane, np.uint8).reshape(height, -1), axis=1)[:, :width]
        return (1 - bits) * np.uint8(255)  # set bits are ink
    levels = np.frombuffer(plane, LEVELS[document.depth]).reshape(height, width)
    return levels.copy() if document.depth == 8 else to_bytes(levels / {16: 65535, 32: 1}[document.depth])


def _planes_of(entry: Entry, height: int, width: int) -> tuple[list[AnyArray], AnyArray | None]:
    """Unpacks the colours of a layer, in the order of its mode, and its alpha, if it has any: (h, w) each.

    Raises:
        ValueError: a channel is absent, there twice or damaged.
    """
    document = entry._psd  # pyright: ignore[reportPrivateUsage]
    found: dict[int, AnyArray] = {}
    for number, channel in channels_of(entry):
        if number < ChannelID.TRANSPARENCY_MASK or not channel.data:
            continue
        if number in found:
            raise ValueError("a channel that is there twice")
        levels = np.frombuffer(_plane(entry, channel, height, width), LEVELS[document.depth])
        found[number] = levels.reshape(height, width)
    wanted = range(COLOURS[document.color_mode])
    if not found.keys() >= {*wanted}:
        raise ValueError("a layer without one of its colours")
    return [found[number] for number in wanted], found.get(ChannelID.TRANSPARENCY_MASK)


def _floats(levels: AnyArray) -> AnyArray:
    """Converts stored levels to floats, of whole numbers in [0, 1]."""
    highest = 1 if levels.dtype.kind == "f" else np.iinfo(levels.dtype).max
    return levels.astype(np.float32) / np.float32(highest)


def _forget_packed(entry: Entry) -> None:
    """Frees the packed pixels of a layer; a byte of each channel still says that it has some."""
    for number, channel in channels_of(entry):
        if number >= ChannelID.TRANSPARENCY_MASK:  # masks have numbers below
            channel.data = channel.data[:1]


def _plane(entry: Entry, channel: ChannelData, height: int, width: int) -> bytes:
    """Unpacks a channel; one that is damaged is a ValueError."""
    document = entry._psd  # pyright: ignore[reportPrivateUsage]
    try:
        return channel.get_data(width, height, document.depth, document.version)
    except PSDDecompressionWarning as warning:  # the reader makes errors of them
        raise ValueError("a channel that cannot be unpacked") from warning


def _bytes_of(entry: Entry, height: int, width: int) -> RGBA8:
    """Returns the image of a layer of 8 bits, grey or RGB, without floats in between.

    Raises:
        ValueError: a channel is absent or damaged.
    """
    document = entry._psd  # pyright: ignore[reportPrivateUsage]
    grey = document.color_mode is ColorMode.GRAYSCALE
    places = {number: number for number in range(1 if grey else 3)} | {int(ChannelID.TRANSPARENCY_MASK): 3}
    rgba: RGBA8 | None = None
    found = set[int]()
    for number, channel in channels_of(entry):
        place = places.get(number)
        if place is None or not channel.data:
            continue
        plane = _plane(entry, channel, height, width)
        levels = np.frombuffer(plane, np.uint8).reshape(height, width)
        if rgba is None:  # not before one is whole: a small file may declare a large layer
            rgba = np.full((height, width, 4), 255, np.uint8)
        rgba[..., place] = levels
        found.add(place)
    if rgba is None or not found.issuperset({0} if grey else {0, 1, 2}):
        raise ValueError("a layer without colour")
    if grey:
        rgba[..., 1:3] = rgba[..., :1]
    return rgba


def _flat_bytes(document: PSDImage) -> RGBA8:
    """Returns the flattened image of 8 bits, grey or RGB, without floats of the whole in between.

    Raises:
        ValueError: the file is damaged.
    """
    header = document._record.header  # pyright: ignore[reportPrivateUsage]
    try:
        data = document._record.image_data.get_data(header, split=False)  # pyright: ignore[reportPrivateUsage]
    except PSDDecompressionWarning as warning:  # the reader makes errors of them
        raise ValueError("channels that cannot be unpacked") from warning
    assert isinstance(data, bytes)
    planes = np.frombuffer(data, np.uint8).reshape(header.channels, header.height, header.width)
    count = 1 if document.color_mode is ColorMode.GRAYSCALE else 3
    colour = planes[np.arange(3) % count]
    alpha, is_on_white = None, False
    if has_transparency(document):
        index = get_transparency_index(document)
        alpha = planes[index]
        # one that has no place of its own is on white only if nothing else is beside it
        is_on_white = index >= count or (index < 0 and len(planes) == count + 1)
    result = np.full((header.height, header.width, 4), 255, np.uint8)
    rows = max(1, STRIP_PIXELS // header.width)
    for first in range(0, header.height, rows):
        part = slice(first, first + rows)
        levels = np.moveaxis(colour[:, part], 0, -1)
        if alpha is None:
            result[part, :, :3] = levels
            continue
        share = to_float(alpha[part][..., None], np.float32)
        straight = to_float(levels, np.float32)
        if is_on_white:
            straight = np.where(share > 0, (straight + share - 1) / np.where(share > 0, share, 1), straight)
        result[part, :, :3] = to_bytes(straight)
        result[part, :, 3] = alpha[part]
    return result


def _unpacked(source: PSDImage | Entry, channel: Literal["color", "shape"]) -> AnyArray | None:
    """Returns channels, floats (h, w, n); None if there are none.

    Raises:
        ValueError: they are damaged.
    """
    try:
        return source.numpy(channel)
    except PSDDecompressionWarning as warning:  # the reader makes errors of them
        raise ValueError("channels that cannot be unpacked") from warning


def _indexed(document: PSDImage) -> tuple[AnyArray, AnyArray]:
    """Returns levels (h, w, 3) and alpha (h, w, 1) of a document whose only plane is places in a table."""
    record = document._record  # pyright: ignore[reportPrivateUsage]
    planes = record.image_data.get_data(record.header, split=True)
    places, *others = (np.frombuffer(plane, np.uint8) for plane in planes if isinstance(plane, bytes))
    table = np.frombuffer(record.color_mode_data.value, np.uint8)
    if len(table) != 768:
        raise ValueError("a table of another length")
    shape = (document.height, document.width, -1)
    colour = table.reshape(3, 256).T[places].reshape(shape)
    alpha = others[0] if others else np.full_like(places, 255)
    clear = document.image_resources.get_data(Resource.TRANSPARENCY_INDEX)
    if isinstance(clear, int):
        alpha = np.where(places == clear, 0, alpha)
    return to_float(colour), to_float(alpha.reshape(shape))


def _name_selections(document: PSDImage) -> None:
    """Names channels beyond colour what they are by the specification where nothing else is said: selections.

    Of a document without layers psd-tools takes the first for its transparency.
    """
    told = {tag.value for tag in MERGED_TRANSPARENCY} & {bytes(tag) for tag in document.tagged_blocks or ()}
    information = document._record.layer_and_mask_information.layer_info  # pyright: ignore[reportPrivateUsage]
    if told or (information is not None and information.layer_count):
        return
    names = document.image_resources.get_data(Resource.ALPHA_NAMES_UNICODE) or ()
    numbers = document.image_resources.get_data(Resource.ALPHA_IDENTIFIERS) or ()
    if 0 in numbers or "Transparency" in {str(name).strip("\0") for name in names}:
        return
    resource = ImageResource(key=Resource.ALPHA_IDENTIFIERS)
    resource.data = AlphaIdentifiers([1])  # pyright: ignore[reportAttributeAccessIssue] - parsed, as read ones are
    document.image_resources[Resource.ALPHA_IDENTIFIERS] = resource


def _check_whole(document: PSDImage) -> None:
    """Refuses flattened pixels that end early: psd-tools shows the rest black.

    Raises:
        ValueError: the file is truncated.
    """
    data, header = document._record.image_data, document._record.header  # pyright: ignore[reportPrivateUsage]
    rows = header.height * header.channels
    if data.compression is Compression.RAW:
        wanted = rows * ((header.width * header.depth + 7) // 8)
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
