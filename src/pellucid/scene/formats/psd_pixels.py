"""The stored channels of a PSD, of a layer or of its flattened image, as straight sRGB bytes."""

import zlib

import numpy as np
from psd_tools import PSDImage
from psd_tools.api.layers import Layer as Entry
from psd_tools.constants import Compression

from pellucid.files.colour_profiles import to_srgb
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.formats.limits import PixelLimit
from pellucid.scene.layer import Mask


class StoredPixels:
    """Pixels of one document.

    Args:
        pixel_limit: is told of each image and mask before it is unpacked.
        profile: ICC, of the whole document; empty if it has none.
        notes: gets a sentence for what could not be honoured.
    """

    def __init__(self, pixel_limit: PixelLimit, profile: bytes, notes: list[str]) -> None:
        self.pixel_limit, self.profile, self.notes = pixel_limit, profile, notes

    def flattened(self, document: PSDImage) -> RGBA8:
        """Returns the flattened image; white that is laid under its colour, as Photoshop does, is off again.

        Raises:
            ValueError: the file is truncated.
        """
        _check_whole(document)
        self.pixel_limit.spend(document.height, document.width)
        colour, alpha = document.numpy("color"), document.numpy("shape")  # ones if it has none
        return self._in_srgb(_rgba(np.concatenate([colour, alpha], axis=-1)))

    def layer(self, entry: Entry) -> RGBA8:
        """Returns the image of a layer; a clear pixel if it is empty.

        Raises:
            ValueError: the file is damaged.
        """
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
        return self._in_srgb(_rgba(np.concatenate([colour, alpha], axis=-1)))

    def mask(self, entry: Entry) -> Mask | None:
        """Returns the pixel mask of a layer or group, if it has one.

        Raises:
            ValueError: the file is damaged.
        """
        stored = entry.mask
        if stored is None:
            return None
        outside, offset = stored.background_color, (stored.top, stored.left)
        if stored.width < 1 or stored.height < 1:
            whole = np.full((1, 1), outside, np.uint8)
            return Mask(image=whole, offset=offset, outside=outside, enabled=not stored.disabled)
        self.pixel_limit.spend(stored.height, stored.width)
        values = entry.numpy("mask")
        if values is None:
            raise ValueError("a mask without pixels")
        levels = to_bytes(values[..., 0])
        return Mask(image=levels, offset=offset, outside=outside, enabled=not stored.disabled)

    def _in_srgb(self, rgba: RGBA8) -> RGBA8:
        return to_srgb(rgba, self.profile, self.notes) if self.profile else rgba


def _rgba(levels: AnyArray) -> RGBA8:
    """Converts grey or RGB, with alpha, floats in [0, 1], to bytes."""
    return to_bytes(levels[..., [0, 0, 0, 1]] if levels.shape[2] == 2 else levels)


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
