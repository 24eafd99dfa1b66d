"""Tensors that are the same in every run, such as latents and text states, made once and kept on disk."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import click
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pellucid.data.datasets import cache_folder
from pellucid.data.shard_index import stamp
from pellucid.errors import FileError
from pellucid.files.atomic import open_atomically

NAME = "value"
FORMAT = 1
"""To be raised when the code that makes cached tensors starts to make others."""


def cached(
    folder: Path | None, key_parts: Sequence[object], make: Callable[[], Tensor], *, label: str = "latents"
) -> Tensor:
    """Returns the tensor that `make` returns, from disk where it was made before.

    It is mapped into memory, not read: pages come in as rows are taken, and processes of one machine share
    them. A file that is not whole is made again. Of two processes that make the same at once each writes a
    file of its own, and the last one's stays; they are equal.

        key = [*map(file_key, weights), *shard_keys(recipe), recipe.size_px, "opaque", settings]
        latents = cached(None, key, lambda: encode_all(images), label="latents")

    Args:
        folder: where it is kept. None is `latents` in the user's cache.
        key_parts: everything that decides the content, as plain values: `file_key` of each weights file,
            `shard_keys` of the data, the size in pixels, the settings.
        make: makes it, on any device.
        label: what it is, for the file's name and the message about its size.

    Returns:
        The tensor on the CPU, not to be written to; copied to a GPU, it is the GPU's as usual.

    Raises:
        FileError: it cannot be written.
    """
    folder = folder or cache_folder() / "latents"
    key = json.dumps([FORMAT, label, *key_parts], sort_keys=True, default=str)
    path = folder / f"{label}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    if (tensor := _mapped(path)) is not None:
        return tensor
    value = make().detach().cpu().contiguous()
    size_mb = value.numel() * value.element_size() / 1e6
    click.echo(f"{label}: {tuple(value.shape)}, {size_mb:.1f} MB, kept as {path}", err=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True, exist_ok=True)
    with open_atomically(path) as file:
        file.write(save({NAME: value}))
    del value  # so that it is in memory once
    if (tensor := _mapped(path)) is None:
        raise FileError(f"{path} cannot be read back. Check the disk, or delete the file.")
    return tensor


def _mapped(path: Path) -> Tensor | None:
    try:
        with safe_open(path, framework="pt") as file:  # pyright: ignore[reportUnknownVariableType]
            return file.get_tensor(NAME)
    except (OSError, SafetensorError):
        return None


def file_key(path: Path) -> str:
    """Returns what decides a file's content: its hash, read once in a process for each size and time."""
    about = path.stat()
    # size and time are part of the key of `_hash`, so a file that changed is read again
    return _hash(path.resolve(), about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_key(folder: Path) -> list[tuple[str, str]]:
    """Returns `file_key` of all files in a folder, such as a text encoder's, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path.relative_to(folder)), file_key(path)) for path in files]


def shard_keys(shards: Sequence[str]) -> list[str]:
    """Returns what distinguishes shards from earlier ones of their names: sizes, and times or tags."""
    return [stamp(shard) for shard in shards]
