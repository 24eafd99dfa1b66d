"""Lists the images of a source, with what it says of each, without reading the images."""

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import cast

from pydantic import TypeAdapter, ValidationError

from pellucid.data.ingest.files import file_system_of, open_file
from pellucid.data.ingest.references import ImageReference, Kind
from pellucid.data.records import Record
from pellucid.errors import FileError, InputError, first_line, missing_package
from pellucid.files.tables import is_table

IMAGES = (".png", ".webp", ".avif", ".tif", ".tiff", ".jpg", ".jpeg", ".gif", ".bmp")
"""Extensions that are listed. What cannot be read of them is counted, instead of being passed over."""
TEXTS = (".json", ".txt")
"""Beside an image of the same name they describe it."""
CAPTION_COLUMNS = ("caption", "text", "label", "title", "prompt", "name")
IMAGE_COLUMNS = ("image", "img", "picture", "bytes", "jpg", "png", "webp")
URL_COLUMNS = ("url", "image_url", "href", "link")
LICENCE_COLUMNS = ("licence", "license")
COLUMN_OPTIONS = "--image-column or --url-column"
CAPTION_BYTES = 1 << 16
"""A caption file is read no further."""
OWN_RECORD = TypeAdapter(Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of a table's columns. Empty ones are looked for among the usual names."""

    caption: str = ""
    image: str = ""
    url: str = ""
    licence: str = ""


def list_images(location: str, common: Record, columns: Columns | None = None) -> Iterator[ImageReference]:
    """Lists the images of one source in an order that is the same each time.

    Args:
        location: a folder, .zip, .tar (WebDataset), .parquet, .csv or .tsv, a Hugging Face dataset on disk (a
            folder with .arrow files), or one image; a path, or a URL that fsspec opens.
        common: what to say of all images, such as source and licence; a table's own columns come first.
        columns: of a table.

    Raises:
        FileError: absent or damaged.
        InputError: nothing of what is known here.
    """
    try:
        for lister in LISTERS:
            if lister.fits(location):
                yield from lister.list_images(location, common, columns or Columns())
                return
    except (FileError, InputError):
        raise
    except ImportError as error:
        raise missing_package(str(error.name), f"reading {location}", "data") from error
    except Exception as error:  # readers of archives and tables, and file systems, raise anything
        raise FileError(
            f"{location} cannot be read: {type(error).__name__}: {first_line(error)}. Check that it is there "
            "and whole."
        ) from error
    raise InputError(
        f"Expected a folder, .zip, .tar, .parquet, .csv, .tsv or an image, found {location}. Name one."
    )


def _folder(location: str, common: Record, _: Columns) -> Iterator[ImageReference]:
    file_system, root = file_system_of(location)
    paths = sorted(path for path in file_system.find(root) if _ending(path) in (*IMAGES, *TEXTS))
    texts = {path for path in paths if _ending(path) in TEXTS}

    def read(path: str) -> bytes:
        # cut, because a stranger's "caption" may be a book
        return file_system.cat_file(path, end=CAPTION_BYTES) if path in texts else b""

    for path in (path for path in paths if path not in texts):
        name = str(PurePosixPath(path).relative_to(PurePosixPath(root)))
        place = file_system.unstrip_protocol(path) if "://" in location else path
        yield _with_texts(common, name, "file", place, _beside(path, read))


def _zip(location: str, common: Record, _: Columns) -> Iterator[ImageReference]:
    with open_file(location) as file, zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())

        def read(name: str) -> bytes:
            return archive.open(name).read(CAPTION_BYTES) if name in names else b""

        for name in sorted(name for name in names if _ending(name) in IMAGES):
            yield _with_texts(common, name, "zip", location, _beside(name, read), member=name)


def _tar(location: str, common: Record, _: Columns) -> Iterator[ImageReference]:
    """Lists WebDataset shards, ours among them."""
    with open_file(location) as file, tarfile.open(fileobj=file) as tar:
        members = {member.name: member for member in tar if member.isfile()}

        def read(name: str) -> bytes:
            found = tar.extractfile(members[name]) if name in members else None
            return found.read(CAPTION_BYTES) if found else b""

        # in the order of the archive, which is the order in which reading does not seek
        for name in [name for name in members if _ending(name) in IMAGES]:
            yield _with_texts(common, name, "tar", location, _beside(name, read), member=name)


