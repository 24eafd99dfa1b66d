"""Kinds of composed images: what is done to which things, and the sentences that say it."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

import numpy as np

from pellucid.data.composing.colouring import painted
from pellucid.data.composing.holding_out import held_out, held_out_pair
from pellucid.data.composing.materials import MATERIALS, made_of
from pellucid.data.composing.placing import (
    Premultiplied,
    blank,
    cut_out,
    finished,
    fitted,
    lay,
    lay_in,
    mirrored,
    places,
)
from pellucid.data.composing.relations import any_relation
from pellucid.data.composing.subjects import Subject, View
from pellucid.data.composing.words import NUMBERS, article, with_article
from pellucid.data.recolouring import COLOURS
from pellucid.rgba.types import RGBA8, AnyArray

TAKEN = {
    *COLOURS,
    *(word for row in MATERIALS.values() for words in row.adjectives for word in words.split()),
}
"""Words of colours and materials: a noun that has one of them is given no other."""
GROUP_SHARES = {
    "animals": 0.28,
    "food": 0.20,
    "objects": 0.25,
    "travel": 0.13,
    "activities": 0.08,
    "people": 0.03,
    "smileys": 0.03,
}
"""How often a subject is of an emoji group; of other groups as often as `Chances` says."""
OTHER_STYLE_SHARE = 1 / 3
"""Share of images in another style than the default one."""
PAIR_CHANGED = 0.6
"""Share of pairs of which at least one thing is given a colour or material."""
APART = 0.85
"""Share of counts whose things do not touch."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A composed image and what it was made of."""

    captions: tuple[str, ...]
    rgba: RGBA8
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """A subject in one image, perhaps in another colour or material."""

    subject: Subject
    view: View
    rgba: RGBA8
    before: str = ""
    """Words before the noun: "red", "blue glass"."""
    after: str = ""
    """Words after it: "made of gold"."""

    @property
    def named(self) -> str:
        """Returns "red apple", or "apple made of gold"."""
        return f"{self.before} {self.subject.noun} {self.after}".strip()

    @property
    def asked(self) -> str:
        """Returns the same with its article."""
        return with_article(self.named)

    @property
    def several(self) -> str:
        """Returns "red apples", or "apples made of gold"."""
        return f"{self.before} {self.subject.several} {self.after}".strip()

    @property
    def piece(self) -> Premultiplied:
        return cut_out(self.rgba)


class Chances:
    """Subjects, of which those are drawn more often that people ask for."""

    def __init__(self, subjects: Sequence[Subject]) -> None:
        self._subjects = subjects
        count = Counter(subject.group for subject in subjects)
        # short names first: "cat" is asked for more often than "face with diagonal mouth"
        weights = (
            GROUP_SHARES.get(subject.group, 0.1) / count[subject.group] / len(subject.noun.split(" ")) ** 0.5
            for subject in subjects
        )
        self._ends = list(accumulate(weights))

    def draw(self, rng: np.random.Generator) -> Subject | None:
        """Draws a subject; None of none."""
        if not self._subjects:
            return None
        return self._subjects[bisect_right(self._ends, rng.random() * self._ends[-1])]


class Pool:
    """Subjects by what can be done with them.

    Attributes:
        things: stand free.
        changeable: of these, may take another colour or material.
        counted: of these, have a plural.
    """

    def __init__(self, subjects: Sequence[Subject]) -> None:
        # never the subjects that measure codecs and samples: they would be trained on in parts
        usable = [subject for subject in subjects if subject.thing and not subject.views[0].record.held_out]
        self.things = Chances(usable)
        self.changeable = Chances([subject for subject in usable if subject.changeable])
        self.counted = Chances([subject for subject in usable if subject.several])


T = TypeVar("T")

