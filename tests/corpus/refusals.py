"""What a PSD may have that layers here cannot show."""

import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from corpus.features import on, one_clipped, whole
from corpus.model import Document, Mask

VECTOR_MASK = struct.pack(">II", 3, 0) + struct.pack(">H24x", 6) + struct.pack(">H24x", 8)
"""A path without knots."""
SOFT = Mask(levels=np.full((5, 5), 200, np.uint8), top=4, left=6)


def refusals() -> dict[str, tuple[Callable[[Document], None], str]]:
    """Returns what a PSD may have that layers here cannot show: the change, and words of the refusal."""
    blocks = {
        "a knockout": (b"knko", b"\1\0\0\0", "'subject' knocks out"),
        "channels left alone": (b"brst", b"\0\0\0\1", "'subject' leaves some channels"),
        "an adjustment": (b"brit", bytes(8), "'subject' is an adjustment"),
        "something new": (b"zzzz", b"\1\0\0\0", "'subject' has a feature"),
        "a vector mask": (b"vmsk", VECTOR_MASK, "'subject' has a vector mask"),
    }
    found: dict[str, tuple[Callable[[Document], None], str]] = {
        name: (on("subject", blocks={key: data}), words) for name, (key, data, words) in blocks.items()
    }
    found["dissolve"] = on("subject", mode="dissolve"), "'subject' blends by dissolve"
    found["dissolving group"] = on("folder", mode="dissolve"), "'folder' blends by dissolve"
    found["some levels"] = whole(options="some levels"), "'low' blends only some levels"
    found["thin mask"] = on("subject", mask=replace(SOFT, density=100)), "'subject' has a mask that"
    found["feathered mask"] = on("folder", mask=replace(SOFT, feather=2)), "'folder' has a mask that"
    found["clipped, and not blended with it"] = _blended_apart, "'clipped 21' is clipped, and blended"
    return found


def _blended_apart(document: Document) -> None:
    document.subject().blocks = {b"clbl": bytes(4)}
    one_clipped(document)
