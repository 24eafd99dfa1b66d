"""What a model is scored on: the vocabulary it was trained for, named sets, folders of images."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypedDict

import numpy as np

from pellucid.data.datasets import TRANSPARENT, shards_of
from pellucid.data.emoji import GROUPS, LEFT_OUT
from pellucid.data.records import captions
from pellucid.data.shards import Sample, read_shard
from pellucid.errors import ConfigError, FileError, InputError, first_line
from pellucid.files.images import read_rgba
from pellucid.files.tables import is_table
from pellucid.rgba.resizing import resize_sample
from pellucid.rgba.types import RGBA8

log = logging.getLogger(__name__)
VOCABULARY = "vocabulary.json"
"""Beside a model: the JSON of its `Vocabulary`."""
ENDINGS = (".png", ".webp", ".avif", ".tif", ".tiff")
"""Of formats that keep alpha; a JPEG would score as opaque."""
OPAQUE_ENDINGS = (".jpg", ".jpeg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Which subjects a model was trained on."""

    sets: tuple[str, ...] = TRANSPARENT
    """Names of `pellucid data pull`, or paths of shards; the preferred style first."""
    groups: tuple[str, ...] = tuple(group for group in GROUPS if group not in LEFT_OUT)
    """Emoji groups in the order in which subjects were taken from them."""
    subjects: int = 0
    """How many subjects. 0 is all."""
    first_subjects: tuple[str, ...] = ()
    """Labels that came before all others."""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.groups) - set(GROUPS)):
            raise ConfigError(f"No group is called {unknown[0]!r}. Choose from {', '.join(GROUPS)}.")
        if not self.sets or not self.groups or self.subjects < 0:
            raise ConfigError(
                f"Expected sets, groups and 0 or more subjects, found {len(self.sets)} sets, "
                f"{len(self.groups)} groups and {self.subjects} subjects. Name at least one of each."
            )


class _Document(TypedDict, total=False):
    """`vocabulary.json`, with the fields of `Vocabulary`."""

    sets: list[str]
    groups: list[str]
    subjects: int
    first_subjects: list[str]


def read_vocabulary(
    path: Path | None,
    *,
    sets: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    subjects: int | None = None,
) -> Vocabulary:
    """Reads `vocabulary.json`; without the file, the defaults hold.

    Args:
        path: the file, or the folder that may hold one, or None for neither.
        sets: replace the file's, if there are any.
        groups: replace the file's, if there are any.
        subjects: replaces the file's, unless it is None.

    Raises:
        ConfigError: damaged, an unknown field, or a value of another type.
    """
    fields_of_file: _Document = (
        {} if path is None or _absent(path) else _read(path / VOCABULARY if path.is_dir() else path)
    )
    usual = Vocabulary()
    # options that a command was not given arrive as None or (), and leave the file's values
    return Vocabulary(
        sets=sets or tuple(fields_of_file.get("sets", usual.sets)),
        groups=groups or tuple(fields_of_file.get("groups", usual.groups)),
        subjects=fields_of_file.get("subjects", usual.subjects) if subjects is None else subjects,
        first_subjects=tuple(fields_of_file.get("first_subjects", usual.first_subjects)),
    )


def _absent(path: Path) -> bool:
    return path.is_dir() and not (path / VOCABULARY).is_file()


def _read(file: Path) -> _Document:
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{file} is no readable vocabulary: {first_line(error)}. Write it as JSON."
        ) from None
    _check(file, values)
    return values


def _check(file: Path, values: object) -> None:
    kinds = {field.name: int if field.name == "subjects" else list for field in fields(Vocabulary)}
    wrong = sorted(set(values) - set(kinds)) if is_table(values) else [type(values).__name__]
    if wrong or not is_table(values):
        raise ConfigError(f"Expected {', '.join(kinds)} in {file}, found {wrong[0]}. Mend the file.")
    for name, value in values.items():
        texts = not isinstance(value, list) or all(isinstance(entry, str) for entry in value)
        # bool is an int to Python, but true is no number of subjects
        if not isinstance(value, kinds[name]) or isinstance(value, bool) or not texts:
            raise ConfigError(
                f"Expected {name} in {file} as {'a number' if kinds[name] is int else 'a list of texts'}, "
                f"found {value!r:.40}. Mend the file."
            )