Kind = Callable[[np.random.Generator, Pool, int], Made | None]
"""(draws, subjects, size px) -> an image, or None where what was drawn is held out or does not fit."""


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Draws one of several."""
    return choices[int(rng.integers(len(choices)))]


def view_of(rng: np.random.Generator, subject: Subject, style: str | None = None) -> View | None:
    """Draws the default image of a subject, or a third of the time one of another style.

    Args:
        rng: of the draws.
        subject: of the image.
        style: ending of the captions that others of the picture have; None draws one.

    Returns:
        None where the subject has no image of that style.
    """
    if style is None:
        others = subject.views[1:]
        return pick(rng, others) if others and rng.random() < OTHER_STYLE_SHARE else subject.views[0]
    return next((view for view in subject.views if view.ending == style), None)


def coloured(rng: np.random.Generator, subject: Subject, view: View) -> Thing | None:
    """Gives a thing one of 12 colours."""
    name = pick(rng, list(COLOURS))
    # "a blue red apple" would be no English
    if held_out(subject.label, name) or set(subject.noun.lower().split()) & TAKEN:
        return None
    return Thing(subject, view, painted(view.rgba, COLOURS[name]), name)


def of_material(rng: np.random.Generator, subject: Subject, view: View) -> Thing | None:
    """Gives a thing another material, a third of the time in a colour where the material has some."""
    names = list(MATERIALS)
    shares: AnyArray = np.array([MATERIALS[name].share for name in names])
    name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    material = MATERIALS[name]
    colour = pick(rng, material.tints) if material.tints and rng.random() < 0.35 else None
    if held_out(subject.label, name) or (colour and held_out(subject.label, colour)):
        return None
    # neither "a glass glass of milk" nor "a gold bronze medal"
    if set(subject.noun.lower().split()) & TAKEN:
        return None
    rgba = made_of(view.rgba, name, rng, colour)
    # nobody says "a red clear glass cat"
    adjective = material.adjectives[0] if colour else pick(rng, material.adjectives)
    if rng.random() < 0.7 or not material.phrases:
        return Thing(subject, view, rgba, f"{colour} {adjective}" if colour else adjective)
    return Thing(subject, view, rgba, colour or "", pick(rng, material.phrases))


def say(rng: np.random.Generator, view: View, usual: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Chooses two to four different sentences, each with the ending of the style.

    Args:
        rng: of the choices.
        view: whose style it is.
        usual: of which one comes first, since that is how people ask.
        others: of which the rest is drawn, beside the usual ones.
    """
    first = pick(rng, usual)
    rest = [sentence for sentence in dict.fromkeys([*usual, *others]) if sentence != first]
    count = min(int(rng.integers(1, 4)), len(rest))
    drawn: list[int] = rng.permutation(len(rest)).tolist()
    return tuple(each + view.ending for each in (first, *(rest[i] for i in drawn[:count])))


def colours(rng: np.random.Generator, pool: Pool, _: int) -> Made | None:
    """A blue apple."""
    subject = pool.changeable.draw(rng)
    view = subject and view_of(rng, subject)
    thing = subject and view and coloured(rng, subject, view)
    if not subject or not view or not thing:
        return None
    name, noun = thing.before, subject.noun
    others = [
        f"{with_article(noun)} in {name}",
        f"{noun} in {name}",
        f"{article(name)} {name}-coloured {noun}",
        f"{with_article(noun)} that is {name}",
        f"the {name} {noun}",
        f"{noun}, {name}",
        f"{article(name)} {name} coloured {noun}",
    ]
    return Made(say(rng, view, [thing.asked, thing.named], others), thing.rgba, (view,))


def materials(rng: np.random.Generator, pool: Pool, _: int) -> Made | None:
    """A glass cat."""
    subject = pool.changeable.draw(rng)
    view = subject and view_of(rng, subject)
    thing = subject and view and of_material(rng, subject, view)
    if not view or not thing:
        return None
    others = [f"the {thing.named}", f"{thing.asked}, isolated", f"a picture of {thing.asked}"]
    return Made(say(rng, view, [thing.asked, thing.named], others), thing.rgba, (view,))


def changed(rng: np.random.Generator, subject: Subject, view: View, share: float) -> Thing | None:
    """Gives a share of things a colour or, a third as often, a material; None is one that is held out."""
    if not subject.changeable or rng.random() >= share:
        return Thing(subject, view, view.rgba)
    return of_material(rng, subject, view) if rng.random() < 0.25 else coloured(rng, subject, view)


def counts(rng: np.random.Generator, pool: Pool, size_px: int) -> Made | None:
    """Three cats."""
    subject = pool.counted.draw(rng)
    view = subject and view_of(rng, subject)
    count = int(rng.choice(list(NUMBERS), p=[0.3, 0.26, 0.2, 0.12, 0.12]))
    if not subject or not view or view.cut_off or held_out(subject.label, NUMBERS[count]):
        return None
    thing = changed(rng, subject, view, 0.35)
    if not thing:
        return None
    canvas, piece = blank(size_px), thing.piece
    for box in places(rng, count, size_px, apart=rng.random() < APART):
        lay_in(canvas, mirrored(piece) if rng.random() < 0.4 else piece, box)
    number = NUMBERS[count]
    others = [
        f"{number} {thing.several}, isolated",
        f"a group of {number} {thing.several}",
        f"{count} {thing.several}",
    ]
    if count == 2:
        others = [others[0], f"a pair of {thing.several}", f"a couple of {thing.several}"]
    return Made(say(rng, view, [f"{number} {thing.several}"], others), finished(canvas), (view,))


