"""The names that the embedded model was trained with, and the table that leads other words to them.

The table is `pellucid/mini/words.zip`, which `scripts/prompt_words.py` writes; its members are read when they
are first asked for.
"""

import json
import unicodedata
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO

from pellucid.errors import WeightsError

TABLE = "words.zip"
SHORT = 3
"""Letters of words in which an accent makes another word: Vietnamese "gà" is no misspelt "ga"."""
NAME, KEYWORD = "=", "~"
"""Marks of a meaning: the word is the name of the thing, or a keyword of it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing that the model can draw."""

    name: str
    group: str
    """Of Unicode's emoji, such as "animals"."""
    emoji: str
    also: tuple[str, ...]
    """Other names and keywords from its captions."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that captions of the training images name."""

    subjects: tuple[Subject, ...]
    scenes: tuple[str, ...]
    """Backgrounds of layers."""
    styles: tuple[str, ...]
    """Endings of captions: "a cat, flat icon"."""
    colours: tuple[str, ...]
    materials: tuple[str, ...]
    effects: tuple[str, ...]
    """Smoke, light, water and glass, which are rendered for training."""
    said: tuple[str, ...]
    """What else captions say: counts, and other words for materials and effects."""

    def words(self) -> Mapping[str, None]:
        """Returns every word, those of names first, then keywords."""
        texts = [subject.name for subject in self.subjects]
        texts += [*self.scenes, *self.styles, *self.colours, *self.materials, *self.effects, *self.said]
        texts += [text for subject in self.subjects for text in subject.also]
        return dict.fromkeys(word for text in texts for word in words_of(text))


def words_of(text: str) -> list[str]:
    """Splits a text into words as the table has them: folded, without accents on Latin letters."""
    return key_of(text).split()


def key_of(text: str) -> str:
    """Returns what spellings of a text have in common: case, hyphens and most accents make no other word."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = "".join(each if is_letter(each) else " " for each in folded).split()
    return " ".join(word if len(word) <= SHORT else "".join(map(_bare, word)) for word in words)


def is_letter(character: str) -> bool:
    """Tells whether a character is part of a word; vowel signs of Thai and Hindi are marks, no letters."""
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _bare(letter: str) -> str:
    # only of Latin letters: elsewhere a mark makes another letter
    plain = unicodedata.normalize("NFD", letter)
    return plain[0] if len(plain) > 1 and plain[0].isascii() else letter


@cache
def known() -> Known:
    """Reads the names.

    Raises:
        WeightsError: this installation has no table.
    """
    table = json.loads(_member("names.json"))
    return Known(
        subjects=tuple(
            Subject(name=row["name"], group=row["group"], emoji=row["emoji"], also=tuple(row["also"]))
            for row in table["subjects"]
        ),
        scenes=tuple(table["scenes"]),
        styles=tuple(table["styles"]),
        colours=tuple(table["colours"]),
        materials=tuple(table["materials"]),
        effects=tuple(table["effects"]),
        said=tuple(table["said"]),
    )


@cache
def name_words() -> Mapping[str, None]:
    """Returns every word of names and keywords, those of names first."""
    return known().words()


@cache
def english() -> frozenset[str]:
    """Returns English words, names among them, as `key_of` writes them."""
    return frozenset(_member("english.txt").split("\n"))


@cache
def no_slips() -> frozenset[str]:
    """Returns words that are not English and yet no slips, mostly names of people and places."""
    return frozenset(_member("no_slips.txt").split("\n"))


@cache
def other_languages() -> Mapping[str, Mapping[str, tuple[str, str]]]:
    """Returns what words and phrases of other languages mean: word -> language -> (English, mark)."""
    first, *lines = _member("other.txt").split("\n")
    languages = first.split("\t")[1:]
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for line in lines:
        meaning, *columns = line.split("\t")
        marked = {mark: (meaning, mark) for mark in (NAME, KEYWORD)}
        for language, column in zip(languages, columns, strict=True):
            for word in column.split("|") if column else ():
                found.setdefault(word[1:], {})[language] = marked[word[0]]
    return found


@cache
def _archive() -> bytes:
    path = files("pellucid") / "mini" / TABLE
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"Expected {TABLE} beside the embedded model, found {error.strerror}. "
            "Install pellucid from a wheel."
        ) from None


def _member(name: str) -> str:
    with zipfile.ZipFile(BytesIO(_archive())) as archive:
        return archive.read(name).decode("utf-8")
