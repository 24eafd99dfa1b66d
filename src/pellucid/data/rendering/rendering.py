"""Draws kinds, colours and wordings, and renders."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from pellucid.data.composing import holding_out
from pellucid.data.composing.subjects import noun_of
from pellucid.data.composing.words import article, with_article
from pellucid.data.records import Record, softness
from pellucid.data.rendering.effects import EFFECTS
from pellucid.data.rendering.kinds import Kind
from pellucid.data.rendering.scene_table import SCENES
from pellucid.data.rendering.sketch import Sketch, finished
from pellucid.data.shards import Sample
from pellucid.rgba.compositing import premultiply
from pellucid.rgba.quantization import to_float
from pellucid.rgba.types import RGBA8

SUBJECT_SHARE = 0.5
"""Of images with a subject in them, where there are subjects."""
COLOUR_SHARE = 0.55
"""Of images whose colour is named, among kinds that may have one."""
DENSITY_SHARE = 0.3
"""Of images whose density is named, among kinds that may have one."""
THIN, USUAL, THICK = 0.5, 1.0, 1.8
WORDINGS = 3
"""At most of one image."""
SOURCE = "pellucid render"
PURE_LICENCE = "CC0-1.0"


def held_out(subject: str, effect: str) -> bool:
    """Tells whether a pair of subject and effect is kept for measuring: a tenth, the same in every set.

    Args:
        subject: its label or its everyday noun; of a label both count, since one may ask by either.
        effect: a name of `SCENES`.
    """
    return holding_out.held_out(subject, effect)


@dataclass(slots=True)
class Renderer:
    """Renders images by their number: the same in every process, so that workers may share the range."""

    count: int
    """How many images there are."""
    size_px: int
    """Height and width."""
    seed: int
    subjects: Sequence[Sample] = ()
    """Images to put effects around, `size_px` on each side; half of all images have one, if any are given."""

    def make(self, index: int) -> tuple[Record, RGBA8]:
        """Renders the image of a number; a pair of subject and effect that is held out is never made."""
        rng = np.random.default_rng([self.seed, index])
        if self.subjects and rng.random() < SUBJECT_SHARE:
            record, rgba = _with_subject(rng, self.size_px, self.subjects)
        else:
            record, rgba = _alone(rng, self.size_px)
        name = f"render-{self.seed}-{index:07d}"
        return replace(record, name=name, source=SOURCE, soft=softness(rgba)), rgba


def render_all(
    count: int, size_px: int, seed: int, subjects: Sequence[Sample] = ()
) -> Iterator[tuple[Record, RGBA8]]:
    """Yields rendered images with captions that say what they show.

    Args:
        count: of images.
        size_px: height and width.
        seed: of all draws; the same bytes come of the same seed, size and subjects.
        subjects: as in `Renderer`.
    """
    renderer = Renderer(count, size_px, seed, subjects)
    return (renderer.make(index) for index in range(count))


def _alone(rng: np.random.Generator, size_px: int) -> tuple[Record, RGBA8]:
    effect = EFFECTS[int(rng.choice(len(EFFECTS), p=_shares(EFFECTS)))]
    sketch, adjectives = _look(rng, size_px, effect)
    sentences = wordings(rng, _phrases(effect, sketch, adjectives), adjectives)
    record = _record(sentences, group="effects", licence=PURE_LICENCE)
    return record, finished(effect.paint(sketch))


def _with_subject(rng: np.random.Generator, size_px: int, subjects: Sequence[Sample]) -> tuple[Record, RGBA8]:
    while True:
        known, image = subjects[int(rng.integers(len(subjects)))]
        scene = SCENES[int(rng.choice(len(SCENES), p=_shares(SCENES)))]
        if known.group not in scene.never and not held_out(known.label, scene.name):
            break
    sketch, adjectives = _look(rng, size_px, scene)
    sentences = wordings(rng, _phrases(scene, sketch, adjectives), adjectives, known.label)
    record = _record(sentences, group=known.group, licence=known.licence, attribution=known.attribution)
    return record, finished(scene.paint(sketch, premultiply(to_float(image))))


def _record(sentences: tuple[str, ...], *, group: str, licence: str, attribution: str = "") -> Record:
    return Record(
        name="",
        label=sentences[0],
        captions=sentences,
        group=group,
        licence=licence,
        attribution=attribution,
    )


@cache
def _shares(kinds: tuple[Kind, ...]) -> tuple[float, ...]:
    total = sum(kind.share for kind in kinds)
    return tuple(kind.share / total for kind in kinds)


def _look(rng: np.random.Generator, size_px: int, kind: Kind) -> tuple[Sketch, str]:
    """Draws colour and density, and the words that name them."""
    colour = kind.colours[int(rng.integers(len(kind.colours)))] if kind.colours else ""
    colour = colour if rng.random() < COLOUR_SHARE else ""
    density = float(rng.uniform(0.75, 1.35))  # nobody names a density that is nearly the usual one
    words = [colour] if colour else []
    if kind.thin and rng.random() < DENSITY_SHARE:
        thick = rng.random() < 0.5
        density = (THICK if thick else THIN) * float(rng.uniform(0.9, 1.1))
        chosen = kind.thick if thick else kind.thin
        words.insert(0, chosen[int(rng.integers(len(chosen)))])
    return Sketch(rng, size_px, colour, density), "".join(f"{word} " for word in words)


def _phrases(kind: Kind, sketch: Sketch, adjectives: str) -> tuple[str, ...]:
    chosen = kind.coloured if sketch.colour and kind.coloured else kind.phrases
    return chosen if adjectives else chosen + kind.plain


def wordings(
    rng: np.random.Generator, phrases: Sequence[str], adjectives: str, subject: str = ""
) -> tuple[str, ...]:
    """Makes up to `WORDINGS` captions that differ, as `worded` does; of a subject's names, label and noun."""
    names = (subject, noun_of(subject))
    made = [worded(rng, phrases, adjectives, names[int(rng.integers(2))]) for _ in range(WORDINGS)]
    return tuple(dict.fromkeys(made))


def worded(rng: np.random.Generator, phrases: Sequence[str], adjectives: str, subject: str = "") -> str:
    """Makes a caption of one of the phrases, with articles that fit.

    Args:
        rng: draws the phrase, and whether articles in brackets stay.
        phrases: as in `EFFECTS` and `SCENES`.
        adjectives: for the place `{}`, each with a space after it.
        subject: name for `{s}`, with an article before it, and for `{l}`, without.
    """
    phrase = phrases[int(rng.integers(len(phrases)))]
    asked = with_article(subject)
    said = (subject, asked, asked, f"the {subject}")[int(rng.integers(4))]
    bare = "{l}" in phrase and asked == subject  # "burning grapes"
    kept = r"\1" if rng.random() < 0.7 and not bare else ""
    phrase = re.sub(r"\[([\w ]+ )\]", kept, phrase)
    text = phrase.replace("{s}", said).replace("{l}", subject).replace("{}", adjectives)
    # "an ice cube" may have become "an blue ice cube"
    return re.sub(r"\ban? (?=(.+))", lambda found: f"{article(found[1])} ", text)
