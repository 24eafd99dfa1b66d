"""Layer modes of a model's own, told by its adapter files: what `pellucid train layers` wrote."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError, safe_open

from pellucid.errors import WeightsError
from pellucid.pipelines.modes import Condition, Mode, Output, Role, Task

ABOUT = "pellucid"
"""Key of the file's metadata: JSON with `frames`, `hint` and `over`."""
TASK_OF: dict[str, Task] = {"": "joint", "background": "foreground_on", "foreground": "background_for"}
"""Role of the hint -> what the frames are made for."""


def layer_tasks(folder: Path, own: Mode) -> dict[Task, tuple[Mode, ...]]:
    """The tasks that the layer adapters in `folder` can do, over the single layer's adapter.

    Raises:
        WeightsError: a file is damaged, or says something of itself that no adapter here is.
    """
    tasks: dict[Task, tuple[Mode, ...]] = {}
    known = {path: about for path in sorted(folder.glob("*.safetensors")) if (about := _about(path))}
    for path, about in sorted(known.items(), key=lambda item: len(item[1]["frames"])):
        hint = about["hint"]
        over = own.source if about.get("over") else None
        below = over if isinstance(over, tuple) else (over,) if over else ()
        mode = replace(
            own,
            name=f"{own.name}-{path.stem}",
            title=f"{', '.join(about['frames'])} together",
            adapter=(*below, path),
            conditions=(Condition(role=hint, entry="attention-hint"),) if hint else (),
            outputs=tuple(Output(role=role, transparent=role == "foreground") for role in about["frames"]),
        )
        if about["frames"] == ["background"] and not hint:  # made alone, after the foreground
            tasks |= {"joint": (own, mode), "background_for": (mode,)}
        else:
            tasks[TASK_OF[hint]] = (mode,)
    return tasks


def _about(path: Path) -> Mapping[str, Any] | None:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(ABOUT)
        about = None if text is None else json.loads(text)
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(
            f"Expected an adapter in {path}, found {str(error)[:200]}. Fetch or train it again."
        ) from None
    roles = get_args(Role)
    if about is not None and not (
        isinstance(about, dict)
        and about.get("hint") in TASK_OF
        and about.get("frames")
        and all(role in roles for role in about["frames"])
    ):
        raise WeightsError(
            f"Expected frames of {', '.join(roles)} and a hint in {path}, found {str(about)[:200]}. "
            "Train it with `pellucid train layers`."
        )
    return about
