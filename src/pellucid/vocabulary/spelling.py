"""Misspelt words: the name that is a slip of the keyboard away."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

SHORTEST = 4
"""Letters; shorter words are near too many others."""
MIDDLE = 5
"""From so many letters on, a wrong letter is a slip: below, "lora" would be "lord"."""
LONG = 7
"""From so many letters on, two slips are forgiven."""


class Speller:
    """Finds names near a word, by leaving out letters on both sides (Garbe 2012, symmetric deletion)."""

    def __init__(self, names: Iterable[str]) -> None:
        """Takes names in their order of preference."""
        self._ranks = {name: rank for rank, name in enumerate(names) if len(name) >= SHORTEST}
        self._by_part: dict[str, list[str]] = defaultdict(list)
        for name in self._ranks:
            for part in _parts(name):
                self._by_part[part].append(name)

    def nearest(self, word: str) -> str | None:
        """Returns the name with the fewest slips, the preferred one of several; None where none is near.

        One slip is a letter too many, too few, wrong, or exchanged with its neighbour, never the first one.
        The plural of a name is no slip.
        """
        if len(word) < SHORTEST or not word.isalpha():
            return None
        names = {name for part in _parts(word) for name in self._by_part.get(part, ())}
        ranked = [
            (slips, self._ranks[name], name)
            for name in names
            if name[0] == word[0] and (slips := distance(word, name)) <= _forgiven(word, name)
        ]
        return min(ranked)[2] if ranked else None


def distance(one: str, two: str) -> int:
    """Counts slips between two words: optimal string alignment."""
    before: list[int] = []
    row = list(range(len(two) + 1))
    for i, letter in enumerate(one):
        last, before, row = before, row, [i + 1]
        for j, other in enumerate(two):
            cost = min(before[j + 1] + 1, row[j] + 1, before[j] + (letter != other))
            if i and j and letter == two[j - 1] and one[i - 1] == other:
                cost = min(cost, last[j - 1] + 1)
            row.append(cost)
    return row[-1]


def _forgiven(word: str, name: str) -> int:
    """Returns how many slips may lie between two words."""
    if word == f"{name}s":
        return 0
    shorter = min(len(word), len(name))
    if shorter >= LONG:
        return 2
    wrong_letter = len(word) == len(name) and sorted(word) != sorted(name)
    return 0 if wrong_letter and shorter < MIDDLE else 1


def _parts(word: str) -> Iterator[str]:
    """Yields a word and what is left of it without one letter, or two where it is long."""
    once = {word[:i] + word[i + 1 :] for i in range(len(word))}
    yield word
    yield from once
    # a word one letter short of a long name needs only one letter left out
    if len(word) >= LONG:
        yield from {part[:i] + part[i + 1 :] for part in once for i in range(len(part))} - once
