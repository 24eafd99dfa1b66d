"""Names of the files that commands write: made from prompts, fit for every system, never taken twice."""

import contextlib
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.errors import FileError
from pellucid.files.names import RESERVED

if TYPE_CHECKING:
    from pellucid.apps.commands.inputs import Inputs
    from pellucid.scene.scene import Scene

MAX_NAME = 60
"""Longest stem of a file name that is made from a prompt, characters; prompts can be whole paragraphs."""


def stem_from(text: str) -> str:
    """Returns a file name without ending that is made from a text: `a-glass-bottle`; of 🐈, `cat`."""
    # \w keeps the letters of all alphabets: a prompt may be in any language
    stem = _words(text) or _words(_names_of_symbols(text)) or "picture"
    # file systems count bytes, at most 255, and a letter may have four
    while len(stem.encode()) > 4 * MAX_NAME:
        stem = stem[:-1]
    return f"{stem}-image" if RESERVED.fullmatch(stem) else stem


def _words(text: str) -> str:
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-_")[:MAX_NAME].strip("-_")


def _names_of_symbols(text: str) -> str:
    return " ".join(unicodedata.name(each, "") for each in text if unicodedata.category(each) == "So")


def numbered(path: Path, number: int) -> Path:
    """Adds a number to a file name: `honey.png` becomes `honey-001.png`."""
    # three digits, so that files in a folder sort as they were made
    return path.with_name(f"{path.stem}-{number:03d}{path.suffix}")


def default_path(prompt: str, extension: str = ".png") -> Path:
    """Returns an unused file name made from the prompt: `a-glass-bottle.png`, then `a-glass-bottle-2.png`."""
    return next(
        path
        for path in alternatives(Path(f"{stem_from(prompt)}{extension}"))
        # --count writes numbered files instead, which must not be overwritten either
        if not path.exists() and not numbered(path, 1).exists()
    )


def alternatives(path: Path) -> Iterator[Path]:
    """Yields a path, and then others for it: `honey.png`, `honey-2.png`, `honey-3.png`."""
    yield path
    for number in count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def write_result(target: Path, write: Callable[[Path], object], *, named: bool) -> Path:
    """Writes a file, and returns its path: one that was named replaces what is there, another never does."""
    if not named:
        return write_new(target, write)
    write(target)
    return target


def write_document(target: Path, scene: "Scene", inputs: "Inputs", *, named: bool, as_json: bool) -> None:
    """Writes a scene as `write_result` does, and prints its path, or with `as_json` what is in it."""
    target = write_result(target, scene.save, named=named)
    if not as_json:
        click.echo(target)
        return
    facts = {"path": str(target), "height": scene.height, "width": scene.width}
    facts |= {"layers": [layer.name for layer in reversed(scene.layers)], **inputs.said()}
    click.echo(json.dumps(facts, ensure_ascii=False))


def write_new(path: Path, write: Callable[[Path], object]) -> Path:
    """Writes a file under a name, or under the next one that is free, and returns which.

    The name is claimed in the moment of writing, so that two programs at once do not overwrite one another.

    Args:
        path: the name to try first.
        write: writes the file, in place of an empty one that holds the name.

    Raises:
        FileError: the folder may not be written.
    """
    for candidate in alternatives(path):
        try:
            os.close(os.open(candidate, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        except OSError as error:
            raise FileError(f"Cannot write {candidate}: {error.strerror}. Choose another with -o.") from None
        try:
            write(candidate)
        except BaseException:
            # an interrupted save leaves the empty file, which is worth nothing
            with contextlib.suppress(OSError):
                if candidate.stat().st_size == 0:
                    candidate.unlink()
            raise
        return candidate
    raise AssertionError
