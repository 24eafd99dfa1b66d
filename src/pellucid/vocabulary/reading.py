"""Prompts in the words that the embedded model knows: emoji, other languages and misspelt words are read.

English words are never changed, whatever they are: the text encoder knows more of them than the names have.
Nor are words written like names: "LoRA", "iPhone", "Paris", "cat.png".
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from pellucid.vocabulary.languages import Match, named_abroad, read_phrase
from pellucid.vocabulary.names import english, name_words, no_slips, words_of
from pellucid.vocabulary.pieces import Piece, phrases, split
from pellucid.vocabulary.spelling import Speller

APOSTROPHES = ("'", "\u2019")
SMALL_WORDS = frozenset(
    words_of(
        "a an the and or of in on at by to from for with without no not is are one two three four five "
        "some any my your small big little large picture image icon style background transparent nice"
    )
)
"""Words that say nothing of what is to be seen, though names have them."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt, and in which words the model gets it."""

    prompt: str
    text: str
    """What the text encoder is given; the prompt itself where nothing is to be read otherwise."""
    read: tuple[tuple[str, str], ...]
    """(what stands in the prompt, what it is read as)."""
    unknown: tuple[str, ...]
    """Words and characters that neither names nor text encoder know."""
    far: bool
    """Whether no word is a name or keyword of anything that the model can draw."""


@lru_cache(1024)
def read_prompt(prompt: str) -> Reading:
    """Reads a prompt.

    Args:
        prompt: any text.

    Raises:
        WeightsError: this installation has no table of words.
    """
    pieces = split(prompt)
    matches, unknown = _read_words(pieces)
    text, read = _written(pieces, matches)
    if not text:
        # words without a meaning of their own, such as the French "des"
        text, read = prompt, []
    unknown += _unknown_characters(pieces)
    far = not any(word in name_words() and word not in SMALL_WORDS for word in words_of(text))
    return Reading(
        prompt=prompt,
        text=text,
        read=tuple(read),
        unknown=tuple(dict.fromkeys(unknown)),
        far=far and bool(prompt.strip()),
    )


def is_english(word: str) -> bool:
    """Tells whether English has a word, as `key_of` writes it."""
    return word in english() or (len(word) == 1 and word.isascii())


def _read_words(pieces: Sequence[Piece]) -> tuple[dict[int, Match], list[str]]:
    """Returns what words mean, by the place of the first among all words, and those that nobody knows."""
    matches, unknown = dict[int, Match](), list[str]()
    start = 0
    for phrase in phrases(pieces):
        words = [piece.key for piece in phrase]
        in_english = frozenset(piece.key for piece in phrase if not piece.fixed and is_english(piece.key))
        odd = frozenset(piece.key for piece in phrase if not piece.fixed) - in_english
        found = read_phrase(words, odd, in_english) if odd else {}
        # what is left of a phrase in another language is no misspelt English
        if not found:
            found = _slips(phrase, odd, first=not start)
        covered = {at + i for at, match in found.items() for i in range(match.count)}
        unknown += [
            word
            for at, word in enumerate(words)
            if word in odd and at not in covered and word not in no_slips()
        ]
        matches |= {start + at: match for at, match in found.items()}
        start += len(words)
    return matches, unknown


@cache
def _speller() -> Speller:
    return Speller(name_words())


def _slips(phrase: Sequence[Piece], odd: frozenset[str], *, first: bool) -> dict[int, Match]:
    """Returns the names that odd words stand for: "an elefant" is German for one, "a buterfly" misspelt.

    Words with capitals are names of their own, but for the first word of a prompt.
    """
    return {
        at: Match(1, name)
        for at, piece in enumerate(phrase)
        if piece.key in odd
        and piece.key not in no_slips()
        and (piece.text.islower() or (first and at == 0))
        and not piece.text.isupper()
        and (name := named_abroad(piece.key) or _speller().nearest(piece.key))
    }


def _unknown_characters(pieces: Sequence[Piece]) -> list[str]:
    """Returns emoji and symbols that have no name here."""
    return [
        piece.text.strip()
        for piece in pieces
        if not piece.key
        and not piece.emoji
        and any(unicodedata.category(each) in ("So", "Cn", "Co") for each in piece.text)
    ]


def _written(pieces: Sequence[Piece], matches: dict[int, Match]) -> tuple[str, list[tuple[str, str]]]:
    """Writes the prompt with all matches in place, and tells what was read as what."""
    parts, read = list[str](), list[tuple[str, str]]()
    index, place = 0, 0
    while index < len(pieces):
        piece = pieces[index]
        match = matches.get(place) if piece.key else None
        end = index + 1 if match is None else _end(pieces, index, match.count)
        original = "".join(each.text for each in pieces[index:end])
        if match:
            parts.append(match.meaning)
            read.append((original, match.meaning))
        elif piece.emoji:
            parts.append(_emoji_in_text(piece.emoji, pieces[:index], "".join(parts)))
            read.append((original, piece.emoji))
        elif original in APOSTROPHES and matches.get(place - 1):
            # what was elided before it is a word now
            parts.append(" ")
        elif not piece.is_nothing or original.isspace():
            parts.append(original)
        place += (match.count if match else 1) if piece.key else 0
        index = end
    return (_tidy("".join(parts)), read) if read else ("".join(piece.text for piece in pieces), read)


def _end(pieces: Sequence[Piece], index: int, count: int) -> int:
    """Returns the piece behind `count` words from a piece on."""
    while count:
        count -= bool(pieces[index].key)
        index += 1
    return index


def _emoji_in_text(name: str, before: Sequence[Piece], text: str) -> str:
    """Returns an emoji's name as it stands behind a text, where two emoji are two things."""
    if text.rstrip().casefold().endswith(name):
        return " "
    seen = [piece for piece in before if not piece.is_nothing]
    return f" and {name} " if seen and seen[-1].emoji else f" {name} "


def _tidy(text: str) -> str:
    """Leaves one space between words, and writes "an" where it belongs."""
    words = " ".join(text.split()).replace(" ,", ",").split(" ")
    # a name after "a" that begins so is one with "an", but for "unicorn" and the like
    return " ".join(
        "an" if word == "a" and after[:1].lower() in tuple("aeio") else word
        for word, after in zip(words, [*words[1:], ""], strict=True)
    )
