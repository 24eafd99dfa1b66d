"""Atlases of sprite sheets: where each image lies, in TexturePacker's JSON (hash), which game engines read.

Source: the fields that Phaser's reader of "JSON Hash" atlases and TexturePacker's exporter share; `duration`
is that of Aseprite's exporter.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple


class Frame(NamedTuple):
    """An image of a sheet; sizes and positions in px."""

    name: str
    top: int
    left: int
    height: int
    width: int
    source_size: tuple[int, int]
    """(height, width) of the image before clear pixels around it were cut away."""
    source_offset: tuple[int, int]
    """(top, left) of the frame in it."""
    duration_ms: int | None = None
    """How long it is shown, of a frame of an animation."""


def encode_atlas(frames: Sequence[Frame], image: str, size: tuple[int, int]) -> bytes:
    """Returns the JSON of an atlas, UTF-8.

    Args:
        frames: with different names.
        image: name of the sheet's file, beside the atlas.
        size: (height, width) of the sheet, px.
    """
    height, width = size
    meta = {
        "app": "https://pypi.org/project/pellucid",
        "version": "1.0",
        "image": image,
        "format": "RGBA8888",
        "size": {"w": width, "h": height},
        "scale": "1",
    }
    atlas = {"frames": {frame.name: _entry(frame) for frame in frames}, "meta": meta}
    return (json.dumps(atlas, indent=2, ensure_ascii=False) + "\n").encode()


def _entry(frame: Frame) -> dict[str, object]:
    size = {"w": frame.width, "h": frame.height}
    source_height, source_width = frame.source_size
    source_top, source_left = frame.source_offset
    entry: dict[str, object] = {
        "frame": {"x": frame.left, "y": frame.top, **size},
        "rotated": False,
        "trimmed": frame.source_size != (frame.height, frame.width),
        "spriteSourceSize": {"x": source_left, "y": source_top, **size},
        "sourceSize": {"w": source_width, "h": source_height},
    }
    return entry if frame.duration_ms is None else {**entry, "duration": frame.duration_ms}