def _arrow(location: str, common: Record, columns: Columns) -> Iterator[ImageReference]:
    """Lists a dataset that Hugging Face's `save_to_disk` wrote, from its .arrow files."""
    from pellucid.data.ingest.references import open_arrow

    file_system, root = file_system_of(location)
    # files are numbered, so their names sort as their rows do
    for path in sorted(path for path in file_system.find(root) if path.endswith(".arrow")):
        table = open_arrow(path)
        image = _column(columns.image, IMAGE_COLUMNS, table.column_names, location)
        others = [name for name in table.column_names if name != image]
        for row, known in enumerate(table.select(others).to_pylist()):
            name = f"{PurePosixPath(path).stem}-{row:08d}"
            yield _table_reference(common, columns, name, "arrow", path, image, row, known)


def _parquet(location: str, common: Record, columns: Columns) -> Iterator[ImageReference]:
    from pyarrow import parquet

    with open_file(location) as opened:
        file = parquet.ParquetFile(opened)
        names = [field.name for field in file.schema_arrow]
        # of a table with both the address is taken if nobody says otherwise: it tells an image's origin
        usual = "" if columns.image else next((name for name in URL_COLUMNS if name in names), "")
        url = _column(columns.url, (), names, location) if columns.url else usual
        image = "" if url else _column(columns.image, IMAGE_COLUMNS, names, location)
        row = 0
        # without the images themselves, which would read the whole table to list it
        for batch in file.iter_batches(columns=[name for name in names if name != image]):
            for known in batch.to_pylist():
                name = f"{PurePosixPath(location).stem}-{row:08d}"
                if url:
                    yield _url_reference(common, columns, name, str(known[url] or ""), known)
                else:
                    yield _table_reference(common, columns, name, "table", location, image, row, known)
                row += 1


def _csv(location: str, common: Record, columns: Columns) -> Iterator[ImageReference]:
    with open_file(location) as file:
        # spreadsheets begin their files with a byte order mark, which would become part of the first name
        text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
        rows = csv.DictReader(text, delimiter="\t" if location.endswith(".tsv") else ",")
        url = _column(columns.url, URL_COLUMNS, list(rows.fieldnames or ()), location, "--url-column")
        for number, known in enumerate(rows):
            name = f"{PurePosixPath(location).stem}-{number:08d}"
            yield _url_reference(common, columns, name, known.get(url) or "", known)


def _image(location: str, common: Record, _: Columns) -> Iterator[ImageReference]:
    yield _reference(common, PurePosixPath(location).name, "file", location)


@dataclass(frozen=True, slots=True)
class Lister:
    """One kind of source."""

    fits: Callable[[str], bool]
    list_images: Callable[[str, Record, Columns], Iterator[ImageReference]]


def _is_folder(location: str) -> bool:
    file_system, path = file_system_of(location)
    return bool(file_system.isdir(path))


def _is_dataset(location: str) -> bool:
    file_system, path = file_system_of(location)
    return _is_folder(location) and any(name.endswith(".arrow") for name in file_system.find(path))


LISTERS = (
    Lister(lambda location: _ending(location) == ".zip", _zip),
    Lister(lambda location: _ending(location) == ".tar", _tar),
    Lister(lambda location: _ending(location) == ".parquet", _parquet),
    Lister(lambda location: _ending(location) in (".csv", ".tsv"), _csv),
    Lister(lambda location: _ending(location) in IMAGES, _image),
    Lister(_is_dataset, _arrow),
    Lister(_is_folder, _folder),
)
"""Tried in order."""


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _words(name: str) -> str:
    return " ".join(PurePosixPath(name).stem.replace("-", " ").replace("_", " ").split())


