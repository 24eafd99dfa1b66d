"""Checkpoints that survive kill -9: written beside the old one, flushed to the disk, then renamed over it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from pellucid.errors import FileError, PellucidError
from pellucid.files.atomic import open_atomically

NAME = "checkpoint.pt"


def save(state: dict[str, Any], folder: Path) -> Path:
    """Writes `state` to the folder's checkpoint, atomically.

    Raises:
        FileError: the disk is full or not writable; the last checkpoint is then still whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with open_atomically(folder / NAME) as file:
            torch.save(state, file)
    except (FileError, RuntimeError) as error:  # RuntimeError: torch's own for a full disk
        raise FileError(
            f"The checkpoint in {folder} could not be written: {error} The last one is whole."
        ) from error
    return folder / NAME


@contextmanager
def kept(folder: Path) -> Generator[None]:
    """Turns what writing into a run's folder may raise into one error, which tells where the run stands.

    Raises:
        FileError: the disk is full or not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.glob(f".{NAME}.*.part"):  # of a process that was killed while it wrote
        part.unlink(missing_ok=True)
    try:
        yield
    except PellucidError:
        raise
    except (OSError, SafetensorError) as error:
        raise FileError(
            f"The run in {folder} cannot go on, since it cannot write: {error}. Its last checkpoint is "
            "whole: make room, and the same command goes on."
        ) from error


def load(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, or None where there is none. Tensors and plain values only, no code."""
    path = folder / NAME
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
