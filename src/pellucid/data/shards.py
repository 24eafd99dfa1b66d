"""Shards in WebDataset's layout: straight RGBA as PNG or lossless WebP, a `Record` as JSON beside it.

A shard is a file's path, or any URL that fsspec opens (s3://, gs://, https://, memory:// …).
"""

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from glob import glob
from itertools import islice
from pathlib import Path

import fsspec
import numpy as np
from PIL import Image

from pellucid.data.records import Record
from pellucid.errors import FileError, first_line
from pellucid.files.atomic import open_atomically
from pellucid.rgba.resizing import resize_sample

PNG: Mapping[str, object] = {"format": "PNG"}
SMALL_WEBP: Mapping[str, object] = {"format": "WEBP", "lossless": True}
"""A quarter smaller than PNG, and slow. Colour under an alpha of 0 is lost, which padding replaces anyway."""
QUICK_WEBP: Mapping[str, object] = {
    "format": "WEBP",
    "lossless": True,
    "exact": True,  # alpha and what it hides are never flattened on the way
    "quality": 20,  # of a lossless file this is effort: an eighth of the usual time for a tenth more bytes
    "method": 1,
}
QUICK_PNG: Mapping[str, object] = {"format": "PNG", "compress_level": 1}
"""In less than half of the time of a PNG, and of any WebP, for a sixth more bytes."""
Sample = tuple[Record, np.ndarray]
"""A record and its image: uint8 (h, w, 4), straight alpha."""


