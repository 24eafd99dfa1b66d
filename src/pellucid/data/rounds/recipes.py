"""Writes the recipe of the next training: a given one, or a small one, with the new training set in it."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pellucid.errors import FileError, first_line
from pellucid.files.tables import is_list, is_table


def next_recipe(
    data: Sequence[str], classes: Sequence[str], *, template: Path | None = None, adapter: str = ""
) -> str:
    """Returns a recipe (TOML) of stage `transparent` that trains on `data`.

    Args:
        data: sets and shards.
        classes: groups of the kept images; a template that chooses among groups gets them as well.
        template: recipe to change. None is a LoRA over the embedded model's transparent adapter.
        adapter: file with which the images were made, "" for none. Training goes on from it; by a template
            only if that has a field `init_adapter`.

    Raises:
        FileError: the template is no TOML, or has no table [transparent].
    """
    recipe = _read(template) if template else _small_recipe()
    stage = recipe.get("transparent")
    if not is_table(stage):
        raise FileError(f"Expected a table [transparent] in {template}, found none. Choose another recipe.")
    model = stage.get("model")
    if is_table(model) and "init_adapter" in model:
        model["init_adapter"] = adapter
    # the stage's own data would win over that of all stages
    stage.pop("data", None)
    recipe["data"] = list(data)
    for table in (recipe, stage):
        groups = table.get("groups")
        if is_list(groups) and groups:
            table["groups"] = list(dict.fromkeys([*groups, *classes]))
    return to_toml(recipe)


def to_toml(values: Mapping[str, object]) -> str:
    """Returns texts, numbers, lists of them and tables as TOML that `tomllib` reads back the same."""
    return "\n".join(_lines(values, ())) + "\n"


def _small_recipe() -> dict[str, object]:
    return {
        "init": Path(str(files("pellucid") / "mini")).as_posix(),
        "size_px": 128,
        "groups": [],
        "transparent": {
            "steps": 2000,
            "batch_size": 16,
            "learning_rate": 1e-4,
            "model": {
                "name": "screened",
                "base_adapter": "transparent",
                "init_adapter": "",
                "method": "lora",
                "rank": 16,
            },
        },
    }


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(
            f"{path} is no readable recipe: {first_line(error)}. See recipes/ for working ones."
        ) from error


def _lines(values: Mapping[str, object], above: tuple[str, ...]) -> list[str]:
    lines = [f"{_key(name)} = {_value(value)}" for name, value in values.items() if not is_table(value)]
    for name, value in values.items():
        if is_table(value):
            path = (*above, _key(name))
            lines += ["", f"[{'.'.join(path)}]", *_lines(value, path)]
    return lines


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else json.dumps(name)


def _value(value: object) -> str:
    if is_list(value):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, bool | int | float):
        # JSON writes true, 1 and 1e-05 as TOML does; not so inf and nan, whose spelling is Python's repr
        return json.dumps(value) if isinstance(value, bool) else repr(value)
    return json.dumps(str(value), ensure_ascii=False)
