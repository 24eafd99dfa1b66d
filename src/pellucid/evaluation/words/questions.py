"""Prompts that ask for one thing each, and how an image is told to show it.

| kind | asks for | obeyed if |
|---|---|---|
| colours | 40 subjects in 12 colours | `measures.has_colour` |
| materials | 12 subjects of each of `data.composing.materials` | `is_see_through`, or `has_material` |
| effects | smoke, fog, glow, glass … | `is_see_through` |
| counts | two, three or four of ten subjects | as many `connected_things` |
| pairs | two of ten subjects | both among the five nearest training images of the two largest parts |
| paraphrases | keywords in sentences that no training caption has | the subject among the five nearest |
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product

import numpy as np

from pellucid.data.composing.holding_out import held_out, held_out_pair
from pellucid.data.composing.materials import MATERIALS, made_of
from pellucid.data.composing.words import plural, with_article
from pellucid.data.recolouring import COLOURS
from pellucid.evaluation.words.known_images import KnownImages
from pellucid.evaluation.words.measures import (
    connected_things,
    has_colour,
    has_material,
    is_see_through,
)
from pellucid.rgba.types import RGBA8, AnyArray

KINDS = ("colours", "materials", "effects", "counts", "pairs", "paraphrases")
COLOUR_SUBJECTS = (
    "apple", "automobile", "cat face", "teapot", "umbrella", "elephant", "guitar", "key", "dog",
    "balloon", "bicycle", "hot beverage", "backpack", "fish", "frog", "cow", "pig", "horse", "bird",
    "butterfly", "mushroom", "rose", "tulip", "banana", "lemon", "pear", "grapes", "cupcake", "top hat",
    "jeans", "dress", "t-shirt", "running shoe", "crown", "gem stone", "bell", "telephone", "camera",
    "chair", "sailboat",
)  # fmt: skip
MATERIAL_SUBJECTS = (
    "cat", "dog", "fish", "key", "apple", "guitar", "teapot", "horse", "bell", "mushroom", "frog",
    "elephant",
)  # fmt: skip
COUNTED = ("apple", "cat face", "balloon", "fish", "mushroom", "key", "banana", "star", "bird", "bell")
NUMBERS = {"two": 2, "three": 3, "four": 4}
PAIRED = ("apple", "cat face", "umbrella", "guitar", "key", "fish", "mushroom", "bell", "camera", "frog")
EFFECTS = (
    "smoke", "a puff of smoke", "a plume of grey smoke", "black smoke", "fog", "mist", "foggy", "steam",
    "a cloud", "bubbles", "a soap bubble", "a clear glass", "an empty glass", "a wine glass",
    "a glass of milk", "a glass vase", "a glass bottle", "ice", "an ice cube", "a glowing light",
    "a red glow", "a light beam", "a candle flame", "fire", "blue fire", "a ghost", "a jellyfish",
    "a window", "a magnifying glass", "wind", "a droplet", "a splash of water", "sparkles",
    "a crystal ball", "eyeglasses", "a veil", "a campfire with smoke", "a cat in fog", "a glowing lamp",
    "a cup of coffee with steam",
)  # fmt: skip
SENTENCES = (
    "something like {a}", "my {n}", "{a} with no background", "please draw {a}",
    "nice {n} for a website", "one single {n}", "{a}, clean cutout",
)  # fmt: skip
"""Sentences that no program and no set writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt, and how its image is judged."""

    prompt: str
    is_obeyed: Callable[[AnyArray], bool]
    """Takes straight uint8 (h, w, 4)."""
    held_out: bool = False
    """Whether the two words of it were never shown together in training."""


def make_questions(kind: str, known: KnownImages, paraphrases: int = 300) -> list[Question]:
    """Returns the questions of one of `KINDS`; those whose subjects the sets lack are left out.

    Args:
        kind: see above.
        known: images of the model's training sets.
        paraphrases: how many of that kind to ask, at most.
    """
    makers: dict[str, Callable[[], list[Question]]] = {
        "colours": _colours,
        "materials": partial(_materials, known),
        "effects": lambda: [Question(prompt=prompt, is_obeyed=is_see_through) for prompt in EFFECTS],
        "counts": _counts,
        "pairs": partial(_pairs, known),
        "paraphrases": partial(_paraphrases, known, paraphrases),
    }
    return makers[kind]()


def _colours() -> list[Question]:
    return [
        Question(
            prompt=with_article(f"{colour} {subject}"),
            is_obeyed=partial(has_colour, name=colour),
            held_out=held_out(subject, colour),
        )
        for subject, colour in product(COLOUR_SUBJECTS, COLOURS)
    ]


def _materials(known: KnownImages) -> list[Question]:
    questions: list[Question] = []
    for subject, (name, material) in product(MATERIAL_SUBJECTS, MATERIALS.items()):
        image = known.image(subject)
        if image is None:
            continue
        shown = None if material.translucent else made_of(image, name, np.random.default_rng(0))
        questions.append(
            Question(
                prompt=with_article(f"{material.adjectives[0]} {subject}"),
                is_obeyed=is_see_through if shown is None else partial(has_material, wanted=shown),
                held_out=held_out(subject, name),
            )
        )
    return questions


def _counts() -> list[Question]:
    return [
        Question(
            prompt=f"{number} {plural(subject)}",
            is_obeyed=partial(_has_parts, count=count),
            held_out=held_out(subject, number),
        )
        for subject, (number, count) in product(COUNTED, NUMBERS.items())
    ]


def _has_parts(rgba: AnyArray, count: int) -> bool:
    return len(connected_things(rgba)) == count


def _pairs(known: KnownImages) -> list[Question]:
    return [
        Question(
            prompt=f"{with_article(first)} and {with_article(second)}",
            is_obeyed=partial(_shows_both, known=known, words=(first, second)),
            held_out=held_out_pair(first, second),
        )
        for first, second in combinations(PAIRED, 2)
        if known.labels_of(first) and known.labels_of(second)
    ]


def _shows_both(rgba: AnyArray, known: KnownImages, words: tuple[str, str]) -> bool:
    parts: list[RGBA8] = connected_things(rgba)[:2]
    if len(parts) < 2:
        return False
    shown = [[known.shows(part, known.labels_of(word), cut_out=True) for word in words] for part in parts]
    return (shown[0][0] and shown[1][1]) or (shown[0][1] and shown[1][0])


def _paraphrases(known: KnownImages, count: int) -> list[Question]:
    said = known.all_captions()
    questions: list[Question] = []
    for number, (word, labels) in enumerate(known.rare_keywords(count).items()):
        text = SENTENCES[number % len(SENTENCES)].format(n=word, a=with_article(word))
        wanted = [*labels, *([word] if word in known.labels else [])]
        if text not in said:
            questions.append(Question(prompt=text, is_obeyed=partial(known.shows, labels=wanted)))
    return questions
