"""Images that callers give: arrays, PIL images and paths, and scenes and layers of the library's own."""

from pathlib import Path

from pellucid.files.conversion import to_rgba8
from pellucid.files.images import read_image
from pellucid.rgba.types import RGBA8
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene


def to_image(image: object) -> RGBA8:
    """Converts what a caller gave as an image to uint8 (h, w, 4), straight alpha, sRGB.

    Args:
        image: a scene, of which all layers together are meant; a layer; or what `to_rgba8` takes.

    Raises:
        InputError: none of these, or a shape that is no image.
        FileError: a path that cannot be read.
    """
    if isinstance(image, Scene):
        return image.composite()
    return to_rgba8(image.image if isinstance(image, Layer) else image)


def prompt_of(image: object) -> str:
    """Returns the prompt that an image was made from; "" where it carries none."""
    source = read_image(image) if isinstance(image, (str, Path)) else image
    provenance = getattr(source, "provenance", None)
    return getattr(provenance, "prompt", None) or ""
