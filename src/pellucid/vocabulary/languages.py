"""Words of other languages in a phrase: which language it is, and what its words mean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pellucid.vocabulary.names import NAME, english, known, no_slips, other_languages

LONGEST = 3
"""Words of a name in the table."""
LONG_NAME = 5
"""Letters of a name that is no mere chance in an English phrase."""
STEM = 3
"""Letters that an ending leaves at least."""
ENDINGS = {
    "de": "s e n r en er es em",
    "fr": "s x e es",
    "es": "s es",
    "pt": "s es",
    "nl": "s e en",
    "da": "er en et e r",
    "nb": "er en et e r",
    "sv": "ar or er en et n r a",
    "it": "i/o i/e e/a",
    "ru": "ы и а у и/а ы/а у/а ы/я и/я",
    "uk": "и і а у и/а і/а у/а",
    "ko": "가 는 은 를 을 이 의 와 과 도 들",
}
"""Of plurals and of declined words, and behind a stroke what stands in a dictionary in their place."""
AFTER_NOUNS = ("fr", "es", "it", "pt")
"""Languages that say colours after what has them."""
WITHOUT_SPACES = ("ja", "zh", "zh-hant", "th")
GRAMMAR = frozenset(("a", "the", "and", "with", "on", "in", "of", "made of", "two", "three", "four", ""))


@dataclass(frozen=True, slots=True)
class Match:
    """Words that are read as something else."""

    count: int
    meaning: str
    letters: int = 0
    """How many of the prompt's are understood."""


def read_phrase(words: Sequence[str], odd: frozenset[str], native: frozenset[str]) -> dict[int, Match]:
    """Returns what a phrase means in the language that has most of its words, by the place of the first word.

    A phrase is of one language: where English has one of its words and the other language has not, it is
    English, and only its words in other letters than Latin ones are read.

    Args:
        words: of the phrase, as `key_of` writes them.
        odd: those of them that are to be read.
        native: those that English has; the others are of no language, such as numbers.
    """
    best, most = dict[int, Match](), (False, 0, 0)
    # the first of equals: languages come in the order of their words in the phrase
    for language in _languages(words, odd):
        matches = dict(_matches(words, language))
        covered = {at + i for at, match in matches.items() for i in range(match.count)}
        whole = all(place in covered or word not in native for place, word in enumerate(words))
        if not whole:
            matches = {at: match for at, match in matches.items() if not is_latin(words[at])}
        if all(match.meaning in GRAMMAR for match in matches.values()):
            continue
        found = sum(match.letters for at, match in matches.items() if odd & set(words[at : at + match.count]))
        score = (whole, found, sum(match.letters for match in matches.values()))
        if score > most:
            most = score
            best = _colours_first(matches) if language in AFTER_NOUNS else matches
    return best


def named_abroad(word: str) -> str | None:
    """Returns what a word names in all languages that have it; None where they differ or there are none."""
    meanings = {meaning for meaning, mark in other_languages().get(word, {}).values() if mark == NAME}
    return meanings.pop() if len(meanings) == 1 and len(word) >= LONG_NAME else None


def is_latin(word: str) -> bool:
    """Tells whether a word begins with a letter of the Latin script, as English words do."""
    # the second block is mostly of Vietnamese
    return word[:1] < "\u0250" or "\u1e00" <= word[0] <= "\u1eff"


def _languages(words: Sequence[str], odd: frozenset[str]) -> list[str]:
    found: dict[str, None] = {}
    for place, word in enumerate(words):
        if word in odd:
            for text in (" ".join(words[place : place + count]) for count in range(LONGEST, 0, -1)):
                found |= dict.fromkeys(_meanings(text))
            if not has_spaces(word):
                found |= dict.fromkeys(WITHOUT_SPACES)
    return list(found)


def _matches(words: Sequence[str], language: str) -> Iterator[tuple[int, Match]]:
    place = 0
    while place < len(words):
        match = _match_at(words, place, language)
        if match:
            yield place, match
        place += match.count if match else 1


def _match_at(words: Sequence[str], place: int, language: str) -> Match | None:
    for count in range(min(LONGEST, len(words) - place), 0, -1):
        text = " ".join(words[place : place + count])
        meaning = _meanings(text).get(language)
        if meaning is not None:
            return Match(count, meaning, letters=len(text))
    return None if has_spaces(words[place]) else _segmented(words[place], language)


def _meanings(text: str) -> Mapping[str, str]:
    """Returns what a word means by language, its usual endings taken off where the word itself is in none."""
    table = other_languages()
    known_whole = text in no_slips()
    if text in table:
        # a word that the text encoder has met, as "mario", must name a thing to be read
        return {
            language: meaning
            for language, (meaning, mark) in table[text].items()
            if mark == NAME or not known_whole
        }
    found: dict[str, str] = {}
    for language, stem in () if known_whole else stems(text):
        # "iphones" is English where "iphone" is
        if (named := table.get(stem, {}).get(language)) and not (stem in english() and text == f"{stem}s"):
            found[language] = named[0]
    return found


def stems(word: str) -> Iterator[tuple[str, str]]:
    """Yields (language, what a dictionary may have in a word's place)."""
    for language, endings in ENDINGS.items():
        for each in endings.split():
            ending, _, instead = each.partition("/")
            stem = word.removesuffix(ending)
            if stem != word and (len(stem) >= STEM or not is_latin(word)):
                yield language, stem + instead


def has_spaces(word: str) -> bool:
    """Tells whether a word's script parts words by spaces: Thai, Chinese and Japanese do not."""
    return not any(
        "\u0e00" <= each <= "\u0e7f" or "\u3040" <= each <= "\u30ff" or "\u4e00" <= each <= "\u9fff"
        for each in word
    )


def _segmented(run: str, language: str) -> Match | None:
    """Takes the longest words out of a run of letters; what is left of it, as particles, is passed over."""
    table, meanings, place, letters = other_languages(), list[str](), 0, 0
    while place < len(run):
        for end in range(min(len(run), place + 12), place, -1):
            found = table.get(run[place:end], {}).get(language)
            if found:
                meanings += [found[0]] if found[0] else []
                letters += end - place
                break
        else:
            end = place + 1
        place = end
    return Match(1, " ".join(meanings), letters=letters) if meanings else None


def _colours_first(matches: Mapping[int, Match]) -> dict[int, Match]:
    """Exchanges a thing and the colour after it."""
    swapped, colours = dict(matches), known().colours
    for place, match in matches.items():
        after = place + match.count
        colour = matches.get(after)
        is_thing = match.meaning not in GRAMMAR and match.meaning not in colours
        if colour and colour.meaning in colours and is_thing:
            # as one, so that it is told as one
            swapped[place] = Match(match.count + colour.count, f"{colour.meaning} {match.meaning}")
            del swapped[after]
    return swapped
