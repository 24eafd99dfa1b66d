"""English as far as captions need it: articles, plurals, and numbers in words."""

import re

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
"""Counts that anybody sees at once."""
JOINTS = re.compile(
    r" (?:made|carved|that|one|as|with|without|from|in|on|of|and|behind|tilted|showing|over|at|not|done)\b"
)
"""Where what is said of a thing begins, after the thing itself."""

# Beginnings that sound otherwise than they are spelled.
_LIKE_CONSONANT = re.compile(r"(?:uni(?!n|m)|use|usu|ukulele|uk|ufo|euro|ewe|one\b|once|u-)", re.IGNORECASE)
_LIKE_VOWEL = re.compile(r"(?:hour|honest|heir|x-ray)", re.IGNORECASE)

_PLURALS = {
    "axe": "axes", "bison": "bison", "cactus": "cacti", "child": "children", "calf": "calves",
    "deer": "deer", "die": "dice", "dwarf": "dwarves", "elf": "elves", "fish": "fish", "foot": "feet",
    "goose": "geese", "knife": "knives", "leaf": "leaves", "loaf": "loaves", "man": "men", "moose": "moose",
    "mouse": "mice", "ox": "oxen", "person": "people", "potato": "potatoes", "scarf": "scarves",
    "sheep": "sheep", "shelf": "shelves", "shrimp": "shrimp", "squid": "squid", "swine": "swine",
    "tomato": "tomatoes", "tooth": "teeth", "volcano": "volcanoes", "wolf": "wolves", "woman": "women",
    "hero": "heroes", "superhero": "superheroes", "mango": "mangoes", "echo": "echoes",
    "mosquito": "mosquitoes", "bus": "buses", "minibus": "minibuses", "trolleybus": "trolleybuses",
    "compass": "compasses", "octopus": "octopuses", "dress": "dresses", "glass": "glasses", "moai": "moai",
    "shellfish": "shellfish", "blowfish": "blowfish", "quiz": "quizzes", "sari": "saris",
    "tornado": "tornadoes", "lens": "lenses", "fungus": "fungi", "iris": "irises",
    "hippopotamus": "hippopotamuses", "rhinoceros": "rhinoceroses", "platypus": "platypuses",
    "walrus": "walruses", "hibiscus": "hibiscuses", "lotus": "lotuses", "abacus": "abacuses",
}  # fmt: skip
"""Words whose plural no rule below gives."""


MASS = {
    "bacon",
    "beans",
    "bread",
    "broccoli",
    "butter",
    "cheese",
    "corn",
    "curry",
    "food",
    "garlic",
    "ginger",
    "ice",
    "meat",
    "milk",
    "money",
    "paper",
    "popcorn",
    "rice",
    "salt",
    "soap",
    "spaghetti",
    "sushi",
    "tea",
    "thread",
    "wood",
    "yarn",
}
"""Words without an article."""


def article(phrase: str) -> str:
    """Returns "an" before a vowel that is heard, else "a"."""
    if _LIKE_CONSONANT.match(phrase):
        return "a"
    return "an" if _LIKE_VOWEL.match(phrase) or phrase[:1].lower() in "aeiou" else "a"


def with_article(phrase: str) -> str:
    """Puts "a" or "an" before a phrase, unless nobody would: "a cat", "an apple", "scissors", "butter"."""
    return phrase if is_plural(phrase) or head_of(phrase) in MASS else f"{article(phrase)} {phrase}"


def head_of(noun: str) -> str:
    """Returns the word that names the thing: "jar" of "jar of honey", "bear" of "polar bear"."""
    return JOINTS.split(noun, maxsplit=1)[0].split(" ")[-1]


def is_plural(noun: str) -> bool:
    """Tells whether a noun names several things, or one that has no singular, such as scissors."""
    head = head_of(noun).lower()
    if head in _PLURALS:
        return False
    return head in _PLURALS.values() or bool(re.search(r"[^su'’i]s$", head)) or head in {"skis", "dice"}


def plural(noun: str) -> str | None:
    """Returns the plural of a noun of one or more words; None where this small rule would be guessing.

    The word that names the thing takes the ending: "polar bears", "jars of honey".
    """
    if is_plural(noun) or not re.fullmatch(r"[A-Za-z][a-z-]*(?: [a-z-]+)*", noun):
        return None
    # "face blowing a kiss": the thing stands before what it does
    if re.match(r"\S+ [a-z]+ing\b", noun):
        return None
    joint = JOINTS.search(noun)
    before, after = (noun[: joint.start()], noun[joint.start() :]) if joint else (noun, "")
    # of "cloud with rain" nobody knows how many rains two of them have
    if joint and not after.startswith((" of ", " from ")):
        return None
    *first, head = before.split(" ")
    return " ".join([*first, _plural_word(head)]) + after


def _plural_word(word: str) -> str:
    for ending, several in ((word, _PLURALS.get(word)), ("man", "men"), ("fish", "fish")):
        # fireman, fireman's plural ends as man's does; human does not
        if several and word.endswith(ending) and word != "human":
            return word.removesuffix(ending) + several
    if re.search(r"(?:s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"