def sizes(rng: np.random.Generator, pool: Pool, size_px: int) -> Made | None:
    """A tiny cat, a cat in the corner."""
    subject = pool.things.draw(rng)
    view = subject and view_of(rng, subject)
    thing = subject and view and not view.cut_off and changed(rng, subject, view, 0.2)
    if not view or not thing:
        return None
    across, down, where = pick(rng, WHERE)
    low, high, words = pick(rng, SIZES) if not where else (0.30, 0.46, ("", "small"))
    side = rng.uniform(low, high) * size_px
    # towards the side that is named, else anywhere about the middle
    margin = 0.02 * size_px if where else 0.0
    room = size_px - 2 * margin
    spread = 0.04 if where else 0.10
    canvas, piece = blank(size_px), fitted(thing.piece, side, side)
    height, width = piece.shape[:2]
    left = margin + (room - width) * min(max(across + rng.uniform(-spread, spread), 0), 1)
    top = margin + (room - height) * min(max(down + rng.uniform(-spread, spread), 0), 1)
    lay(canvas, piece, left, top)
    size = pick(rng, words)
    named = f"{size} {thing.named}".strip()
    usual = [f"{with_article(named)} {each}" for each in where] or [with_article(named)]
    others = [f"{named} {each}" for each in where] or [named, f"the {named}"]
    return Made(say(rng, view, usual, others), finished(canvas), (view,))


SIZES: tuple[tuple[float, float, tuple[str, ...]], ...] = (
    (0.16, 0.24, ("tiny", "very small")),
    (0.32, 0.46, ("small", "little")),
    (0.96, 1.0, ("big", "large", "huge")),
)
"""Share of the canvas, and the words that say it."""
WHERE: tuple[tuple[float, float, tuple[str, ...]], ...] = (
    *(((0.5, 0.5, ()),) * 6),
    (0.0, 0.0, ("in the top left corner", "in the upper left corner", "in the corner")),
    (1.0, 0.0, ("in the top right corner", "in the upper right corner", "in the corner")),
    (0.0, 1.0, ("in the bottom left corner", "in the lower left corner", "in the corner")),
    (1.0, 1.0, ("in the bottom right corner", "in the lower right corner", "in the corner")),
    (0.5, 0.0, ("at the top",)),
    (0.5, 1.0, ("at the bottom",)),
    (0.0, 0.5, ("on the left", "on the left side")),
    (1.0, 0.5, ("on the right", "on the right side")),
)
"""Place of the thing, 0 left or top to 1, and the words that say it; none is no place in particular."""


def pairs(rng: np.random.Generator, pool: Pool, size_px: int) -> Made | None:
    """A cat and a red ball; a cat on a box."""
    first, second = pool.things.draw(rng), pool.things.draw(rng)
    if not first or not second or first.noun == second.noun or held_out_pair(first.label, second.label):
        return None
    view = view_of(rng, first)
    other = view and view_of(rng, second, view.ending)
    if not view or not other or view.cut_off or other.cut_off:
        return None
    changes = rng.random() < PAIR_CHANGED
    kept = int(rng.integers(3))  # which of them keeps its looks; 2 is neither
    one = changed(rng, first, view, float(changes and kept != 0))
    two = changed(rng, second, other, float(changes and kept != 1))
    if not one or not two:
        return None
    canvas = blank(size_px)
    said = any_relation(rng)(rng, canvas, one.piece, two.piece)
    if not said:
        return None
    forms = {
        "a": one.asked, "b": two.asked, "A": one.named, "B": two.named,
        "small_a": with_article(f"small {one.named}"), "big_b": with_article(f"big {two.named}"),
    }  # fmt: skip
    sentences = [each.format(**forms) for each in said]
    return Made(say(rng, view, sentences[:2], sentences), finished(canvas), (view, other))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of kinds."""

    draw: Kind
    share: float


KINDS: dict[str, Row] = {
    "colours": Row(colours, 0.26),
    "materials": Row(materials, 0.24),
    "counts": Row(counts, 0.18),
    "pairs": Row(pairs, 0.24),
    "sizes": Row(sizes, 0.08),
}
"""Kinds that are drawn at random, with their shares; the kind "plain" comes before them, once an image."""
PLAIN = "plain"
