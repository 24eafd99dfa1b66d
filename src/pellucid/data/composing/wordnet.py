"""Synonyms and short definitions from WordNet, as Debian packages it.

WordNet 3.0 copyright 2006 by Princeton University; its licence allows any use that keeps this notice.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pellucid.data.package_archives import Archive, fetch, read_archive

WORDNET = Archive(
    "wordnet-base", "1:3.0-37", "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752", "deb"
)
ATTRIBUTION = "words of WordNet 3.0, Princeton University"
FOLDER = "./usr/share/wordnet/"
# Numbers of files of lexicographers (lexnames(5WN)): animals, artefacts, bodies, food, objects, people,
# phenomena, plants, substances.
ANIMAL, ARTEFACT, BODY, FOOD, OBJECT, PERSON, PHENOMENON, PLANT, SUBSTANCE = 5, 6, 8, 13, 17, 18, 19, 20, 27
BY_GROUP = {
    "animals": (ANIMAL, PLANT),
    "food": (FOOD, PLANT, ARTEFACT),
    "travel": (ARTEFACT, OBJECT, PHENOMENON),
    "activities": (ARTEFACT,),
    "objects": (ARTEFACT, OBJECT, SUBSTANCE),
    "people": (PERSON, BODY),
}
"""Where the words of an emoji group are looked for."""
HYPERNYM_SIGNS = ("@", "@i")
LONGEST = 12
"""Words of a definition that one still takes in."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One sense of a noun."""

    words: tuple[str, ...]
    definition: str
    """Empty where it is longer than a caption."""
    file: int
    above: tuple[str, ...]
    """What it is a kind of."""


class WordNet:
    """Nouns of things that one can see."""

    def __init__(self, index: str, data: str) -> None:
        """Reads the text of `index.noun` and `data.noun`."""
        self._meanings: dict[str, Meaning] = {}
        for line in data.splitlines():
            head, bar, gloss = line.partition(" | ")
            fields = head.split(" ")
            # the licence stands before, each line of it begun by two spaces
            if bar and not line.startswith(" "):
                words = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2])
                above = tuple(
                    fields[place + 1] for place in range(len(fields)) if fields[place] in HYPERNYM_SIGNS
                )
                self._meanings[fields[0]] = Meaning(words, _short(gloss), int(fields[1]), above)
        self._senses: dict[str, list[str]] = {}
        for line in index.splitlines():
            if not line.startswith(" "):
                word, _, senses, *rest = line.split()
                # the senses of a word stand last, the most frequent first
                self._senses[word.replace("_", " ")] = rest[-int(senses) :]

    def meaning(self, noun: str, group: str) -> Meaning | None:
        """Returns the most frequent meaning that a thing of an emoji group can have."""
        sense = self._sense(noun, group)
        return self._meanings[sense] if sense else None

    def names(self, word: str, noun: str, group: str) -> bool:
        """Tells whether a word names a kind of what a noun names, or what that is a kind of."""
        sense = self._sense(noun, group)
        # mallards are ducks, and a necktie is a tie; neither a sauce nor a store is a jar
        return bool(sense) and any(
            each == sense or each in self._above(sense) or sense in self._above(each)
            for each in self._first(word)
        )

    def _first(self, word: str) -> list[str]:
        # a third sense is rarely what a word alone brings to mind
        return self._senses.get(word.lower(), [])[:3]

    def _sense(self, noun: str, group: str) -> str:
        files = BY_GROUP.get(group, ())
        return next((each for each in self._first(noun) if self._meanings[each].file in files), "")

    def _above(self, sense: str) -> set[str]:
        near = self._meanings[sense].above
        return {*near, *(far for each in near for far in self._meanings[each].above)}


def fetch_wordnet(folder: Path) -> Path:
    """Fetches the package into `folder` unless it is there, and returns its path.

    Raises:
        FileError: it cannot be fetched, or is not the pinned one.
    """
    return fetch(WORDNET, folder)


def read_wordnet(path: Path) -> WordNet:
    """Reads the nouns of the package.

    Raises:
        FileError: a machine without dpkg, which opens it.
    """
    files = read_archive(path)
    return WordNet(files[f"{FOLDER}index.noun"].decode(), files[f"{FOLDER}data.noun"].decode())


def _short(gloss: str) -> str:
    # examples follow in quotes, further remarks after a semicolon
    text = re.sub(r"\([^)]*\)", "", gloss.split("; ")[0].split('"')[0]).strip(" ;:,")
    text = re.sub(r"\s+", " ", text)
    return text if 3 <= len(text.split(" ")) <= LONGEST else ""
