"""From a path to the reader or writer of its format."""

import zipfile
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from pellucid.errors import FileError, InputError
from pellucid.files.extensions import LAYERED, TIFF_ENDINGS
from pellucid.files.images import MAX_PIXELS, format_of, read_picture, write_picture
from pellucid.rgba.compositing import Colour
from pellucid.rgba.types import AnyArray
from pellucid.scene.formats.limits import DAMAGE, Budget, Refusal
from pellucid.scene.scene import Scene

PSD_SIGNATURE = b"8BPS"
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

WORDS = MappingProxyType(
    {
        "psd": "no PSD. Open a file that Photoshop, Krita, GIMP or Scene.save wrote",
        "ora": "no OpenRaster document. Open a file that Krita, GIMP, MyPaint or Scene.save wrote",
        "zip": "no scene. Open a .zip that Scene.save wrote, with scene.json in it",
        "tiff": "no TIFF. Fetch or save it again",
        "picture": "no picture. Fetch or save it again",
    }
)
"""How messages go on after "it is damaged, or"."""


def write_document(scene: Scene, path: Path, background: Colour | AnyArray | None) -> Path:
    """As `Scene.save`."""
    ending = path.suffix.lower()
    if ending in LAYERED:
        if background is not None:
            raise InputError(
                f"Expected no background for {ending}, which keeps layers, found one. "
                "Add it as the lowest layer, or choose .png."
            )
        _write_layered(scene, path, ending)
        return path
    format_of(path)  # before the work of flattening
    if ending in TIFF_ENDINGS and background is None and len(scene.layers) > 1:
        from pellucid.scene.formats.tiff import write_tiff

        write_tiff(scene, path)
        return path
    only = scene.layers[0].provenance if len(scene.layers) == 1 else None
    return write_picture(scene.composite(background), path, metadata=scene.provenance or only)


def _write_layered(scene: Scene, path: Path, ending: str) -> None:
    if ending == ".psd":
        from pellucid.scene.formats.psd_writer import write_psd

        write_psd(scene, path)
    elif ending == ".ora":
        from pellucid.scene.formats.openraster import write_ora

        write_ora(scene, path)
    else:
        from pellucid.scene.formats.zip_archive import write_archive

        write_archive(scene, path)


def read_document(path: Path, max_pixels: int) -> Scene:
    """As `Scene.open`."""
    return open_document(path, max_pixels)[1]


def open_document(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[str, Scene]:
    """The format, such as PSD or PNG, and the scene; errors of `Scene.open`."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"Cannot read {path}: {reason}. Check the path.") from error
    kind = kind_of(content, path.suffix.lower())
    try:
        return _read(kind, content, path, max_pixels)
    except Refusal as refusal:
        raise FileError(f"Cannot read {path}: {refusal}") from refusal
    except FileError as error:
        text = str(error)
        raise FileError(text if str(path) in text else f"Cannot read {path}. {text}") from error
    except (InputError, *DAMAGE) as error:
        raise FileError(
            f"Cannot read {path}: it is damaged ({type(error).__name__}), or {WORDS[kind]}."
        ) from error


def kind_of(content: bytes, ending: str) -> str:
    """One of psd, ora, zip, tiff and picture: by content, and by ending where that says nothing."""
    if content.startswith(PSD_SIGNATURE) or ending in (".psd", ".psb"):
        return "psd"
    if content.startswith(ZIP_SIGNATURES) or ending in LAYERED:
        return "ora" if _holds_a_stack(content) or ending == ".ora" else "zip"
    return "tiff" if content.startswith(TIFF_SIGNATURES) else "picture"


def _holds_a_stack(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return "stack.xml" in archive.namelist()
    except DAMAGE:
        return False


def _read(kind: str, content: bytes, path: Path, max_pixels: int) -> tuple[str, Scene]:
    budget = Budget(max_pixels)
    if kind == "psd":
        from pellucid.scene.formats.psd_reader import read_psd

        return "PSD", read_psd(content, budget)
    if kind == "ora":
        from pellucid.scene.formats.openraster import read_ora

        return "ORA", read_ora(content, budget)
    if kind == "zip":
        from pellucid.scene.formats.zip_archive import read_archive

        return "ZIP", read_archive(content, budget)
    if kind == "tiff":
        from pellucid.scene.formats.tiff import read_tiff

        scene = read_tiff(content, str(path), budget)
        if scene is not None:
            return "TIFF", scene
    picture = read_picture(path, max_pixels=max_pixels)
    return picture.format, Scene.of(picture.rgba, name=path.stem, provenance=picture.provenance)
