"""Checkpoints that survive kill -9: written beside the old one, flushed to the disk, then renamed over it.

A checkpoint holds the recipe that its weights were trained by, so that another one cannot export them.
"""

import pickle
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NotRequired, TypedDict, TypeGuard

import torch
from safetensors import SafetensorError
from torch import Tensor

from pellucid.errors import ConfigError, FileError, PellucidError, WeightsError, first_line
from pellucid.files.atomic import open_atomically
from pellucid.files.tables import is_table
from pellucid.training.recipe import Recipe


class State(TypedDict):
    """Everything that the next step depends on."""

    modules: dict[str, dict[str, Tensor]]
    optimizers: dict[str, dict[str, object]]
    average: dict[str, Tensor]
    step: int
    elapsed_s: float
    recipe: NotRequired[object]
    """Plain values in tables; absent in checkpoints from before recipes were kept."""


NAME = "checkpoint.pt"
MAY_CHANGE = frozenset({
    # how long, and how often something is written down
    "steps", "minutes", "save_every_s", "log_every", "sample_every", "score_count",
    # how it is computed, not what
    "compile", "channels_last", "gradient_checkpointing", "model.cache",
    # how the export is written
    "model.name", "model.format", "model.bits",
})  # fmt: skip
"""Fields of a recipe that may differ when a run is resumed; the weights are the recipe's with any of them."""
SHOWN = 5
"""Differing fields that an error names."""


def save(state: Mapping[str, object], folder: Path) -> Path:
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
    # what a killed process had begun is as large as a checkpoint, and would fill the disk
    for part in folder.glob(f".{NAME}.*.part"):
        part.unlink(missing_ok=True)
    try:
        yield
    # some of ours are OSErrors too, and say already what to do
    except PellucidError:
        raise
    except (OSError, SafetensorError) as error:
        raise FileError(
            f"The run in {folder} cannot go on, since it cannot write: {first_line(error)}. Its last "
            "checkpoint is whole: make room, and the same command goes on."
        ) from error


def load(folder: Path) -> State | None:
    """Returns the folder's checkpoint, or None where there is none. Tensors and plain values only, no code.

    Raises:
        WeightsError: it is damaged.
    """
    return _read(folder, mapped=False)


def check_recipe(folder: Path, recipe: Recipe, state: State | None = None) -> None:
    """Refuses a recipe that is not the one by which a folder's checkpoint was trained.

    Args:
        folder: of the run.
        recipe: that is asked for now.
        state: the checkpoint, where it has been read already.

    Raises:
        ConfigError: they differ in more than `MAY_CHANGE`; the message has each field's old and new value.
            Or the checkpoint has taken more steps than the recipe now asks for.
        WeightsError: the checkpoint is damaged.
    """
    state = _read(folder, mapped=True) if state is None else state
    if state is None:
        return
    # absent in checkpoints from before recipes were kept
    if (saved := state.get("recipe")) is not None:
        _check_values(folder, recipe, saved)
    with fitting(folder):
        step = int(state["step"])
    if step > recipe.steps:
        raise ConfigError(
            f"Expected {step} steps or more, which {folder} has taken already, found {recipe.steps}. Set "
            "more, or train into another folder."
        )


def _check_values(folder: Path, recipe: Recipe, saved: object) -> None:
    if not is_table(saved):
        raise _damaged(folder, f"a recipe of {type(saved).__name__}")
    changed = [line for name, line in differences(saved, recipe.plain()) if name not in MAY_CHANGE]
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise ConfigError(
            f"Expected the recipe by which {folder} was trained, found other values: "
            f"{'; '.join(changed[:SHOWN])}{more}. Set them back, or train into another folder."
        )


def is_finished(folder: Path, recipe: Recipe) -> bool:
    """Tells whether a folder's run has come to its recipe's end; one without a checkpoint counts as that.

    Raises:
        WeightsError: the checkpoint is damaged.
    """
    state = _read(folder, mapped=True)
    if state is None:
        return True
    with fitting(folder):
        # of recipes that give a time, the time that all runs together took
        in_time = recipe.minutes and float(state["elapsed_s"]) >= 60 * recipe.minutes
        return int(state["step"]) >= recipe.steps or bool(in_time)


def differences(
    old: Mapping[str, object], new: Mapping[str, object], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Yields the dotted name of each field that differs, and a text with both values.

    Args:
        old: plain values, tables in tables.
        new: the same of the other recipe.
        prefix: of the names.
    """
    # in their order, each once: a field may have come or gone between versions
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if is_table(before) and is_table(after):
            yield from differences(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}", f"{prefix}{name} {before!r} → {after!r}"


@contextmanager
def fitting(folder: Path) -> Generator[None]:
    """Turns what loading a checkpoint's parts raises into one error.

    Raises:
        WeightsError: a part is missing or has another shape.
    """
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(folder, first_line(error)) from error


def _read(folder: Path, *, mapped: bool) -> State | None:
    path = folder / NAME
    if not path.exists():
        return None
    try:
        # to the CPU, since a run may go on without the GPU that it began on; mapped where only the recipe is
        # read, so that the weights stay on the disk
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError, ValueError, KeyError) as error:
        raise _damaged(folder, first_line(error)) from error
    if not _is_state(state):
        raise _damaged(folder, type(state).__name__)
    return state


def _is_state(found: object) -> TypeGuard[State]:
    # what is in it is checked by those who load it, see `fitting`
    return isinstance(found, dict)


def _damaged(folder: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"Expected a whole checkpoint of this run in {folder / NAME}, found {reason}. "
        "Put a copy of it back, or delete it to start again."
    )
