"""Discovers the layer modes of a model's folder by its adapter files: what `pellucid train layers` wrote."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, TypeGuard, get_args

from safetensors import SafetensorError, safe_open

from pellucid.errors import WeightsError
from pellucid.files.tables import is_table
from pellucid.pipelines.modes import MODES, Codec, Condition, Mode, Output, Role, Task, resolve_source
from pellucid.weights.adapter_files import ABOUT, CODEC

ROLES: tuple[Role, ...] = get_args(Role)
Roles = frozenset[Role]
Ability = tuple[Roles, Roles]
"""Roles that a file makes, and roles that it is shown."""


class _About(TypedDict):
    """What a layer adapter's file says of itself, in JSON."""

    frames: list[Role]
    hint: NotRequired[Role | Literal[""] | None]
    concat: NotRequired[list[Role]]
    over: NotRequired[str]
    """Name of the adapter that it goes over."""


def _makes(*roles: Role, shown: tuple[Role, ...] = ()) -> Ability:
    return frozenset(roles), frozenset(shown)


SINGLE = None
"""The model's single layer."""
TASK_RECIPES: dict[Task, tuple[tuple[Ability | None, ...], ...]] = {
    "joint": (
        (_makes("foreground", "background", "composite"),),
        (_makes("foreground", "background"),),
        (SINGLE, _makes("background", "composite", shown=("foreground",))),
        (_makes("background"), _makes("foreground", shown=("background",))),
        (SINGLE, _makes("background", shown=("foreground",))),
        (
            SINGLE,
            _makes("composite", shown=("foreground",)),
            _makes("background", shown=("foreground", "composite")),
        ),
        (SINGLE, _makes("background")),
    ),
    "foreground_on": (
        (_makes("foreground", "composite", shown=("background",)),),
        (_makes("foreground", shown=("background",)),),
        (
            _makes("composite", shown=("background",)),
            _makes("foreground", shown=("background", "composite")),
        ),
    ),
    "background_for": (
        (_makes("background", "composite", shown=("foreground",)),),
        (_makes("background", shown=("foreground",)),),
        (
            _makes("composite", shown=("foreground",)),
            _makes("background", shown=("foreground", "composite")),
        ),
        (_makes("background"),),
    ),
    "split_foreground": ((_makes("foreground", shown=("background", "composite")),),),
    "split_background": ((_makes("background", shown=("foreground", "composite")),),),
}
"""Task -> ways to do it, the best first: what each file of a way makes, and what it is shown."""


def discover_tasks(folders: Sequence[Path], single: Mode) -> dict[Task, tuple[Mode, ...]]:
    """Finds the tasks that layer adapters can do, over the single layer's adapter.

    Args:
        folders: of adapters; of two files of one name that in the first folder counts.
        single: the mode of the single layer.

    Raises:
        WeightsError: a file is damaged, or says something of itself that no adapter here is.
    """
    modes: dict[Ability | None, Mode] = {SINGLE: single}
    # the first folder last, and its files sorted: of two that can do the same always the same one is taken
    found = {path.name: path for folder in reversed(folders) for path in sorted(folder.glob("*.safetensors"))}
    for path in found.values():
        # a file without a description is a single layer's, and no part of any task
        if about := _about(path):
            mode = _mode(path, about, single, found)
            makes: Roles = frozenset(output.role for output in mode.outputs)
            conditions: Roles = frozenset(condition.role for condition in mode.conditions)
            modes[makes, conditions] = mode
    tasks: dict[Task, tuple[Mode, ...]] = {}
    for task, recipes in TASK_RECIPES.items():
        possible = (
            tuple(modes[ability] for ability in recipe)
            for recipe in recipes
            if all(ability in modes for ability in recipe)
        )
        if (best := next(possible, None)) is not None:
            tasks[task] = best
    return tasks


def _mode(path: Path, about: _About, single: Mode, files: Mapping[str, Path]) -> Mode:
    name = f"{over}.safetensors" if (over := about.get("over")) else None
    # one that is absent is told when the layer is asked for
    below = files.get(name, path.with_name(name)) if name else None
    frames, hint = about["frames"], about.get("hint")
    hints = [Condition(role=hint, entry="attention-hint")] if hint else []
    concat = [Condition(role=role, entry="channel-concat") for role in about.get("concat", ())]
    return replace(
        single,
        name=f"{single.name}-{path.stem}",
        title=f"{', '.join(frames)} together",
        adapter=(below, path) if below else path,
        conditions=(*hints, *concat),
        outputs=tuple(Output(role=role, transparent=role == "foreground") for role in frames),
    )


def adapters_of(path: Path, *folders: Path) -> Path | tuple[str | Path, Path]:
    """Returns an adapter's file, after the one that it goes over if it says so.

    Args:
        path: the file.
        folders: of adapters, where the lower one is sought if it does not lie beside the file. One that is
            nowhere may be a released mode's.

    Raises:
        WeightsError: the file is damaged, or the lower one is absent.
    """
    # a file that is absent is told by who opens it
    about = _about(path) if path.is_file() else None
    over = about.get("over") if about else None
    if not over:
        return path
    places = [place / f"{over}.safetensors" for place in (path.parent, *folders)]
    below = next((place for place in places if place.is_file()), None)
    if below is None and over in MODES and isinstance(released := MODES[over].adapter, str):
        return resolve_source(released), path
    if below is None:
        raise WeightsError(
            f"Expected {over}.safetensors, over which {path.name} was trained, in {path.parent}, found none. "
            "Copy it there, or load the model that it was trained on."
        )
    return below, path


def codec_of_adapter(path: Path) -> Codec | None:
    """Returns the released codec that an adapter's file names; None where it names none."""
    name = _metadata(path).get(CODEC)
    return MODES[name].codec if name in MODES else None


def _metadata(path: Path) -> Mapping[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"Expected an adapter in {path}, found {str(error)[:200]}. Fetch or train it again."
        ) from None


def _about(path: Path) -> _About | None:
    text = _metadata(path).get(ABOUT)
    try:
        about = None if text is None else json.loads(text)
    except ValueError:
        about = text  # refused below
    if about is not None and not _is_about(about):
        raise WeightsError(
            f"Expected frames of {', '.join(ROLES)} and a hint in {path}, found {str(about)[:200]}. "
            "Train it with `pellucid train layers`."
        )
    return about


def _is_about(found: object) -> TypeGuard[_About]:
    if not is_table(found) or found.get("hint") not in ("", None, *ROLES):
        return False
    frames, concat = found.get("frames"), found.get("concat", [])
    return bool(frames) and _are_roles(frames) and _are_roles(concat)


def _are_roles(found: object) -> TypeGuard[list[Role]]:
    return isinstance(found, list) and all(role in ROLES for role in found)
