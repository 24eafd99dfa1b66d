"""Documents as the content of a file, for what sends and receives them."""

import tempfile
from pathlib import Path

from pellucid.errors import FileError
from pellucid.files.images import MAX_PIXELS
from pellucid.scene.scene import Scene


def encode_scene(scene: Scene, ending: str = "ora") -> bytes:
    """Returns the content of the file that `Scene.save` writes; `ending` chooses the format.

    Raises:
        InputError: the format cannot hold this scene.
        FileError: another ending, or the file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="pellucid-") as folder:
        return scene.save(Path(folder) / f"scene.{ending}").read_bytes()


def decode_scene(content: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Scene:
    """Reads the content of a file that `Scene.open` reads.

    Args:
        content: of the file.
        name: what it is called in errors, and its layer if it is one image.
        max_pixels: see `Scene.open`.

    Raises:
        FileError: see `Scene.open`.
    """
    with tempfile.TemporaryDirectory(prefix="pellucid-") as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            return Scene.open(path, max_pixels=max_pixels)
        except FileError as error:
            # nobody wants to know where it lay for a moment
            raise FileError(str(error).replace(str(path), name)) from None
