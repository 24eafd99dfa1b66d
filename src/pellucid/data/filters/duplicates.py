"""Finds near-duplicates by what is seen, in a way that a cluster can share out.

Each image has a fingerprint: perceptual hashes of its premultiplied colour and of its alpha, and a thumbnail.
Hashes are cut into bands. Images that agree in a whole band are compared, so all comparisons of one band can
run anywhere as long as they run together: a global shuffle by band. (Sets of seen hashes in each worker,
which other engines keep, miss every pair that two workers share.)
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid.rgba.types import RGBA8

HASH_SIDE = 16
"""Side of the DCT coefficients that a hash keeps: 256 bits."""
BANDS = 16
"""A pair whose hashes differ in fewer bits than there are bands agrees in one band at least."""
MOST_BITS = 15
"""Bits, of 256, in which hashes of near-duplicates may differ."""
THUMBNAIL_PX = 8
MOST_LEVELS = 6.0
"""Mean difference of thumbnails of near-duplicates: by their hashes alone a red and a blue apple agree."""
FLAT_LEVELS = 2.0
"""An image that varies less has no structure to hash; rounding would decide its bits."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What near-duplicates have in common."""

    name: str
    pixels: int
    """Height times width of the image, so that the largest of a group can stay."""
    colour: bytes
    """Hash of the premultiplied colour; empty where it is flat."""
    alpha: bytes
    """Hash of the alpha; empty where it is flat."""
    thumbnail: bytes
    """Premultiplied uint8 (8, 8, 4)."""

    def to_json(self) -> dict[str, object]:
        """Returns plain JSON values."""
        return {
            "name": self.name,
            "pixels": self.pixels,
            "colour": self.colour.hex(),
            "alpha": self.alpha.hex(),
            "thumbnail": base64.b64encode(self.thumbnail).decode(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> "Fingerprint":
        """Makes a fingerprint from what `to_json` gave."""
        return cls(
            name=str(values["name"]),
            pixels=int(str(values["pixels"])),
            colour=bytes.fromhex(str(values["colour"])),
            alpha=bytes.fromhex(str(values["alpha"])),
            thumbnail=base64.b64decode(str(values["thumbnail"])),
        )

    def bands(self) -> list[str]:
        """Returns the keys under which this image meets others.

        An image with neither structure nor outline, such as a plain colour, has one key for its thumbnail.
        """
        keys: list[str] = []
        for kind, bits in (("c", self.colour), ("a", self.alpha)):
            width = len(bits) // BANDS
            keys += [
                f"{kind}{band}-{bits[band * width : (band + 1) * width].hex()}"
                for band in range(BANDS)
                if width
            ]
        # an outline alone brings together all discs and squares of a set: it only counts where colour cannot
        colour_keys = [key for key in keys if key.startswith("c")]
        coarse = (np.frombuffer(self.thumbnail, np.uint8).reshape(-1, 4).mean(axis=0) // 32).astype(np.uint8)
        return colour_keys or keys or [f"flat-{coarse.tobytes().hex()}"]


def fingerprint(name: str, rgba: RGBA8) -> Fingerprint:
    """Makes the fingerprint of an image.

    Colour is premultiplied first, so that an opaque image equals its RGB and colour hidden under alpha 0
    does not count.

    Args:
        name: of the image, unique in its set.
        rgba: uint8 (h, w, 4), straight alpha.
    """
    values = rgba.astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255
    # Rec. 601, as every perceptual hash takes it
    grey = values[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    thumbnail = cv2.resize(values, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return Fingerprint(
        name=name,
        pixels=rgba.shape[0] * rgba.shape[1],
        colour=perceptual_hash(grey),
        alpha=perceptual_hash(values[..., 3]),
        thumbnail=np.rint(thumbnail).astype(np.uint8).tobytes(),
    )


def perceptual_hash(plane: NDArray[np.float32]) -> bytes:
    """Hashes the structure of a plane by its low frequencies: above or below their median (pHash).

    Args:
        plane: (h, w), levels.

    Returns:
        32 bytes, or none where the plane varies by less than `FLAT_LEVELS`.
    """
    if float(plane.std()) < FLAT_LEVELS:
        return b""
    import imagehash
    from PIL import Image

    image = Image.fromarray(np.rint(plane.clip(0, 255)).astype(np.uint8))
    return np.packbits(imagehash.phash(image, hash_size=HASH_SIDE).hash).tobytes()


def similar(first: Fingerprint, second: Fingerprint) -> bool:
    """Tells whether two images are near-duplicates: both hashes and the thumbnails agree."""
    # an empty hash means "flat": it equals only another flat one
    pairs = ((first.colour, second.colour), (first.alpha, second.alpha))
    if any(len(one) != len(other) for one, other in pairs):
        return False
    if any((int.from_bytes(one) ^ int.from_bytes(other)).bit_count() > MOST_BITS for one, other in pairs):
        return False
    thumbnails = [np.frombuffer(each.thumbnail, np.uint8).astype(np.int16) for each in (first, second)]
    return float(np.abs(thumbnails[0] - thumbnails[1]).mean()) <= MOST_LEVELS


def similar_pairs(met: Sequence[Fingerprint]) -> list[tuple[str, str]]:
    """Compares all images of one band and returns the names of near-duplicates, in pairs."""
    # sorted, so that a pair has one spelling whoever found it
    ordered = sorted(met, key=lambda image: image.name)
    return [
        (first.name, second.name)
        for place, first in enumerate(ordered)
        for second in ordered[place + 1 :]
        if similar(first, second)
    ]


def duplicates_of(images: Iterable[Fingerprint], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Decides which images of each group of near-duplicates go.

    Args:
        images: all of them.
        pairs: of near-duplicates, in any order.

    Returns:
        Name of an image that goes -> name of the one that stays: the largest, and the first by name of
        equally large ones. The result does not depend on the order of either argument.
    """
    import networkx

    size = {image.name: image.pixels for image in images}
    graph: networkx.Graph[str] = networkx.Graph(pairs)
    groups: list[set[str]] = list(networkx.connected_components(graph))
    goes: dict[str, str] = {}
    # transitive on purpose: of a chain of small changes one image stays
    for names in groups:
        best = min(names, key=lambda name: (-size[name], name))
        goes |= {name: best for name in names if name != best}
    return goes
