"""Colours in doubles, by formulas of the standards, and the profile of a press that follows one of them."""

import struct

import numpy as np

from pellucid.rgba.types import AnyArray

WHITE_D50 = np.array([0.96420288, 1.0, 0.82490540])
# XYZ of D50 to light of sRGB, as published by Lindbloom
LIGHT_OF_D50 = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def srgb_of_light(light: AnyArray) -> AnyArray:
    """Light of sRGB's primaries to levels in [0, 255]."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def srgb_of_lab(lab: AnyArray) -> AnyArray:
    """L*, a*, b* of D50 to levels in [0, 255]."""
    y = (lab[..., 0] + 16) / 116
    roots = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * WHITE_D50
    return srgb_of_light(xyz @ LIGHT_OF_D50.T)


INKS = np.array([[-30, -25, -30], [-30, 50, 0], [-6, 0, 60], [-34, -25, -30]], np.float64)
"""What full cyan, magenta, yellow and black each add to L*, a*, b* of white paper.

All four make the neutral black, so that no black point has to be moved.
"""


def lab_of_inks(inks: AnyArray) -> AnyArray:
    """Shares of ink (…, 4) in [0, 1] to L*, a*, b*."""
    return np.array([100.0, 0, 0]) + inks @ INKS


def press_profile() -> bytes:
    """Builds an ICC profile, version 2, of a press whose colours are those of `lab_of_inks`."""
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    lab = lab_of_inks(corners)
    # of version 2: 100 is 0xFF00, and 0 of a* and b* is 0x8000
    stored = np.stack([lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], axis=-1)
    head = b"mft2" + bytes(4) + bytes([4, 3, 2, 0])
    head += struct.pack(">9i", *(np.eye(3).ravel() * 65536).astype(int).tolist())
    straight = struct.pack(">2H", 0, 65535)
    table = head + struct.pack(">HH", 2, 2) + straight * 4
    table += np.rint(stored).astype(">u2").tobytes() + straight * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *np.rint(WHITE_D50 * 65536).astype(int).tolist())
    name = b"a press\0"
    text = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(12 + 67)
    tags = {b"desc": text, b"wtpt": white, b"A2B0": table, b"A2B1": table}
    return _file(tags)


def _file(tags: dict[bytes, bytes]) -> bytes:
    place = 132 + 12 * len(tags)
    listed, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        listed += struct.pack(">4sII", name, place + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = place + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"prtr", b"CMYK", b"Lab ")
    white = struct.pack(">3i", *np.rint(WHITE_D50 * 65536).astype(int).tolist())
    return (head + bytes(12) + b"acsp" + bytes(28) + white).ljust(128, b"\0") + listed + body