def _beside(name: str, read: Callable[[str], bytes]) -> dict[str, bytes]:
    """Reads what stands beside an image and describes it: .json and .txt, each empty where it is absent."""
    stem = name.rpartition(".")[0]
    return {ending: read(f"{stem}{ending}") for ending in TEXTS}


def _with_texts(
    common: Record, name: str, kind: Kind, location: str, texts: Mapping[str, bytes], *, member: str = ""
) -> ImageReference:
    known = _json(texts[".json"])
    # a shard of ours has a whole record, which must not be guessed again from names of columns
    if record := _own_record(common, known):
        return ImageReference(name=record.name, kind=kind, location=location, member=member, record=record)
    caption = texts[".txt"] or _first(known, CAPTION_COLUMNS).encode()
    return _reference(_described(common, known), name, kind, location, member=member, caption=caption)


def _own_record(common: Record, known: Mapping[str, object]) -> Record | None:
    """Returns the record that `Record.to_json` wrote; None for anybody else's description."""
    if not (known.get("name") and known.get("label")):
        return None
    try:
        # by their types too: others also call a number or a list "label"
        return OWN_RECORD.validate_python({**common.to_json(), **known})
    except ValidationError:
        return None


def _reference(
    common: Record, name: str, kind: Kind, location: str, *, member: str = "", caption: bytes = b""
) -> ImageReference:
    label = " ".join(caption.decode("utf-8", "replace").split()) or _words(name)
    record = replace(common, name=name, label=label)
    return ImageReference(name=name, kind=kind, location=location, member=member, record=record)


def _table_reference(
    common: Record,
    columns: Columns,
    name: str,
    kind: Kind,
    location: str,
    image: str,
    row: int,
    known: Mapping[str, object],
) -> ImageReference:
    # what stood in a .json beside the image is one column where `datasets` has read a WebDataset
    nested = known.get("json")
    if is_table(nested):
        nested = {key: value for key, value in nested.items() if value is not None}  # what other rows have
        if record := _own_record(common, nested):
            return ImageReference(
                name=record.name, kind=kind, location=location, member=image, row=row, record=record
            )
        known = {**nested, **known}
    record = replace(_described(common, known, columns), name=name, label=_caption(known, columns))
    return ImageReference(name=name, kind=kind, location=location, member=image, row=row, record=record)


def _url_reference(
    common: Record, columns: Columns, name: str, url: str, known: Mapping[str, object]
) -> ImageReference:
    described = _described(common, known, columns)
    label = _caption(known, columns) or _words(url)
    record = replace(described, name=name, label=label, url=url)
    return ImageReference(name=name, kind="url", location=url, record=record)


def _caption(known: Mapping[str, object], columns: Columns) -> str:
    return _first(known, (columns.caption,) if columns.caption else CAPTION_COLUMNS)


def _described(common: Record, known: Mapping[str, object], columns: Columns | None = None) -> Record:
    chosen = (columns.licence,) if columns and columns.licence else LICENCE_COLUMNS
    return replace(
        common,
        licence=_first(known, chosen) or common.licence,
        attribution=_first(known, ("attribution", "author", "creator")) or common.attribution,
        url=_first(known, URL_COLUMNS) or common.url,
    )


def _first(known: Mapping[str, object], names: tuple[str, ...]) -> str:
    for name in names:
        value = known.get(name)
        if isinstance(value, str) and value.strip():
            return " ".join(value.split())
    return ""


def _json(text: bytes) -> dict[str, object]:
    try:
        values = json.loads(text) if text else {}
    except ValueError:  # also of bytes that are no UTF-8
        return {}
    return cast("dict[str, object]", values) if isinstance(values, dict) else {}


def _column(
    asked: str, usual: tuple[str, ...], names: list[str], location: str, options: str = COLUMN_OPTIONS
) -> str:
    if asked in names:
        return asked
    found = next((name for name in usual if name in names), "") if not asked else ""
    if not found:
        raise InputError(
            f"Expected a column named {asked or ' or '.join(usual)} in {location}, found "
            f"{', '.join(names) or 'none'}. Name it with {options}."
        )
    return found
