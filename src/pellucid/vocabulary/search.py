"""Looking up names: those that a text says, in any words that prompts may have."""

from pellucid.vocabulary.names import Subject, key_of, known, words_of
from pellucid.vocabulary.reading import read_prompt


def find(text: str) -> list[Subject]:
    """Returns the subjects that a text names, best first: by name, by a part of it, by keyword.

    Args:
        text: as a prompt, so emoji, other languages and misspelt words too.
    """
    wanted = key_of(read_prompt(text).text)
    ranked = [
        (rank, place) for place, it in enumerate(known().subjects) if (rank := _rank(it, wanted)) is not None
    ]
    return [known().subjects[place] for _, place in sorted(ranked)]


def _rank(subject: Subject, wanted: str) -> int | None:
    name, also = words_of(subject.name), [key_of(text) for text in subject.also]
    if wanted == " ".join(name):
        return 0
    words = set(wanted.split())
    if not words:
        return None
    if words <= set(name):
        return 1
    return 2 if wanted in also else None
