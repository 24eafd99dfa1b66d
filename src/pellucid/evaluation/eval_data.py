"""What a model is scored on: the vocabulary it was trained for, named sets, folders of images."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypedDict

import numpy as np

from pellucid.data.datasets import TRANSPARENT, shards_of
from pellucid.data.emoji import GROUPS, LEFT_OUT
from pellucid.data.records import captions
from pellucid.data.shards import Sample, read_shard
from pellucid.errors import ConfigError, InputError
from pellucid.files.images import read_rgba
from pellucid.files.tables import is_table
from pellucid.rgba.resizing import resize_sample
from pellucid.rgba.types import RGBA8

VOCABULARY = "vocabulary.json"
"""Beside a model: the JSON of its `Vocabulary`."""
# Formats that keep alpha; a JPEG would score as opaque.
ENDINGS = (".png", ".webp", ".avif", ".tif", ".tiff")


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
        raise ConfigError(f"{file} is no readable vocabulary: {error}. Write it as JSON.") from None
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
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not paths:
        raise InputError(f"Expected {', '.join(ENDINGS)} images in {folder}, found none. Name another.")
    return {path.name: read_rgba(path) for path in paths}


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
