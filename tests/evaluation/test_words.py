"""Words that a model obeys: every measure tells an image that was drawn to obey from one that was not."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

import pellucid
import tiny
from pellucid.apps.commands import evaluate_words
from pellucid.data.recolouring import COLOURS
from pellucid.data.records import Record
from pellucid.errors import ConfigError
from pellucid.evaluation.words.known_images import KnownImages
from pellucid.evaluation.words.measures import (
    connected_things,
    filled_square,
    has_colour,
    has_material,
    is_see_through,
)
from pellucid.evaluation.words.questions import COLOUR_SUBJECTS, KINDS, make_questions
from pellucid.evaluation.words.scores import Answers, ask
from pellucid.rgba.types import AnyArray

SHOWN = {
    "red": (220, 40, 40), "orange": (240, 140, 30), "yellow": (240, 215, 60), "green": (50, 160, 70),
    "blue": (40, 80, 220), "purple": (130, 60, 190), "pink": (240, 130, 180), "black": (25, 25, 25),
    "white": (245, 245, 245), "grey": (128, 128, 128), "brown": (120, 75, 40),
}  # fmt: skip
"""An everyday example of each colour."""


def disc(*centres: tuple[int, int], radius: int = 12, colour: Sequence[int] = (200, 30, 30, 255)) -> AnyArray:
    rgba = np.zeros((64, 64, 4), np.uint8)
    for centre in centres:
        cv2.circle(rgba, centre, radius, [float(level) for level in colour], -1)
    return rgba


@pytest.mark.parametrize("name", SHOWN)
def test_a_colour_is_told_from_all_others(name: str) -> None:
    rgba = disc((32, 32), colour=(*SHOWN[name], 255))
    # white and black glints and lines do not hide what colour a thing has
    rgba[28:30, 24:40, :3] = 255
    told = {other for other in COLOURS if has_colour(rgba, other)}
    assert name in told
    # brown is told by its lightness, and neighbours on the wheel lie less than two limits apart
    assert len(told - {"brown"}) <= 2


def test_what_is_clear_has_no_colour_and_is_see_through() -> None:
    clear, solid = disc((32, 32), colour=(200, 30, 30, 90)), disc((32, 32))
    assert is_see_through(clear)
    assert not is_see_through(solid)
    assert not is_see_through(np.zeros_like(solid))
    assert not has_colour(clear, "red")
    assert has_material(solid, solid)
    assert not has_material(clear, solid)
    assert not has_material(disc((32, 32), colour=(30, 200, 30, 255)), solid)


def test_things_are_counted_and_compared_wherever_they_lie() -> None:
    assert [
        len(connected_things(disc(*c))) for c in ([(32, 32)], [(14, 14), (48, 48)], [(20, 20), (30, 30)])
    ] == [
        1,
        2,
        1,
    ]
    assert connected_things(disc((32, 32), radius=2)) == []
    near, far = filled_square(disc((14, 14))), filled_square(disc((48, 48)))
    assert (near == far).all()
    assert not filled_square(np.zeros((9, 9, 4), np.uint8)).any()


def sample(label: str, rgba: AnyArray, *keywords: str) -> tuple[Record, AnyArray]:
    record = Record(
        name=label, label=label, keywords=keywords, group="food", source="s", style="icon", licence="MIT",
        attribution="x", soft=0.0,
    )  # fmt: skip
    return record, rgba


@pytest.fixture(scope="module")
def known() -> KnownImages:
    bar = np.zeros((64, 64, 4), np.uint8)
    bar[8:56, 28:36] = (40, 90, 220, 255)
    # only where a subject is among the five nearest of more than five can a measure fail
    others = [
        sample(f"other {i}", np.random.default_rng(i).integers(0, 255, (64, 64, 4), np.uint8))
        for i in range(12)
    ]
    samples = [sample("apple", disc((32, 32)), "orchard"), sample("key", bar, "unlock"), *others]
    return KnownImages(samples, range(len(samples)))


def answer(known: KnownImages, kind: str, prompt: str, rgba: AnyArray) -> bool:
    (question,) = [question for question in make_questions(kind, known) if question.prompt == prompt]
    return question.is_obeyed(rgba)


def test_every_kind_asks_and_judges(known: KnownImages) -> None:
    apple, noise = known.images[0], known.images[5]
    two = np.concatenate([known.images[0], known.images[1]], axis=1)
    assert answer(known, "colours", "a blue key", known.images[1])
    assert not answer(known, "colours", "a red key", known.images[1])
    assert answer(known, "effects", "a ghost", disc((32, 32), colour=(200, 200, 200, 90)))
    assert answer(known, "counts", "two apples", disc((14, 14), (48, 48)))
    assert not answer(known, "counts", "three apples", disc((14, 14), (48, 48)))
    assert answer(known, "pairs", "an apple and a key", two)
    assert not answer(known, "pairs", "an apple and a key", apple)
    assert answer(known, "paraphrases", "something like an orchard", apple)
    assert not answer(known, "paraphrases", "something like an orchard", noise)
    assert answer(known, "materials", "a glass apple", disc((32, 32), colour=(220, 230, 240, 70)))
    assert not answer(known, "materials", "a glass apple", apple)


def test_subjects_that_the_sets_lack_are_not_asked_for(known: KnownImages) -> None:
    asked = {question.prompt for question in make_questions("materials", known)}
    assert asked
    assert all("apple" in prompt or "key" in prompt for prompt in asked)
    assert len(make_questions("pairs", known)) == 1
    assert len(make_questions("colours", known)) == len(COLOUR_SUBJECTS) * len(COLOURS)
    assert evaluate_words.KINDS == KINDS


def test_answers_are_counted_apart_by_what_training_showed(known: KnownImages, tmp_path: object) -> None:
    questions = make_questions("colours", known)[:24]
    images = [disc((32, 32))] * 24
    obeyed = [question.is_obeyed(images[0]) for question in questions]
    answers = Answers(questions=questions, images=images, obeyed=obeyed)
    scores = answers.scores()
    assert scores["trained"]["of"] + scores["held_out"]["of"] == 24
    assert scores["trained"]["obeyed"] + scores["held_out"]["obeyed"] == sum(obeyed)
    assert len(scores["failed"]) == 24 - sum(obeyed)
    sheet = answers.sheet(columns=6)
    assert sheet.shape[1] > 6 * 128
    assert {(40, 200, 60), (220, 40, 40)} <= {tuple(row) for row in sheet.reshape(-1, 3).tolist()}


def test_a_model_is_asked_by_one_seed(tmp_path_factory: pytest.TempPathFactory, known: KnownImages) -> None:
    pipe = pellucid.load(tiny.save_mini(tmp_path_factory.mktemp("models") / "mini"))
    questions = make_questions("counts", known)[:3]
    answers = ask(pipe, questions, seed=5, batch_size=2)
    alone = pipe.generate(questions[2].prompt, seed=5, clean=False).layers[0].image
    assert (answers.images[2] == alone).all()
    with pytest.raises(ConfigError, match="sets"):
        ask(pipe, [])
