"""The folder of a run: one plan, one command at a time, and nothing of anybody else's in it."""

import contextlib
import json
from collections.abc import Generator, Mapping
from pathlib import Path

from pellucid.data.ingest.files import exists, file_system_of, read_file, write_file
from pellucid.errors import FileError, InputError, first_line
from pellucid.files.locks import locked_folder

PLAN = "plan.json"


@contextlib.contextmanager
def claimed(folder: str, asked: Mapping[str, object]) -> Generator[None]:
    """Makes a folder a run's own until the block ends: writes its plan, or compares it with the one there.

    Other commands on this machine are kept out meanwhile. On an object store nothing can keep them out.

    Args:
        folder: path or URL of the set; new, empty, or of an earlier run by the same plan.
        asked: what decides on the result, as plain JSON values.

    Raises:
        InputError: the folder holds another plan or other files, or another command is writing into it.
        FileError: it cannot be made or read.
    """
    if not folder:
        # what follows would write to the root of the disk
        raise InputError("Expected a folder to write to, found an empty name. Name it with -o.")
    with contextlib.ExitStack() as stack:
        if "://" not in folder:
            stack.enter_context(locked_folder(Path(folder)))
        _compare(folder, asked)
        yield


def _compare(folder: str, asked: Mapping[str, object]) -> None:
    place = f"{folder}/{PLAN}"
    # names with a dot are left behind by file managers, and by us where a run was killed while writing
    others = [name for name in _names(folder) if name != PLAN and not name.startswith(".")]
    if not exists(place):
        if others:
            # a run replaces and removes files by their names, which may be somebody's
            raise InputError(
                f"Expected a new or empty folder, or one of an earlier run, found {', '.join(others[:3])} in "
                f"{folder}. Write to another folder."
            )
    # compared field by field, so that the message can say what is different
    elif not (differing := _differing(place, asked)):
        return
    # without results it is of a run that failed at once, as over a model's misspelt name
    elif others:
        raise InputError(
            f"Expected {folder} to hold an earlier run of this command, found one of another: "
            f"{', '.join(differing)} {'differs' if len(differing) == 1 else 'differ'}. Ask for the same, or "
            "write to another folder."
        )
    write_file(place, json.dumps(asked, indent=1, sort_keys=True).encode())


def _differing(place: str, asked: Mapping[str, object]) -> list[str]:
    try:
        there = dict(json.loads(read_file(place)))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"Expected the plan of an earlier run in {place}, found {first_line(error)}. Write to another "
            "folder."
        ) from None
    return sorted(name for name in asked.keys() | there.keys() if asked.get(name) != there.get(name))


def _names(folder: str) -> list[str]:
    try:
        file_system, path = file_system_of(folder)
        found = file_system.find(path, maxdepth=1, withdirs=True)
    except Exception as error:  # file systems have errors of their own
        raise FileError(
            f"Cannot list {folder}: {type(error).__name__}: {first_line(error)}. Check the address and your "
            "credentials."
        ) from error
    # some file systems list the folder itself, and some end folders with a slash
    names = {each.strip("/").removeprefix(path.strip("/")).strip("/") for each in found}
    return sorted(names - {""})
