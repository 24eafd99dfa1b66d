"""Shards in WebDataset's layout: straight RGBA as PNG or lossless WebP, a `Record` as JSON beside it."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pellucid.data.records import Record
from pellucid.errors import FileError
from pellucid.rgba.atomic import open_atomically

Sample = tuple[Record, np.ndarray]
"""A record and its picture: uint8 (h, w, 4), straight alpha."""


def write_shard(samples: Iterable[Sample], path: Path, *, small: bool = False) -> int:
    """Writes samples to one tar file, atomically, and returns how many there were.

    The same samples give the same bytes: times and owners are left out.

    Args:
        samples: what to write.
        path: the tar file.
        small: WebP, a quarter smaller, instead of PNG, which is faster and which everything reads.

    Raises:
        FileError: the folder refuses or the disk is full; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with open_atomically(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for record, rgba in samples:
            count += 1
            picture, kind = io.BytesIO(), "webp" if small else "png"
            Image.fromarray(rgba, "RGBA").save(picture, kind, lossless=True)
            add_member(tar, f"{record.name}.{kind}", picture.getvalue())
            add_member(tar, f"{record.name}.json", json.dumps(record.to_json(), sort_keys=True).encode())
    return count


def pack(shards: Iterable[Path], size_px: int, path: Path) -> int:
    """Writes all samples of `shards` to one small shard, `size_px` on each side; returns their number."""
    every = (sample for shard in shards for sample in read_shard(shard))
    resized = ((record, resize_rgba(rgba, size_px, size_px)) for record, rgba in every)
    return write_shard(resized, path, small=True)


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Adds a file without time or owner, so that the same samples give the same bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def read_shard(path: Path) -> Iterator[Sample]:
    """Yields the samples of a shard in its order.

    Raises:
        FileError: the file is absent or no shard.
    """
    try:
        with tarfile.open(path) as tar:
            members = {member.name: member for member in tar}
            for name in [name for name in members if name.endswith(".json")]:
                record = Record.from_json(json.loads(_content(tar, members[name])))
                stem = name.removesuffix("json")
                member = members.get(f"{stem}png") or members[f"{stem}webp"]
                picture = Image.open(io.BytesIO(_content(tar, member)))
                yield record, np.asarray(picture.convert("RGBA"))
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise FileError(
            f"{path} is no readable shard: {error}. Make it with `pellucid data pull`."
        ) from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise FileError(
            f"{member.name} is no file in its shard. Make the shard again with `pellucid data pull`."
        )
    return file.read()


def resize_rgba(rgba: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrinks or grows a straight RGBA picture without dark or coloured fringes.

    Args:
        rgba: uint8 (h, w, 4).
        height: rows wanted, px.
        width: columns wanted, px.

    Returns:
        uint8 (height, width, 4), straight alpha; colour is 0 where alpha is 0.
    """
    if rgba.shape[:2] == (height, width):
        return rgba
    values = rgba.astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255
    shrinks = height * width < rgba.shape[0] * rgba.shape[1]
    values = cv2.resize(
        values, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    )
    alpha = np.clip(values[..., 3:], 0, 255)
    colour = np.divide(values[..., :3] * 255, alpha, out=np.zeros_like(values[..., :3]), where=alpha >= 0.5)
    return np.rint(np.clip(np.concatenate([colour, alpha], axis=-1), 0, 255)).astype(np.uint8)
