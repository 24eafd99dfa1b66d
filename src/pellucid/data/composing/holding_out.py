"""Which pairs of words are kept for measuring what was learned: a tenth, by a hash, the same in every set."""

from pellucid.data.composing.subjects import noun_of
from pellucid.data.recolouring import held_out as words_held_out


def held_out(subject: str, attribute: str) -> bool:
    """Tells whether a subject is never shown with an attribute.

    Args:
        subject: its label or its everyday noun; of a label both count, since one may ask by either.
        attribute: a colour, a material (key of `MATERIALS`), or a number in words.
    """
    return any(words_held_out(word, attribute) for word in {subject, noun_of(subject)})


def held_out_pair(first: str, second: str) -> bool:
    """Tells whether two subjects, by label or noun, are never shown together, in whichever order."""
    return words_held_out(*sorted((noun_of(first), noun_of(second))))
