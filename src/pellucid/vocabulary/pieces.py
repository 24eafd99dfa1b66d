"""Prompts in pieces: words, emoji, and what lies between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pellucid.vocabulary.names import is_letter, key_of, known

JOINERS = frozenset("\ufe0e\ufe0f\u200d\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
"""What is no character of its own: variation selectors, joiners, and skin tones, which no image has."""
ENDS = frozenset(",;.:!?|()/\n\u3001\u3002\uff0c")
"""Characters that end a phrase."""
TECHNICAL = frozenset("\\_@#$&=<>~^*")
"""Characters beside which a word is part of something else: an escape such as \\n, a file's name, a tag."""
LONGEST_EMOJI = 16
"""Characters, joiners among them."""
FIRST_EMOJI = "\u203c"
"""All letters of European scripts lie before it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, an emoji or what lies between."""

    text: str
    key: str = ""
    """Of a word, as the table has it."""
    emoji: str = ""
    """Name of an emoji."""
    fixed: bool = False
    """Whether a word is written like the name of a product or of a file: "iPhone", "LoRA", "sd15", "_cat"."""

    @property
    def ends_phrase(self) -> bool:
        """Tells whether another phrase begins behind it."""
        return not self.key and not self.emoji and not ENDS.isdisjoint(self.text)

    @property
    def is_nothing(self) -> bool:
        """Tells whether nothing is to be seen of it."""
        return not self.text.strip("".join(JOINERS) + " \t\n")


def split(prompt: str) -> list[Piece]:
    """Splits a prompt into pieces, which together are the prompt."""
    pieces: list[Piece] = []
    start = 0
    while start < len(prompt):
        end, name = _emoji_at(prompt, start)
        if name:
            pieces.append(Piece(prompt[start:end], emoji=name))
        else:
            end = start + 1
            while end < len(prompt) and _goes_on(prompt[start], prompt[end]):
                end += 1
            text = prompt[start:end]
            pieces.append(
                Piece(text, key=key_of(text).replace(" ", ""), fixed=_is_fixed(prompt, start, end))
                if _begins_word(text[0])
                else Piece(text)
            )
        start = end
    return pieces


def phrases(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Returns the words of each phrase, in their order."""
    found: list[list[Piece]] = [[]]
    for piece in pieces:
        if piece.ends_phrase:
            found.append([])
        elif piece.key:
            found[-1].append(piece)
    return [words for words in found if words]


def _begins_word(character: str) -> bool:
    return is_letter(character) and character not in JOINERS


def _goes_on(first: str, character: str) -> bool:
    if _is_flag(first):
        return _is_flag(character)
    if _begins_word(first):
        return _begins_word(character)
    return not is_letter(character) and character < "\u2000"


def _is_fixed(prompt: str, start: int, end: int) -> bool:
    text, before, after = prompt[start:end], prompt[:start], prompt[end:]
    mixed_case = text[1:].lower() != text[1:] and not text.isupper()
    # a dot with a letter right behind it is part of a name: "cat.png"
    dotted = before[-1:] == "." or (after[:1] == "." and after[1:2].isalnum())
    beside = before[-1:] in TECHNICAL or after[:1] in TECHNICAL
    return mixed_case or dotted or beside or any(character.isdigit() for character in text)


def _is_flag(character: str) -> bool:
    # flags are two of these
    return "\U0001f1e6" <= character <= "\U0001f1ff"


@cache
def _emoji_names() -> dict[str, str]:
    return {_bare_emoji(subject.emoji): subject.name for subject in known().subjects}


def _bare_emoji(text: str) -> str:
    return "".join(each for each in text if each not in JOINERS)


def _emoji_at(prompt: str, start: int) -> tuple[int, str]:
    """Returns where the longest known emoji at a place ends, and its name; "" where there is none."""
    if prompt[start] < FIRST_EMOJI:
        return start, ""
    names = _emoji_names()
    for end in range(min(len(prompt), start + LONGEST_EMOJI), start, -1):
        if name := names.get(_bare_emoji(prompt[start:end])):
            return end, name
    return start, ""