def write_shard(
    samples: Iterable[Sample],
    path: Path,
    *,
    small: bool = False,
    encoding: Mapping[str, object] | None = None,
) -> int:
    """Writes samples to one tar file, atomically, and returns how many there were.

    The same samples give the same bytes: times and owners are left out.

    Args:
        samples: what to write.
        path: the tar file.
        small: WebP, a quarter smaller, instead of PNG, which is faster and which everything reads.
        encoding: as `add_sample` takes it, instead of what `small` says.

    Raises:
        FileError: the folder refuses or the disk is full; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with open_atomically(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for record, rgba in samples:
            count += 1
            add_sample(tar, record, rgba, encoding or (SMALL_WEBP if small else PNG))
    return count


def add_sample(
    tar: tarfile.TarFile, record: Record, rgba: np.ndarray, encoding: Mapping[str, object] = PNG
) -> None:
    """Adds one image and its record.

    Args:
        tar: an open shard.
        record: of the image.
        rgba: uint8 (h, w, 4), straight alpha.
        encoding: `PNG`, `QUICK_PNG`, `SMALL_WEBP` or `QUICK_WEBP`.
    """
    packed, kind = io.BytesIO(), str(encoding["format"]).lower()
    Image.fromarray(rgba, "RGBA").save(packed, **encoding)  # type: ignore[arg-type]
    stem = record.name.replace(".", "_")  # WebDataset takes all after the first dot for a kind
    add_member(tar, f"{stem}.{kind}", packed.getvalue())
    add_member(tar, f"{stem}.json", json.dumps(record.to_json(), sort_keys=True).encode())


def pack(shards: Iterable[Path | str], size_px: int, path: Path) -> int:
    """Writes all samples of `shards` to one small shard, `size_px` on each side; returns their number."""
    return write_shard(resized(shards, size_px), path, small=True)


def part_path(path: Path, number: int) -> Path:
    """Names the shard of a number, from 0, of a set that is written in parts: path-000000.tar …."""
    return path.with_name(f"{path.stem}-{number:06d}.tar")


def write_parts(samples: Iterable[Sample], path: Path, each: int) -> tuple[list[Path], int]:
    """Writes shards of `each` samples, path-000000.tar …; returns them and the number of samples."""
    left = iter(samples)
    paths: list[Path] = []
    count = 0
    # one shard in memory at a time: sets are larger than memory
    while some := list(islice(left, each)):
        paths.append(part_path(path, len(paths)))
        count += write_shard(some, paths[-1], small=True)
    return paths, count


def resized(shards: Iterable[Path | str], size_px: int) -> Iterator[Sample]:
    """Yields the samples of all shards, `size_px` on each side."""
    every = (sample for shard in shards for sample in read_shard(shard))
    return ((record, resize_sample(rgba, size_px, size_px)) for record, rgba in every)


def expanded(name: str) -> list[str]:
    """Lists shards by a name that may have braces, as in s3://bucket/set-{000000..000099}.tar, or a pattern.

    The name of a file that is there stands for that file, whatever signs are in it.

    Raises:
        FileError: no file fits the pattern.
    """
    # a file that is there is no pattern, whatever its name; `Path.exists` raises for names that are too long
    if "://" not in name and os.path.exists(name):  # noqa: PTH110
        return [name]
    if "{" in name:
        # imported here, because only names with braces need it
        from webdataset.shardlists import expand_urls

        names = list(expand_urls(name))
        # braces without a list or a range in them are signs like any other
        if names != [name]:
            return [each for brace in names for each in expanded(brace)]
    if "://" in name or not set("*?[") & set(name):
        return [name]
    paths = sorted(glob(name))  # noqa: PTH207 - Path.glob takes no absolute patterns
    if not paths:
        raise FileError(f"Expected shards that fit {name}, found none. Check the pattern.")
    return paths


def opened(shard: Path | str) -> io.BufferedIOBase:
    """Opens a shard as a seekable file; fetches a remote one whole, since its reader seeks in it.

    Raises:
        OSError: no such file.
        FileError: a remote one cannot be read.
    """
    if "://" not in str(shard):
        return Path(shard).open("rb")
    try:
        with fsspec.open(str(shard), "rb") as remote:
            return io.BytesIO(remote.read())  # type: ignore[union-attr]
    except Exception as error:
        raise FileError(
            f"{shard} cannot be read: {type(error).__name__}: {error}. Check the address, your "
            "credentials, and that the package which fsspec needs for it is installed."
        ) from error


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Adds a file without time or owner, so that the same samples give the same bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def read_shard(path: Path | str) -> Iterator[Sample]:
    """Yields the samples of a shard in its order.

    Raises:
        FileError: the file is absent or no shard.
    """
    # one image at a time, since a shard may be larger than memory
    for record, packed in read_packed(path):
        try:
            rgba = decoded(packed)
        except (OSError, ValueError) as error:
            raise FileError(
                f"{path} is no readable shard: {record.name}: {first_line(error)}. Make it with `pellucid "
                "data pull`."
            ) from error
        yield record, rgba


def decoded(packed: bytes) -> np.ndarray:
    """Decodes an image file to uint8 (h, w, 4), straight alpha."""
    return np.asarray(Image.open(io.BytesIO(packed)).convert("RGBA"))


def read_packed(path: Path | str) -> Iterator[tuple[Record, bytes]]:
    """Yields the samples of a shard in its order, each image as the file that it is.

    Raises:
        FileError: the shard is absent or none.
    """
    try:
        with opened(path) as file, tarfile.open(fileobj=file) as tar:
            # listed first, since in other people's shards a record may stand before or after its image
            members = {member.name: member for member in tar}
            for name in [name for name in members if name.endswith(".json")]:
                stem = name.removesuffix("json")
                if f"{stem}composite.png" in members:
                    raise FileError(
                        f"Expected single images in {path}, found scenes of layers. Read them as "
                        "docs/how-to/layer-triples.md does, or name a set of images."
                    )
                record = Record.from_json(json.loads(_content(tar, members[name])))
                member = members.get(f"{stem}png") or members[f"{stem}webp"]
                yield record, _content(tar, member)
    # `opened` has said already what is wrong with a remote shard
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(
            f"Expected a shard at {path}, found no file. Name a set of `pellucid data pull`, or a file "
            "or folder that is there."
        ) from None
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise FileError(
            f"{path} is no readable shard: {first_line(error)}. Make it with `pellucid data pull`."
        ) from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise FileError(
            f"{member.name} is no file in its shard. Make the shard again with `pellucid data pull`."
        )
    return file.read()
