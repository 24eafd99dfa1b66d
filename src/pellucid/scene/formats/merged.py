"""Flattened images to files: by strips where the canvas is large and the format allows it."""

from pathlib import Path

from pellucid.files.atomic import open_atomically
from pellucid.files.images import build_tags, format_for, write_image
from pellucid.files.metadata import KEY, GenerationMetadata
from pellucid.files.png_strips import Writable, write_png
from pellucid.files.tiff_strips import write_tiff_strips
from pellucid.rgba.strips import StripImage


def write_merged(file: Writable, image: StripImage, provenance: GenerationMetadata | None) -> None:
    """Writes an image that comes by strips as a PNG; `provenance` goes into it."""
    texts: dict[str, str] = {}
    if provenance is not None:
        texts = {KEY: provenance.to_json(ascii_only=False), **provenance.readable()}
    write_png(file, image, texts)


def save_merged(image: StripImage, path: Path, provenance: GenerationMetadata | None) -> None:
    """Writes an image to a file, whole or not at all; the path's ending chooses the format.

    Raises:
        InputError: larger than the format allows.
        FileError: another ending, or the file cannot be written.
    """
    file_format = format_for(path)
    if not image.is_large or file_format not in ("PNG", "TIFF"):
        write_image(image.gather(), path, metadata=provenance)
        return
    with open_atomically(path) as file:
        if file_format == "PNG":
            write_merged(file, image, provenance)
        else:
            write_tiff_strips(file, [(image, build_tags(provenance))])
