"""Many captions for one plain image: the words by which people who do not know its label ask for it."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from pellucid.data.composing.subjects import UNCHANGED_GROUPS, Subject, View
from pellucid.data.composing.wordnet import WordNet
from pellucid.data.composing.words import JOINTS, head_of, with_article

MOST = 24
"""Captions of one image."""
SHARED = 3
"""A keyword of more subjects than this names none of them."""
FORMS = (
    "a picture of {a}",
    "an emoji of {a}",
    "an icon of {a}",
    "an image of {a}",
    "the {n}",
    "{n}, isolated",
    "{a} on a transparent background",
    "{n} icon",
    "{n} emoji",
    "{a}, isolated",
    "just {a}",
    "clip art of {a}",
)
"""Sentences around a name: {n} alone, {a} with its article."""


class Paraphraser:
    """Writes captions of plain images by what else the words of a set name.

    Args:
        subjects: all of the set, so that no name is given to two of them where one has it for a label.
        keyword_counts: how many subjects carry each keyword.
        wordnet: adds synonyms and definitions, and tells which keywords are names.
    """

    def __init__(
        self, subjects: Sequence[Subject], keyword_counts: Counter[str], wordnet: WordNet | None
    ) -> None:
        self._keyword_counts, self._wordnet = keyword_counts, wordnet
        named = (word for subject in subjects for word in (subject.label, subject.noun, *subject.names))
        self._taken = {word.lower() for word in named}
        self._heads = Counter(head_of(subject.noun).lower() for subject in subjects)
        self._cuts = Counter(_cut(subject.label) for subject in subjects)

    def captions(self, rng: np.random.Generator, subject: Subject, view: View) -> tuple[str, ...]:
        """Writes up to `MOST` captions, the label first and no two alike."""
        names = self.names(subject)
        label = subject.label
        sure = [label, with_article(label), subject.noun, with_article(subject.noun)]
        # every name once alone and once with its article: that is how people ask
        sure += [form for name in names for form in (name, with_article(name))]
        told = [self._definition(subject)] if self._definition(subject) else []
        loose = [*told, *self._lists(subject), *self._framed(rng, [subject.noun, *names])]
        every = list(dict.fromkeys([*sure[:16], *loose, *sure[16:]]))[:MOST]
        return tuple(caption + view.ending for caption in every)

    def names(self, subject: Subject) -> list[str]:
        """Lists what else a subject is called, the surest first, without label and noun."""
        # of people and smileys all words but the label name one gesture of many: "beard", "face"
        told_apart = subject.group not in UNCHANGED_GROUPS
        found = [*subject.names, *(self._shorter(subject) if told_apart else ())]
        if self._wordnet and (meaning := self._wordnet.meaning(subject.noun, subject.group)):
            found += [word for word in meaning.words if self._free(word)]
        found += [word for word in subject.keywords if told_apart and self._names(word, subject)]
        said = {subject.label, subject.noun}
        return [name for name in dict.fromkeys(found) if name not in said]

    def _free(self, word: str) -> bool:
        return word.lower() not in self._taken and bool(re.fullmatch(r"[A-Za-z][a-z' -]+", word))

    def _names(self, word: str, subject: Subject) -> bool:
        """Tells whether a keyword names this subject rather than tells something of it."""
        if not self._free(word) or self._keyword_counts[word.lower()] > SHARED:
            return False
        # "xmas tree", "spiderweb", "burger": made of the label's own words
        heads = {head_of(subject.noun).lower(), head_of(subject.label).lower()}
        alike = (word.lower() in head or head in word.lower() for head in heads if len(head) > 3)
        if len(word) > 3 and any(alike):
            return not word.endswith("s") and not word.endswith("ing")
        return bool(self._wordnet) and self._wordnet.names(word, subject.noun, subject.group)

    def _shorter(self, subject: Subject) -> list[str]:
        """Cuts off what is said of a thing: "magnifying glass" of "magnifying glass tilted left"."""
        cut, last = _cut(subject.label), head_of(subject.label)
        shorter = (
            [cut] if cut != subject.label and self._cuts[cut] <= 2 and " of " not in subject.label else []
        )
        # "phone" of "mobile phone", unless many end so
        if self._heads[last.lower()] <= 2 and len(last) > 2:
            shorter.append(last)
        return [word for word in shorter if word.lower() not in self._taken and word.isascii()]

    def _definition(self, subject: Subject) -> str:
        meaning = self._wordnet.meaning(subject.noun, subject.group) if self._wordnet else None
        return meaning.definition if meaning else ""

    def _lists(self, subject: Subject) -> list[str]:
        """Puts keywords beside the noun, the rarest first, since these tell most."""
        noun = subject.noun
        words = [word.replace("\xa0", " ") for word in subject.keywords if word.lower() not in noun.lower()]
        words = [word for word in dict.fromkeys(words) if re.fullmatch(r"[A-Za-z][A-Za-z -]+", word)]
        words = sorted(words, key=lambda word: self._keyword_counts[word.lower()])[:6]
        listed = [
            f"{noun}, {first}, {second}" for first, second in zip(words[::2], words[1::2], strict=False)
        ]
        joined = [f"{word} {noun}" for word in words[:2]] if len(noun.split(" ")) <= 2 else []
        return [*listed, *joined]

    def _framed(self, rng: np.random.Generator, names: Sequence[str]) -> list[str]:
        """Puts names into sentences drawn from `FORMS`."""
        forms: list[str] = [FORMS[i] for i in rng.permutation(len(FORMS))]
        return [
            form.format(n=names[place % len(names)], a=with_article(names[place % len(names)]))
            for place, form in enumerate(forms)
        ]


def _cut(label: str) -> str:
    return JOINTS.split(label, maxsplit=1)[0]
