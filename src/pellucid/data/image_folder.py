"""Images of one's own: a folder of files, each with its caption."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pellucid.data.records import Record, softness
from pellucid.data.shards import Sample
from pellucid.errors import FileError, InputError, first_line
from pellucid.files.images import read_rgba
from pellucid.progress import track
from pellucid.rgba.resizing import fit_rgba

BACKGROUND = "background"
ENDINGS = (".png", ".webp", ".avif", ".tiff", ".tif", ".jpg", ".jpeg")


def folder_samples(
    folder: Path,
    size_px: int,
    *,
    group: str = "",
    keep_opaque: bool = True,
    set_aside: Callable[[Path, FileError], None] | None = None,
) -> Iterator[Sample]:
    """Yields every image below a folder as a square, in the order of their paths.

    The caption is what stands in a `.txt` of the same name, else the words of the name. Transparent images
    are shown whole, with a clear border; those of the group "background" are cropped.

    Args:
        folder: where they lie.
        size_px: height and width of the result.
        group: of the records; "background" for what layers are placed on.
        keep_opaque: whether images without a transparent pixel are taken. A model of transparent images
            would learn their backgrounds as part of them.
        set_aside: is told of an image or a caption that cannot be used, and why; the others go on.

    Raises:
        InputError: there is none.
        FileError: one cannot be used, and there is no `set_aside`.
    """
    # sorted, since a record's name holds its number, and file systems list in any order
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise InputError(f"Expected images in {folder}, found none. Known endings are {', '.join(ENDINGS)}.")
    fit, readable = "crop" if group == BACKGROUND else "fit", 0
    for number, path in enumerate(track(paths, total=len(paths), label="packing", unit="image")):
        try:
            caption, image = _caption(path), read_rgba(path)
            if not keep_opaque and image[..., 3].min() == 255:
                raise FileError(
                    f"Expected transparency in {path}, found an opaque image. Cut its subject out."
                )
        except FileError as error:
            if set_aside is None:
                raise
            set_aside(path, error)
            continue
        rgba = fit_rgba(image, size_px, size_px, fit)
        record = Record(
            name=f"{folder.name}-{number:07d}",
            label=caption,
            group=group,
            source=folder.name,
            soft=softness(rgba),
        )
        readable += 1
        yield record, rgba
    if not readable:
        raise FileError(
            f"Expected images that can be used in {folder}, found none. See what was said of each."
        )


def _caption(path: Path) -> str:
    text = path.with_suffix(".txt")
    try:
        caption = text.read_text(encoding="utf-8") if text.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"Expected a caption as UTF-8 text in {text}, found {first_line(error)}. Save it again."
        ) from None
    # underscores and hyphens stand for spaces in names of files, but may be meant in a written caption
    words = path.stem.replace("-", " ").replace("_", " ") if caption is None else caption
    # a name such as "--.png" leaves no words, and an empty caption would train the unconditional case
    return " ".join(words.split()) or "picture"