def read_samples(vocabulary: Vocabulary, *, held_out: bool | None = None) -> list[Sample]:
    """Reads the images of the vocabulary's sets and groups.

    `held_out` None takes all, True only the held-out ones, False only the others.

    Raises:
        ConfigError: there is none.
        FileError: a set cannot be fetched or read.
    """
    samples = [
        (record, rgba)
        for name in vocabulary.sets
        for shard in shards_of(name)
        for record, rgba in read_shard(shard)
        if held_out in (None, record.held_out) and record.group in vocabulary.groups
    ]
    if not samples:
        raise ConfigError(
            f"No {'held-out ' if held_out else ''}images in {', '.join(vocabulary.sets)} are in "
            f"{', '.join(vocabulary.groups)}. Name other sets or groups."
        )
    return samples


def read_folder(folder: Path) -> dict[str, RGBA8]:
    """Reads the images of a folder by their names, in the order of these.

    Raises:
        InputError: there is none.
        FileError: one cannot be read.
    """
    return {path.name: read_rgba(path) for path in files_of(folder)}


def files_by_stem(folder: Path, endings: Sequence[str] = ENDINGS) -> dict[str, Path]:
    """Lists the files of a folder by their names without ending; arguments and errors of `files_of`.

    Raises:
        InputError: two files differ in their endings alone, and taking one would be a silent choice.
    """
    found: dict[str, Path] = {}
    for path in files_of(folder, endings):
        if path.stem in found:
            raise InputError(
                f"Expected one file of each name in {folder}, found {found[path.stem].name} and {path.name}. "
                "Move one elsewhere."
            )
        found[path.stem] = path
    return found


def files_of(folder: Path, endings: Sequence[str] = ENDINGS) -> list[Path]:
    """Lists the files of a folder with certain endings, in any case, sorted.

    JPEG files that are not asked for are told, since a format without alpha is easily taken for one that has.

    Raises:
        InputError: there is none, or a name that is no text and could not stand in a result.
        FileError: the folder cannot be read.
    """
    try:
        every = sorted(folder.iterdir())
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise FileError(
            f"Expected a folder of images in {folder}, found {first_line(error)}. Name another."
        ) from error
    paths = [path for path in every if path.suffix.lower() in endings]
    if not paths:
        raise InputError(f"Expected {', '.join(endings)} files in {folder}, found none. Name another.")
    for path in paths:
        if (shown := path.name.encode("utf-8", "replace").decode()) != path.name:
            raise InputError(f"Expected names in UTF-8 in {folder}, found {shown}. Rename the file.")
    opaque = [path.name for path in every if path.suffix.lower() in OPAQUE_ENDINGS]
    if opaque and OPAQUE_ENDINGS[0] not in endings:
        log.warning("%s: %d JPEG files have no alpha and were left out, such as %s.",
                    folder, len(opaque), opaque[0])  # fmt: skip
    return paths


def resized(samples: Sequence[Sample], height: int, width: int) -> list[RGBA8]:
    """Returns the images of the samples at one size, px."""
    return [np.ascontiguousarray(resize_sample(rgba, height, width)) for _, rgba in samples]


def spread(samples: Sequence[Sample], count: int) -> list[tuple[str, int]]:
    """Picks `count` captions, evenly spread over all captions of the samples.

    Returns:
        Caption and index of the sample that it asks for.
    """
    # of captions, not of subjects: those with more captions are asked for more often, as in training
    every = [
        (text, index) for index, (record, _) in enumerate(samples) for text in captions(record, plain=True)
    ]
    return [every[place * len(every) // count] for place in range(count)]
