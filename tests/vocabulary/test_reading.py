"""Prompts are read in words that the embedded model knows, and English ones stay as they are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pellucid.mini
from pellucid.vocabulary.names import TABLE, known
from pellucid.vocabulary.reading import read_prompt
from pellucid.vocabulary.search import find


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("🐈", "cat"),
        ("🐈🐕", "cat and dog"),
        ("a 🐈 with 🎩", "a cat with top hat"),
        ("👩🏽‍🚀", "woman astronaut"),
        ("a cat 🐈", "a cat"),
        ("🐈, flat icon", "cat, flat icon"),
        ("Katze", "cat"),
        ("eine rote Katze", "a red cat"),
        ("Hunde und Katzen", "dog and cat"),
        ("ein Elefant", "an elephant"),
        ("l'oiseau bleu", "the blue bird"),
        ("una manzana roja", "a red apple"),
        ("赤いりんご", "red apple"),
        ("红色的苹果", "red apple"),
        ("고양이가", "cat"),
        ("แมว", "cat"),
        ("बिल्ली", "cat"),
        ("два красный кошки", "two red cat"),
        ("buterfly", "butterfly"),
        ("a mushrom", "a mushroom"),
        ("Buterfly", "butterfly"),
        ("Katze, flat icon", "cat, flat icon"),
        ("2 Katzen", "2 cat"),
        ("an elefant", "an elephant"),
        ("a 猫 on a table", "a cat on a table"),
    ],
)
def test_other_words_are_read_as_names(prompt: str, text: str) -> None:
    assert read_prompt(prompt).text == text


def test_words_that_english_has_are_foreign_only_in_a_foreign_prompt() -> None:
    assert read_prompt("un chat noir").text == "a black cat"
    assert read_prompt("chat").text == "chat"
    assert read_prompt("a gift").read == ()


@pytest.mark.parametrize(
    "prompt",
    [
        "a glass bottle of honey",
        "a puppy",
        "a cat,  flat icon",
        "a lamp in Tokyo",
        "unpacked boxes",
        "café",
        "",
        "  ",
        "3D, 4k",
        "a cat in LoRA style",
        "lora",
        "an iPhone",
        "a Buterfly lamp",
        "Instagram logo",
        "Paris",
        "a girl in Seoul",
        "mario",
        "gettn_it.png",
        "a cat\\nand a dog",
        "<buterfly:0.8>",
        "iphones",
        "sooo",
        "dont",
        "bad pain rot art rat pan gift chat mit",
        "rat",
        "art",
        "pain",
        "gift",
        "des",
        "a glass cat",
        "blue fire",
        "fog",
        "three translucent goblets",
    ],
)
def test_english_prompts_stay_to_the_letter(prompt: str) -> None:
    assert read_prompt(prompt).text == prompt
    assert read_prompt(prompt).read == ()


@pytest.mark.parametrize("prompt", ["a glass cat", "blue fire", "fog", "misty", "embers"])
def test_materials_and_effects_are_known(prompt: str) -> None:
    reading = read_prompt(prompt)
    assert not reading.far
    assert not reading.unknown


def test_accents_make_other_words_of_short_ones() -> None:
    assert read_prompt("gà").text == "chicken"
    assert read_prompt("ga").read == ()
    assert read_prompt("chien méchant").text.startswith("dog")


@given(st.text(max_size=30))
def test_any_text_is_read(prompt: str) -> None:
    reading = read_prompt(prompt)
    assert bool(reading.text.strip()) >= bool(reading.read)
    assert reading.read or reading.text == prompt


def test_every_name_and_keyword_is_left_alone() -> None:
    texts = {text for subject in known().subjects for text in (subject.name, *subject.also)}
    # two keywords of emojilib hold the emoji itself
    assert {text for text in texts if text.isascii() and read_prompt(text).text != text} == set()


def test_what_is_unknown_is_told() -> None:
    assert read_prompt("xqzw").unknown == ("xqzw",)
    assert read_prompt("a 🇩🇪 on a cat").unknown == ("🇩🇪",)
    assert read_prompt("a picasso").far
    assert not read_prompt("a puppy").far
    assert not read_prompt("").far


def test_a_text_finds_names() -> None:
    assert find("Hund")[0].name == "dog"
    assert find("🐈")[0].name == "cat"
    assert find("xqzw") == []


def test_the_table_is_small_and_knows_all_subjects() -> None:
    assert (Path(pellucid.mini.__path__[0]) / TABLE).stat().st_size < 400_000
    assert len(known().subjects) == 1420
