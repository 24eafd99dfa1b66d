"""Checkpoints that survive kill -9: written beside the old one, flushed to the disk, then renamed over it."""

import os
from pathlib import Path
from typing import Any

import torch

from pellucid.errors import FileError

NAME = "checkpoint.pt"


def save(state: dict[str, Any], folder: Path) -> Path:
    """Writes `state` to the folder's checkpoint, atomically.

    Raises:
        FileError: the disk is full or not writable; the last checkpoint is then still whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{NAME}.part"
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / NAME)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise FileError(
            f"The checkpoint in {folder} could not be written: {error}. "
            "Free some space; the last one is whole."
        ) from error
    return folder / NAME


def load(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, or None where there is none. Tensors and plain values only, no code."""
    path = folder / NAME
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
