"""What sets show, as things that captions can name: subjects with their images and their words."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pellucid.data.composing.words import head_of, plural
from pellucid.data.records import Record
from pellucid.data.shards import Sample
from pellucid.rgba.types import RGBA8

SQUARE = 0.86
"""From this share of visible pixels on, an image is a scene and no thing that stands free."""
SOFT = 0.25
"""From this `Record.soft` on, a thing is translucent already, and takes no other material."""
CUT_OFF = 0.15
"""From this share of solid pixels along one side of an image on, a thing is cut off there."""
TOO_FINE = re.compile(
    r"o’clock|-thirty|moon\b|\b(?:person|man|woman|men|women|people|family|hands?|index) .*"
    r"|\b(?:hands?|palms|thumbs|fist|fingers|horns|salute|gesture)\b"
)
"""Clocks are told apart by their time, and people and hands by what they do: too fine among other things."""
UNCHANGED_GROUPS = ("people", "smileys")
"""Groups that are never given another colour or material."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One image of a subject."""

    record: Record
    rgba: RGBA8
    ending: str
    """What captions add: nothing for the image that is meant when nobody asks for a style."""

    @property
    def cut_off(self) -> bool:
        """Tells whether the thing goes on beyond its image, so that it cannot stand elsewhere."""
        solid = self.rgba[..., 3] > 200
        return max(float(line.mean()) for line in (solid[0], solid[-1], solid[:, 0], solid[:, -1])) > CUT_OFF


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A thing, every image of it, and how it is called."""

    label: str
    noun: str
    """Everyday name; the label itself where there is none."""
    names: tuple[str, ...]
    """Other everyday names."""
    keywords: tuple[str, ...]
    group: str
    views: tuple[View, ...]
    """The default one first, at most one a style."""
    several: str
    """Plural of the noun; empty where nobody counts it."""
    thing: bool
    """Whether it stands free, so that it may be counted, placed and put beside others."""

    @property
    def changeable(self) -> bool:
        """Tells whether it may take another colour or material."""
        return self.thing and self.group not in UNCHANGED_GROUPS and self.views[0].record.soft < SOFT


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What subjects.toml says."""

    words: dict[str, tuple[str, ...]]
    scenes: frozenset[str]
    uncounted: frozenset[str]


@cache
def vocabulary() -> Vocabulary:
    """Reads the table of everyday words."""
    table = tomllib.loads((files("pellucid.data.composing") / "subjects.toml").read_text(encoding="utf-8"))
    return Vocabulary(
        words={label: tuple(words) for label, words in table["words"].items()},
        scenes=frozenset(table["scenes"]["labels"]),
        uncounted=frozenset(table["uncounted"]["heads"]),
    )


def noun_of(label: str) -> str:
    """Returns how composed captions call a subject."""
    return vocabulary().words.get(label, (label,))[0]


def subjects_of(samples: Sequence[Sample], default: Iterable[int]) -> list[Subject]:
    """Gathers the images of each subject.

    Args:
        samples: images with their records, all of one size.
        default: indices of the images that are meant when nobody names a style, one a subject; subjects
            come in their order.
    """
    by_label: dict[str, list[Sample]] = {}
    for record, rgba in samples:
        by_label.setdefault(record.label, []).append((record, rgba))
    return [_subject(samples[index], by_label[samples[index][0].label]) for index in default]


def _subject(default: Sample, all_of_it: Sequence[Sample]) -> Subject:
    record, rgba = default
    views = [View(record, rgba, "")]
    styles = {record.style}
    for other, image in all_of_it:
        if other.style and other.style not in styles:
            styles.add(other.style)
            views.append(View(other, image, f", {other.style}"))
    known = vocabulary()
    noun, *names = known.words.get(record.label, (record.label,))
    thing = _is_thing(record, noun, rgba)
    counted = thing and head_of(noun) not in known.uncounted
    several = (plural(noun) if counted else None) or ""
    return Subject(
        record.label, noun, tuple(names), record.keywords, record.group, tuple(views), several, thing
    )


def _is_thing(record: Record, noun: str, rgba: RGBA8) -> bool:
    label = record.label
    plain_words = re.fullmatch(r"[A-Za-z][A-Za-z’'-]*(?: [a-z’'-]+){0,3}", noun)
    visible = float((rgba[..., 3] > 127).mean())
    return (
        bool(plain_words)
        and not TOO_FINE.search(label)
        and label not in vocabulary().scenes
        and 0.02 < visible < SQUARE
    )


def shared_counts(records: Iterable[Record]) -> Counter[str]:
    """Counts for every keyword how many subjects carry it."""
    words_of = {record.label: {word.lower() for word in record.keywords} for record in records}
    return Counter(word for words in words_of.values() for word in words)
