"""Descriptors and paths of a PSD, byte by byte.

Source: Adobe, "Photoshop File Formats Specification", November 2019: "Descriptor structure", "Path resource
format", "Object-based effects layer info".
"""

import struct
from collections.abc import Sequence

import numpy as np

Item = tuple[bytes, bytes]
"""A key, and what stands under it with its type before it."""


def key(name: bytes) -> bytes:
    return struct.pack(">I", 0 if len(name) == 4 else len(name)) + name


def structure(name: bytes, items: Sequence[Item]) -> bytes:
    head = struct.pack(">I", 1) + bytes(2) + key(name) + struct.pack(">I", len(items))
    return head + b"".join(key(word) + value for word, value in items)


def double(value: float) -> bytes:
    return b"doub" + struct.pack(">d", value)


def unit(kind: bytes, value: float) -> bytes:
    return b"UntF" + kind + struct.pack(">d", value)


def percent(value: float) -> bytes:
    return unit(b"#Prc", value)


def pixels(value: float) -> bytes:
    return unit(b"#Pxl", value)


def angle(value: float) -> bytes:
    return unit(b"#Ang", value)


def switch(value: bool) -> bytes:
    return b"bool" + bytes([value])


def whole(value: int) -> bytes:
    return b"long" + struct.pack(">i", value)


def choice(kind: bytes, value: bytes) -> bytes:
    return b"enum" + key(kind) + key(value)


def object_of(name: bytes, items: Sequence[Item]) -> bytes:
    return b"Objc" + structure(name, items)


def many(values: Sequence[bytes]) -> bytes:
    return b"VlLs" + struct.pack(">I", len(values)) + b"".join(values)


def colour(red: float, green: float, blue: float) -> bytes:
    return object_of(b"RGBC", [(b"Rd  ", double(red)), (b"Grn ", double(green)), (b"Bl  ", double(blue))])


def settings(name: bytes, items: Sequence[Item]) -> bytes:
    """Returns what a tagged block holds: a version, and a descriptor."""
    return struct.pack(">I", 16) + structure(name, items)


def effects(*found: tuple[bytes, Sequence[Item]]) -> bytes:
    """Returns the block of a layer's effects, each by its key and class."""
    items = [(b"Scl ", percent(100)), (b"masterFXSwitch", switch(True))]
    items += [(name, object_of(name, [(b"enab", switch(True)), *values])) for name, values in found]
    return struct.pack(">I", 0) + settings(b"null", items)


def gradient(
    kind: bytes, stops: Sequence[tuple[int, tuple[float, float, float]]], degrees: float, smooth: int = 0
) -> list[Item]:
    """Returns the items of a gradient fill or overlay; places of stops are of 4096."""
    colours = [
        object_of(
            b"Clrt",
            [
                (b"Clr ", colour(*rgb)),
                (b"Type", choice(b"Clry", b"UsrS")),
                (b"Lctn", whole(place)),
                (b"Mdpn", whole(50)),
            ],
        )
        for place, rgb in stops
    ]
    clear = [
        object_of(b"TrnS", [(b"Opct", percent(100)), (b"Lctn", whole(place)), (b"Mdpn", whole(50))])
        for place in (0, 4096)
    ]
    inside = [
        (b"GrdF", choice(b"GrdF", b"CstS")),
        (b"Intr", double(smooth)),
        (b"Clrs", many(colours)),
        (b"Trns", many(clear)),
    ]
    return [
        (b"Angl", angle(degrees)),
        (b"Type", choice(b"GrdT", kind)),
        (b"Grad", object_of(b"Grdn", inside)),
    ]


Point = tuple[float, float]
"""x and y, pixels."""


Path = tuple[int, list[tuple[Point, Point, Point]]]
"""An operation, and knots: the handle before, the anchor and the handle after."""


def polygon(points: Sequence[Point], operation: int = 1) -> Path:
    """Returns a path of straight lines: its operation and its knots."""
    return operation, [(point, point, point) for point in points]


def rectangle(top: float, left: float, bottom: float, right: float, operation: int = 1) -> Path:
    return polygon([(left, top), (right, top), (right, bottom), (left, bottom)], operation)


def vector_mask(paths: Sequence[Path], height: int, width: int) -> bytes:
    """Returns the block of a vector mask."""
    data = struct.pack(">II", 3, 0) + struct.pack(">H24x", 6) + struct.pack(">HH22x", 8, 0)
    for operation, knots in paths:
        data += struct.pack(">HHhH18x", 0, len(knots), operation, 1)
        for knot in knots:
            places = [share for x, y in knot for share in (y / height, x / width)]
            data += struct.pack(">H6i", 1, *(round(place * (1 << 24)) for place in places))
    return data


def text(value: str) -> bytes:
    units = (value + "\0").encode("utf-16-be")
    return b"TEXT" + struct.pack(">I", len(units) // 2) + units


def pattern(name: str, image: np.ndarray) -> bytes:
    """Returns the block of a document's patterns: one of them, uint8 (h, w, 3)."""
    height, width = image.shape[:2]
    place = struct.pack(">4I", 0, 0, height, width)
    planes = b""
    for number in range(26):  # 24 of colours, then those of a mask and of transparency
        if number < 3:
            plane = struct.pack(">I", 8) + place + struct.pack(">HB", 8, 0) + image[..., number].tobytes()
            planes += struct.pack(">II", 1, len(plane)) + plane
        else:
            planes += struct.pack(">I", 0)
    body = place + struct.pack(">I", 24) + planes
    data = struct.pack(">IIhh", 1, 3, width, height) + struct.pack(">I", 0) + bytes([len(name)])
    data += name.encode() + struct.pack(">II", 3, len(body)) + body
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)
