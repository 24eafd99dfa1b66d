"""Where the parts of a model lie: in its folder or, where that is a light one, in the model below it.

A light folder holds what was trained, and names the model below in `base_model.json`, in the words of PEFT's
`adapter_config.json`: a LoRA of 10 MB over a model of 7 GB is a folder of 10 MB. A part that it lacks is the
other model's (docs/decisions/019-light-folders.md).
"""

import json
from importlib.resources import files
from pathlib import Path

from pellucid.errors import WeightsError, first_line
from pellucid.files.atomic import write_atomically
from pellucid.files.tables import is_table

MINI = "mini"
FILE = "base_model.json"
FIELD = "base_model_name_or_path"


def model_folder(model: str | Path) -> Path | None:
    """Returns the folder of the embedded model, or the one that is named; None for what only a hub has.

    Raises:
        WeightsError: this installation has no embedded model.
    """
    folder = mini_folder() if str(model) == MINI else Path(model)
    return folder if folder.is_dir() else None


def mini_folder() -> Path:
    """Returns the folder of the embedded model; raises WeightsError where this installation has none."""
    folder = Path(str(files("pellucid") / MINI))
    if not (folder / "model_index.json").is_file():
        raise WeightsError(
            f"Expected the embedded model in {folder}, found none. Install pellucid from a wheel."
        )
    return folder


def write_base_model(folder: Path, base: str) -> None:
    """Makes a folder light: writes which model lies below it.

    Args:
        folder: made if absent.
        base: "mini", a hub id, or a folder, which is written with its whole path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / FILE, json.dumps({FIELD: whole_name(base)}, indent=1).encode())


def whole_name(model: str) -> str:
    """Returns the name of a model that means the same from anywhere: of a folder its whole path."""
    return Path(model).resolve().as_posix() if Path(model).is_dir() else model


def base_model(folder: Path) -> str | None:
    """Returns the model below a light folder as `pellucid.load` takes it; None for any other folder.

    A path that is not whole is meant from the folder.

    Raises:
        WeightsError: the file is damaged, or names a folder that is not there.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"Expected JSON in {file}, found {first_line(error)}. Write it again.") from None
    base = values.get(FIELD) if is_table(values) else None
    if not isinstance(base, str) or not base:
        raise WeightsError(f"Expected {FIELD} in {file}, found none. Write the model's name or folder there.")
    if (folder / base).is_dir():
        return str(folder / base)
    # a name on the hub has one slash, and does not begin with it or a dot
    if base.count("/") > 1 or base.startswith((".", "/")):
        raise WeightsError(
            f"Expected the model below {folder} at {base}, found no folder. Put its place into {FILE}."
        )
    return base


def folders_below(folder: Path) -> tuple[Path, ...]:
    """Returns a folder and those of the models below it that are folders, the uppermost first.

    Raises:
        WeightsError: see `base_model`; or folders name each other in a circle.
    """
    found = [folder]
    while (base := base_model(found[-1])) is not None:
        below = model_folder(base)
        if below is None:
            break
        if below.resolve() in [each.resolve() for each in found]:
            raise WeightsError(f"Expected a model below {folder}, found itself. Correct {FILE}.")
        found.append(below)
    return tuple(found)


def lowest_model(folder: Path) -> str:
    """Returns the model at the bottom, as `pellucid.load` takes it; raises as `folders_below` does."""
    last = folders_below(folder)[-1]
    return base_model(last) or str(last)


def find_part(folder: Path, name: str) -> Path:
    """Returns a part of a model, a folder or a file: its own, else that of the model below.

    Where there is none the path is that within `folder`, for whoever opens it to say that it is absent.
    """
    places = [each / name for each in folders_below(folder)]
    return next((place for place in places if place.exists()), places[0])
