"""From a file to the reader or writer of its format."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pellucid.errors import FileError, InputError
from pellucid.files.extensions import LAYERED, TIFF_ENDINGS
from pellucid.files.images import MAX_PIXELS, count_frames, format_for, read_named
from pellucid.files.sources import NamedContent, read_source
from pellucid.rgba.compositing import Colour
from pellucid.rgba.strips import StripImage
from pellucid.rgba.types import AnyArray
from pellucid.scene.formats.limits import DAMAGE, PixelLimit, UnsupportedDocument
from pellucid.scene.formats.merged import save_merged
from pellucid.scene.scene import Scene, Unsupported

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
    provenance = scene.provenance or only
    image = StripImage(scene.height, scene.width, scene.composite_strips(background))
    save_merged(image, path, provenance)
    return path


def _write_layered(scene: Scene, path: Path, ending: str) -> None:
    if ending == ".psd":
        from pellucid.scene.formats.psd_writer import write_psd

        write_psd(scene, path)
    elif ending == ".ora":
        from pellucid.scene.formats.openraster_writer import write_ora

        write_ora(scene, path)
    else:
        from pellucid.scene.formats.zip_archive import write_archive

        write_archive(scene, path)


class Document(NamedTuple):
    """A file and what is in it."""

    format: str
    """Such as PSD or PNG."""
    scene: Scene
    durations_ms: tuple[int, ...] = ()
    """Of each frame of an animation, which is a layer of the scene."""
    frames: int = 1
    """Frames or pages that the file holds, of which the scene may show one."""
    texts: Mapping[str, str] = MappingProxyType({})
    """Of an image file, by their keys there."""


def read_document(path: Path, max_pixels: int, unsupported: Unsupported) -> Scene:
    """Reads a scene from a file of any known format; arguments and errors of `Scene.open`."""
    return open_document(read_source(path), max_pixels, unsupported=unsupported).scene


def open_document(
    source: NamedContent,
    max_pixels: int = MAX_PIXELS,
    *,
    frame: int | None = None,
    animated: bool = True,
    unsupported: Unsupported = "refuse",
) -> Document:
    """Reads a document or image out of a file's content.

    Args:
        source: the file.
        max_pixels: of the canvas.
        frame: the one of an animation, or page of a TIFF, that is the image, from 1.
        animated: without a frame, read all of an animation, and do not refuse it.
        unsupported: what becomes of a document with a layer that cannot be shown.

    Raises:
        FileError: as of `Scene.open`; or no such frame, or an animation that is not wanted.
    """
    # by content first, since endings lie; the ending decides only where a file's start is damaged
    name = source.name
    kind = detect_kind(source)
    try:
        if kind in ("psd", "ora", "zip"):
            if frame is not None:
                raise UnsupportedDocument(
                    f"it is a document ({kind.upper()}), whose layers are no frames. Leave --frame out."
                )
            scene = _read_layers(kind, source, PixelLimit(max_pixels), unsupported)
            return Document(kind.upper(), scene)
        return _read_images(kind, source, max_pixels, frame, animated)
    except UnsupportedDocument as refusal:
        raise FileError(f"Cannot read {name}: {refusal}") from refusal
    except FileError as error:
        text = str(error)
        # inner readers know a member's name at best
        raise FileError(text if name in text else f"Cannot read {name}. {text}") from error
    except MemoryError as error:
        raise FileError(
            f"Cannot read {name}: it needs more memory than there is. Make it smaller, or free some."
        ) from error
    # an InputError too: a damaged file may declare an opacity of 7, which a layer refuses
    except (InputError, *DAMAGE) as error:
        raise FileError(
            f"Cannot read {name}: it is damaged ({type(error).__name__}), or {ERROR_MESSAGES[kind]}."
        ) from error


def holds_frames(source: NamedContent, max_pixels: int = MAX_PIXELS) -> bool:
    """Tells whether a file is an animation or a TIFF of several pages; errors of `open_document`."""
    return detect_kind(source) in ("tiff", "image") and (count_frames(source, max_pixels=max_pixels) > 1)


def detect_kind(source: NamedContent) -> str:
    """Returns psd, ora, zip, tiff or image, by content and, where that is unclear, by extension.

    Raises:
        FileError: it cannot be read any more.
    """
    try:
        with source.opened() as file:
            start = file.read(len(PSD_SIGNATURE))
    except OSError as error:
        raise FileError(f"Cannot read {source.name}: {error.strerror}. Check the path.") from error
    if start == PSD_SIGNATURE or source.ending in (".psd", ".psb"):
        return "psd"
    if start in ZIP_SIGNATURES or source.ending in LAYERED:
        return "ora" if _holds_a_stack(source) or source.ending == ".ora" else "zip"
    return "tiff" if start in TIFF_SIGNATURES else "image"


def _holds_a_stack(source: NamedContent) -> bool:
    try:
        with source.opened() as file, zipfile.ZipFile(file) as archive:
            return "stack.xml" in archive.namelist()
    except DAMAGE:
        return False


def _read_layers(kind: str, source: NamedContent, pixel_limit: PixelLimit, unsupported: Unsupported) -> Scene:
    if kind == "psd":
        from pellucid.scene.formats.psd_reader import read_psd

        return read_psd(source, pixel_limit, unsupported)
    if kind == "ora":
        from pellucid.scene.formats.openraster_reader import read_ora

        return read_ora(source, pixel_limit, unsupported)
    from pellucid.scene.formats.zip_archive import read_archive

    return read_archive(source, pixel_limit)


def _read_images(
    kind: str, source: NamedContent, max_pixels: int, frame: int | None, animated: bool
) -> Document:
    pixel_limit = PixelLimit(max_pixels)
    if kind == "tiff" and frame is None:
        from pellucid.scene.formats.tiff import read_tiff

        scene = read_tiff(source.content, source.name, pixel_limit)
        # a TIFF of one page is an image like others
        if scene is not None:
            return Document("TIFF", scene)
    if frame is None and animated:
        from pellucid.scene.formats.animation import read_images

        first, scene, durations_ms = read_images(source, pixel_limit)
        return Document(first.format, scene, durations_ms, len(scene.layers), first.metadata)
    image = read_named(source, max_pixels=max_pixels, frame=frame)
    scene = Scene.of(image.rgba, name=source.stem, provenance=image.provenance)
    held = 1 if frame is None else count_frames(source, max_pixels=max_pixels)
    return Document(image.format, scene, frames=held, texts=image.metadata)
