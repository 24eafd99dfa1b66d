"""The flattened image of a scene with a large canvas as a PNG, written by strips."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pellucid.files.atomic import open_atomically
from pellucid.files.metadata import KEY, GenerationMetadata
from pellucid.files.png_strips import Writable, write_png
from pellucid.rgba.compositing import Colour
from pellucid.rgba.strips import StripShrinker
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.flatten import strip_rows
from pellucid.scene.scene import Scene

LARGE_CANVAS = 1 << 26
"""Pixels from which on strips are worth it; Pillow packs a whole image in nine tenths of the time."""


def is_large(scene: Scene) -> bool:
    """Tells whether the canvas is better written by strips."""
    return scene.height * scene.width >= LARGE_CANVAS


def write_merged(
    scene: Scene,
    file: Writable,
    background: Colour | AnyArray | None = None,
    *,
    provenance: GenerationMetadata | None,
    small: StripShrinker | None = None,
) -> None:
    """Writes by strips what `Scene.composite` returns as a PNG.

    Args:
        scene: to flatten.
        file: takes the bytes.
        background: see `Scene.composite`.
        provenance: goes into the file.
        small: takes the image for a small version of it.
    """
    texts: dict[str, str] = {}
    if provenance is not None:
        texts = {KEY: provenance.to_json(ascii_only=False), **provenance.readable()}
    write_png(file, scene.height, scene.width, _strips(scene, background, small), texts)


def save_merged(
    scene: Scene,
    path: Path,
    background: Colour | AnyArray | None,
    provenance: GenerationMetadata | None,
) -> None:
    """Writes it to a file, whole or not at all.

    Raises:
        FileError: the file cannot be written.
    """
    with open_atomically(path) as file:
        write_merged(scene, file, background, provenance=provenance)


def _strips(
    scene: Scene, background: Colour | AnyArray | None, small: StripShrinker | None
) -> Iterator[RGBA8 | int]:
    for top, strip in scene.composite_strips(background):
        if strip is None:
            yield min(strip_rows(scene.width), scene.height - top)
            continue
        if small is not None:
            small.add(top, strip)
        yield np.ascontiguousarray(strip)
