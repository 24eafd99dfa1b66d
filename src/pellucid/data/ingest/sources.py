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

import fsspec

from pellucid.data.ingest.references import ImageReference, Kind
from pellucid.data.records import Record
from pellucid.errors import FileError, InputError, first_line, missing_package

IMAGES = (".png", ".webp", ".avif", ".tif", ".tiff", ".jpg", ".jpeg", ".gif", ".bmp")
"""Extensions that are listed. What cannot be read of them is counted, instead of being passed over."""
TABLES = (".parquet", ".csv", ".tsv")
CAPTION_COLUMNS = ("caption", "text", "label", "title", "prompt", "name")
IMAGE_COLUMNS = ("image", "img", "picture", "bytes", "jpg", "png", "webp")
URL_COLUMNS = ("url", "image_url", "href", "link")
LICENCE_COLUMNS = ("licence", "license")
CAPTION_BYTES = 1 << 16
"""A caption file is read no further."""


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
    file_system, root = fsspec.url_to_fs(location)
    paths = sorted(path for path in file_system.find(root) if _ending(path) in (*IMAGES, ".txt"))
    texts = {path for path in paths if path.endswith(".txt")}
    for path in paths:
        if path in texts:
            continue
        beside = f"{path.rpartition('.')[0]}.txt"
        # cut, because a stranger's "caption" may be a book
        written = file_system.cat_file(beside, end=CAPTION_BYTES) if beside in texts else b""
        name = str(PurePosixPath(path).relative_to(PurePosixPath(root)))
        yield _reference(common, name, "file", file_system.unstrip_protocol(path), caption=written)


def _zip(location: str, common: Record, _: Columns) -> Iterator[ImageReference]:
    with fsspec.open(location, "rb") as file, zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        for name in sorted(name for name in names if _ending(name) in IMAGES):
            beside = f"{name.rpartition('.')[0]}.txt"
            written = archive.open(beside).read(CAPTION_BYTES) if beside in names else b""
            yield _reference(common, name, "zip", location, member=name, caption=written)


def _tar(location: str, common: Record, _: Columns) -> Iterator[ImageReference]:
    """Lists WebDataset shards: what stands beside an image, .json or .txt, describes it."""
    with fsspec.open(location, "rb") as file, tarfile.open(fileobj=file) as tar:
        members = {member.name: member for member in tar if member.isfile()}
        # in the order of the archive, which is the order in which reading does not seek
        for name in [name for name in members if _ending(name) in IMAGES]:
            stem = name.rpartition(".")[0]
            texts = {
                kind: read.read(CAPTION_BYTES)
                for kind in ("json", "txt")
                if (member := members.get(f"{stem}.{kind}")) and (read := tar.extractfile(member))
            }
            known = _json(texts.get("json", b""))
            # a shard of ours has a whole record, which must not be guessed again from names of columns
            if "label" in known and "name" in known:
                record = Record.from_json({**common.to_json(), **known})
                yield ImageReference(
                    name=record.name, kind="tar", location=location, member=name, record=record
                )
                continue
            caption = texts.get("txt") or _first(known, CAPTION_COLUMNS).encode()
            described = _described(common, known)
            yield _reference(described, name, "tar", location, member=name, caption=caption)


def _arrow(location: str, common: Record, columns: Columns) -> Iterator[ImageReference]:
    """Lists a dataset that Hugging Face's `save_to_disk` wrote, from its .arrow files."""
    from pellucid.data.ingest.references import open_arrow

    file_system, root = fsspec.url_to_fs(location)
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

    with fsspec.open(location, "rb") as opened:
        file = parquet.ParquetFile(opened)
        names = [field.name for field in file.schema_arrow]
        url = columns.url or next((name for name in URL_COLUMNS if name in names), "")
        # of a table with both the address is taken: it says more of an image's origin
        image = "" if url else _column(columns.image, IMAGE_COLUMNS, names, location)
        row = 0
        # without the images themselves, which would read the whole table to list it
        for batch in file.iter_batches(columns=[name for name in names if name != image]):
            for known in batch.to_pylist():
                name = f"{PurePosixPath(location).stem}-{row:08d}"
                if url:
                    yield _url_reference(common, columns, name, str(known[url]), known)
                else:
                    yield _table_reference(common, columns, name, "table", location, image, row, known)
                row += 1


def _csv(location: str, common: Record, columns: Columns) -> Iterator[ImageReference]:
    with fsspec.open(location, "rb") as file:
        # spreadsheets begin their files with a byte order mark, which would become part of the first name
        text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
        rows = csv.DictReader(text, delimiter="\t" if location.endswith(".tsv") else ",")
        url = _column(columns.url, URL_COLUMNS, list(rows.fieldnames or ()), location)
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
    file_system, path = fsspec.url_to_fs(location)
    return bool(file_system.isdir(path))


def _is_dataset(location: str) -> bool:
    file_system, path = fsspec.url_to_fs(location)
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


def _column(asked: str, usual: tuple[str, ...], names: list[str], location: str) -> str:
    if asked in names:
        return asked
    found = next((name for name in usual if name in names), "") if not asked else ""
    if not found:
        raise InputError(
            f"Expected a column named {asked or ' or '.join(usual)} in {location}, found {', '.join(names)}. "
            "Name it with --image-column or --url-column."
        )
    return found
