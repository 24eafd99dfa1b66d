"""Layer modes of a model's own, told by its adapter files: what `pellucid train layers` wrote."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError, safe_open

from pellucid.errors import WeightsError
from pellucid.pipelines.modes import MODES, Codec, Condition, Mode, Output, Role, Task
from pellucid.weights.adapter_files import ABOUT, CODEC

Kind = tuple[frozenset[str], frozenset[str]]
"""Roles that a file makes, and roles that it is shown."""


def _kind(makes: str, shown: str = "") -> Kind:
    roles = {role[0]: role for role in get_args(Role)}
    return frozenset(roles[letter] for letter in makes), frozenset(roles[letter] for letter in shown)


OWN = None
"""The model's single layer."""
WAYS: dict[Task, tuple[tuple[Kind | None, ...], ...]] = {
    "joint": (
        (_kind("fbc"),), (_kind("fb"),), (OWN, _kind("bc", "f")), (_kind("b"), _kind("f", "b")),
        (OWN, _kind("b", "f")), (OWN, _kind("c", "f"), _kind("b", "fc")), (OWN, _kind("b")),
    ),
    "foreground_on": (
        (_kind("fc", "b"),), (_kind("f", "b"),), (_kind("c", "b"), _kind("f", "bc")),
    ),
    "background_for": (
        (_kind("bc", "f"),), (_kind("b", "f"),), (_kind("c", "f"), _kind("b", "fc")), (_kind("b"),),
    ),
    "split_foreground": ((_kind("f", "bc"),),),
    "split_background": ((_kind("b", "fc"),),),
}  # fmt: skip
"""Task -> ways to do it, the best first, by the first letters of what each file makes and is shown."""


def layer_tasks(folder: Path, own: Mode) -> dict[Task, tuple[Mode, ...]]:
    """The tasks that the layer adapters in `folder` can do, over the single layer's adapter.

    Raises:
        WeightsError: a file is damaged, or says something of itself that no adapter here is.
    """
    modes: dict[Kind | None, Mode] = {OWN: own}
    for path in sorted(folder.glob("*.safetensors")):
        if about := _about(path):
            mode = _mode(path, about, own)
            shown = frozenset(condition.role for condition in mode.conditions)
            modes[frozenset(output.role for output in mode.outputs), shown] = mode
    tasks: dict[Task, tuple[Mode, ...]] = {}
    for task, ways in WAYS.items():
        found = (tuple(modes[kind] for kind in way) for way in ways if all(kind in modes for kind in way))
        if (way := next(found, None)) is not None:
            tasks[task] = way
    return tasks


def _mode(path: Path, about: Mapping[str, Any], own: Mode) -> Mode:
    below = path.with_name(f"{about['over']}.safetensors") if about.get("over") else None
    frames: list[Role] = about["frames"]
    hints = [Condition(role=role, entry="attention-hint") for role in filter(None, [about.get("hint")])]
    concat = [Condition(role=role, entry="channel-concat") for role in about.get("concat", ())]
    return replace(
        own,
        name=f"{own.name}-{path.stem}",
        title=f"{', '.join(frames)} together",
        adapter=(below, path) if below else path,
        conditions=(*hints, *concat),
        outputs=tuple(Output(role=role, transparent=role == "foreground") for role in frames),
    )


def codec_in(path: Path) -> Codec | None:
    """The released codec that an adapter's file names; None where it names none."""
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


def _about(path: Path) -> Mapping[str, Any] | None:
    text = _metadata(path).get(ABOUT)
    try:
        about = None if text is None else json.loads(text)
    except ValueError:
        about = text  # refused below
    roles = get_args(Role)
    if about is not None and not (
        isinstance(about, dict)
        and about.get("frames")
        and all(role in roles for role in (*about["frames"], *about.get("concat", ())))
        and about.get("hint") in ("", None, *roles)
    ):
        raise WeightsError(
            f"Expected frames of {', '.join(roles)} and a hint in {path}, found {str(about)[:200]}. "
            "Train it with `pellucid train layers`."
        )
    return about
