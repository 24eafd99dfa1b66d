"""A scene as a .zip: `scene.json` and one PNG a layer, so that any tool can look inside.

The same scene gives the same bytes.
"""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from pellucid.errors import FileError, InputError
from pellucid.rgba.atomic import write_atomically
from pellucid.rgba.io import MAX_PIXELS, encode_picture, read_rgba
from pellucid.rgba.provenance import Provenance
from pellucid.scene.scene import Layer, Scene

INDEX = "scene.json"
FORMAT = "pellucid-scene"
VERSION = 1
MAX_MEMBER_BYTES = 1 << 30
MAX_INDEX_BYTES = 1 << 24
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that zip knows

DAMAGE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def write_archive(scene: Scene, path: Path) -> Path:
    """Writes the layers, their places and where they come from.

    Raises:
        FileError: the file cannot be written.
    """
    rows = [_row(layer, f"layers/{number:03}.png") for number, layer in enumerate(scene.layers)]
    index = {
        "format": FORMAT,
        "version": VERSION,
        "height": scene.height,
        "width": scene.width,
        "provenance": scene.provenance and scene.provenance.as_dict(),
        "layers": rows,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        _add(archive, INDEX, json.dumps(index, ensure_ascii=False, indent=1).encode())
        for row, layer in zip(rows, scene.layers, strict=True):
            _add(archive, row["file"], encode_picture(layer.image, "PNG", metadata=layer.provenance))
    write_atomically(path, file.getvalue())
    return path


def read_archive(path: Path) -> Scene:
    """Reads `write_archive`.

    Raises:
        FileError: absent, damaged, or another kind of zip.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}. Check the path.") from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _scene(archive)
    except FileError as error:
        raise FileError(f"Cannot read {path}. {error}") from error
    except (InputError, *DAMAGE) as error:
        raise FileError(
            f"Cannot read {path}: it is damaged, or no scene ({type(error).__name__}). "
            f"Open a .zip that Scene.save wrote, with {INDEX} in it."
        ) from error


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, EPOCH), content)


def _row(layer: Layer, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "name": layer.name,
        "top": layer.offset[0],
        "left": layer.offset[1],
        "opacity": layer.opacity,
        "visible": layer.visible,
        "provenance": layer.provenance and layer.provenance.as_dict(),
    }


def _scene(archive: zipfile.ZipFile) -> Scene:
    index = json.loads(_member(archive, INDEX, MAX_INDEX_BYTES))
    if index["format"] != FORMAT or index["version"] != VERSION:
        raise ValueError("another format or version")
    if int(index["height"]) * int(index["width"]) > MAX_PIXELS:
        raise ValueError("the canvas is too large")
    layers = tuple(_layer(archive, row) for row in index["layers"])
    return Scene(
        layers=layers,
        height=int(index["height"]),
        width=int(index["width"]),
        provenance=Provenance.of(index["provenance"]),
    )


def _layer(archive: zipfile.ZipFile, row: dict[str, Any]) -> Layer:
    return Layer(
        image=read_rgba(_member(archive, row["file"], MAX_MEMBER_BYTES)),
        name=str(row["name"]),
        offset=(int(row["top"]), int(row["left"])),
        opacity=float(row["opacity"]),
        visible=bool(row["visible"]),
        provenance=Provenance.of(row["provenance"]),
    )


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A member's content. Its stated size is checked first: a small file can unpack to any size."""
    if archive.getinfo(name).file_size > limit:
        raise ValueError("a member is too large")
    return archive.read(name)
