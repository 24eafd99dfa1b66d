"""From a path to the reader or writer of its format."""

import zipfile
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from pellucid.errors import FileError, InputError
from pellucid.files.extensions import LAYERED, TIFF_ENDINGS
from pellucid.files.images import MAX_PIXELS, format_for, read_image, write_image
from pellucid.rgba.compositing import Colour
from pellucid.rgba.types import AnyArray
from pellucid.scene.formats.limits import DAMAGE, PixelLimit, UnsupportedDocument
from pellucid.scene.scene import Scene

PSD_SIGNATURE = b"8BPS"
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

ERROR_MESSAGES = MappingProxyType(
    {
        "psd": "no PSD. Open a file that Photoshop, Krita, GIMP or Scene.save wrote",
        "ora": "no OpenRaster document. Open a file that Krita, GIMP, MyPaint or Scene.save wrote",
        "zip": "no scene. Open a .zip that Scene.save wrote, with scene.json in it",
        "tiff": "no TIFF. Fetch or save it again",
        "image": "no image. Fetch or save it again",
    }
)
"""How messages go on after "it is damaged, or"."""


def write_document(scene: Scene, path: Path, background: Colour | AnyArray | None) -> Path:
    """Writes a scene in the format of the path's extension; errors of `Scene.save`."""
    ending = path.suffix.lower()
    if ending in LAYERED:
        if background is not None:
            raise InputError(
                f"Expected no background for {ending}, which keeps layers, found one. "
                "Add it as the lowest layer, or choose .png."
            )
        _write_layered(scene, path, ending)
        return path
    format_for(path)  # before the work of flattening
    if ending in TIFF_ENDINGS and background is None and len(scene.layers) > 1:
        from pellucid.scene.formats.tiff import write_tiff

        write_tiff(scene, path)
        return path
    only = scene.layers[0].provenance if len(scene.layers) == 1 else None
    return write_image(scene.composite(background), path, metadata=scene.provenance or only)


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
    """Reads a scene from a file of any known format; errors of `Scene.open`."""
    return open_document(path, max_pixels)[1]


def open_document(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[str, Scene]:
    """Reads a file and returns its format, such as PSD or PNG, and its scene; errors of `Scene.open`."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"Cannot read {path}: {reason}. Check the path.") from error
    # by content first, since endings lie; the ending decides only where a file's start is damaged
    kind = detect_kind(content, path.suffix.lower())
    try:
        return _read(kind, content, path, max_pixels)
    except UnsupportedDocument as refusal:
        raise FileError(f"Cannot read {path}: {refusal}") from refusal
    except FileError as error:
        text = str(error)
        # inner readers know a member's name at best
        raise FileError(text if str(path) in text else f"Cannot read {path}. {text}") from error
    except MemoryError as error:
        raise FileError(
            f"Cannot read {path}: it needs more memory than there is. Make it smaller, or free some."
        ) from error
    # an InputError too: a damaged file may declare an opacity of 7, which a layer refuses
    except (InputError, *DAMAGE) as error:
        raise FileError(
            f"Cannot read {path}: it is damaged ({type(error).__name__}), or {ERROR_MESSAGES[kind]}."
        ) from error


def detect_kind(content: bytes, ending: str) -> str:
    """Returns psd, ora, zip, tiff or image, by content and, where that is unclear, by extension."""
    if content.startswith(PSD_SIGNATURE) or ending in (".psd", ".psb"):
        return "psd"
    if content.startswith(ZIP_SIGNATURES) or ending in LAYERED:
        return "ora" if _holds_a_stack(content) or ending == ".ora" else "zip"
    return "tiff" if content.startswith(TIFF_SIGNATURES) else "image"


def _holds_a_stack(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return "stack.xml" in archive.namelist()
    except DAMAGE:
        return False


def _read(kind: str, content: bytes, path: Path, max_pixels: int) -> tuple[str, Scene]:
    pixel_limit = PixelLimit(max_pixels)
    if kind == "psd":
        from pellucid.scene.formats.psd_reader import read_psd

        return "PSD", read_psd(content, pixel_limit)
    if kind == "ora":
        from pellucid.scene.formats.openraster import read_ora

        return "ORA", read_ora(content, pixel_limit)
    if kind == "zip":
        from pellucid.scene.formats.zip_archive import read_archive

        return "ZIP", read_archive(content, pixel_limit)
    if kind == "tiff":
        from pellucid.scene.formats.tiff import read_tiff

        scene = read_tiff(content, str(path), pixel_limit)
        # a TIFF of one page is an image like others
        if scene is not None:
            return "TIFF", scene
    image = read_image(path, max_pixels=max_pixels)
    return image.format, Scene.of(image.rgba, name=path.stem, provenance=image.provenance)
