"""Builds src/pellucid/mini/words.zip: in which words the embedded model is spoken to.

    python scripts/prompt_words.py [--archives FOLDER]

Sources are pinned: emojibase-data (names and keywords of emoji in 28 locales, from Unicode's CLDR), emojilib
(keywords), SCOWL (English words) and what this package's training data are called. The page
docs/reference/embedded-model.md says what the table holds and how it is used.
"""

import argparse
import json
import tomllib
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path

from pellucid.data.composing.materials import MATERIALS
from pellucid.data.composing.subjects import vocabulary
from pellucid.data.composing.words import NUMBERS
from pellucid.data.emoji import GROUPS, KEYWORDS, LEFT_OUT, NAMES, bare_hexcode, emoji_names
from pellucid.data.land_photos import SCENES
from pellucid.data.package_archives import Archive, fetch, read_archive
from pellucid.data.recolouring import COLOURS
from pellucid.data.rendering.effects import EFFECTS
from pellucid.vocabulary.languages import stems
from pellucid.vocabulary.names import KEYWORD, NAME, TABLE, Known, Subject, key_of, words_of
from pellucid.vocabulary.spelling import Speller

HERE = Path(__file__).parent
MINI = HERE.parent / "src" / "pellucid" / "mini"
STYLES = ("flat icon", "3D glossy icon")
DICE = 0.5
"""From this overlap of the emoji that carry them on, a keyword of another language means an English one."""
MOST_SUBJECTS = 60
"""Keywords of more emoji, such as "face", are not compared with: every language has its own idea of them."""
MOST_WORDS = 3
"""Of a name; longer ones nobody types."""
PEOPLE = ("people", "smileys")
"""Groups whose names of several words say what a person does, and are no names of people."""
KEYWORDS_OF_ONE = ("animals", "food")
"""Groups of which keywords of a single emoji mean it; elsewhere they say what one does with it."""
ENGLISH = {
    "american-english-large": Archive(
        "wamerican-large",
        "2020.12.07-2",
        "5439a66538fada521d8de98a6f8f3ab17a70d60f18f67a738c8b403f2947e3c6",
        "deb",
    ),
    "british-english-large": Archive(
        "wbritish-large",
        "2020.12.07-2",
        "9ca38281a09049e934d6519c313a4092fbc160cf30023bf2949029b7cd4c0ec4",
        "deb",
    ),
}
"""SCOWL's lists up to level 70, by their names in /usr/share/dict; people and places have capitals there."""
EPOCH = (2026, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Place:
    """An emoji that the model can draw, by its place among all."""

    label: str
    place: int
    group: str


def subjects(files: Mapping[str, bytes], emojilib: Mapping[str, bytes]) -> list[Subject]:
    """Returns the subjects in Unicode's order."""
    table, everyday = emoji_names(dict(files), dict(emojilib)), vocabulary().words
    characters = {
        bare_hexcode(entry["hexcode"]): entry["emoji"] for entry in json.loads(files["package/en/data.json"])
    }
    return [
        Subject(
            name=label,
            group=group,
            emoji=characters[code],
            also=tuple(
                dict.fromkeys(word for word in (*everyday.get(label, ()), *keywords) if word != label)
            ),
        )
        for code, (label, keywords, group) in table.items()
    ]


def said_of_effects() -> tuple[str, ...]:
    """Returns what captions of materials, effects and counts say beside their names."""
    phrases = [phrase for material in MATERIALS.values() for phrase in material.phrases]
    phrases += [phrase for it in EFFECTS for phrase in (*it.phrases, *it.coloured, *it.plain)]
    words = [word for phrase in phrases for word in words_of(phrase.replace("{}", " "))]
    return tuple(dict.fromkeys([*NUMBERS.values(), *words]))


def dictionary(folder: Path) -> tuple[set[str], set[str]]:
    """Returns all words of English, and names of people, places and products, as `key_of` writes them."""
    words, proper = set[str](), set[str]()
    for name, archive in ENGLISH.items():
        for line in read_archive(fetch(archive, folder))[f"./usr/share/dict/{name}"].decode().split():
            word = line.removesuffix("'s")
            if word == word.lower():
                # as many type them: "dont", "womens"
                words |= {key_of(word), key_of(line.replace("'", ""))}
            elif word[1:] == word[1:].lower():
                proper.add(key_of(word))
    return words, proper - words


def needed(
    words: Set[str], proper: Set[str], vocab: Set[str], names: Iterable[str], foreign: Callable[[str], object]
) -> tuple[set[str], set[str]]:
    """Returns what has to be known of a dictionary, so that reading leaves all its words as they are.

    Args:
        words: of English.
        proper: names of people and places.
        vocab: what the text encoder has met whole.
        names: what misspelt words are read as.
        foreign: tells whether another language has a word.

    Returns:
        English words, and words that are no slips although English has them not.
    """
    said = dict.fromkeys(names)
    speller = Speller(said)
    english = {
        word
        for word in words | vocab
        if word in words and (word in vocab or foreign(word) or speller.nearest(word))
    } | set(said)
    met = {word for word in vocab if word.isascii() and word not in english}
    return english, met | {word for word in proper - english if speller.nearest(word) or foreign(word)}


def meanings(
    locale: str,
    files: Mapping[str, bytes],
    english: Mapping[str, frozenset[int]],
    subjects_by_code: Mapping[str, Place],
) -> dict[str, tuple[str, str]]:
    """Returns what names and keywords of a locale mean: (English, mark)."""
    carried: dict[str, set[int]] = defaultdict(set)
    by_place = {subject.place: subject for subject in subjects_by_code.values()}
    found: dict[str, tuple[str, str]] = {}
    for entry in json.loads(files[f"package/{locale}/data.json"]):
        subject = subjects_by_code.get(bare_hexcode(entry["hexcode"]))
        if subject is None:
            continue
        if len(words_of(entry["label"])) <= (1 if subject.group in PEOPLE else MOST_WORDS):
            found.setdefault(key_of(entry["label"]), (subject.label, NAME))
        for tag in entry.get("tags", ()):
            carried[key_of(tag)].add(subject.place)
    for tag, those in carried.items():
        if tag not in found and len(tag.split()) == 1 and (meaning := _meant(those, english, by_place)):
            found[tag] = meaning, KEYWORD
    return found


def _meant(those: Set[int], english: Mapping[str, frozenset[int]], by_place: Mapping[int, Place]) -> str:
    """Returns what a keyword of some subjects means in English; "" where that is not sure."""
    if len(those) == 1:
        only = by_place[next(iter(those))]
        return only.label if only.group in KEYWORDS_OF_ONE else ""
    if len(those) > MOST_SUBJECTS:
        return ""
    alike = (
        (2 * len(those & each) / (len(those) + len(each)), -len(word), word) for word, each in english.items()
    )
    best = max(alike, default=(0.0, 0, ""))
    return best[2] if best[0] >= DICE else ""


def other_languages(
    files: Mapping[str, bytes], labels: Sequence[str], small: Mapping[str, Mapping[str, str]]
) -> str:
    """Returns a line of languages, then one for each meaning: after a tab, what each language calls it."""
    entries = {bare_hexcode(entry["hexcode"]): entry for entry in json.loads(files["package/en/data.json"])}
    places = {label: index for index, label in enumerate(labels)}
    objects = {
        code: Place(entry["label"], places[entry["label"]], GROUPS[entry["group"]])
        for code, entry in entries.items()
        if "group" in entry and GROUPS[entry["group"]] not in LEFT_OUT
    }
    english: dict[str, set[int]] = defaultdict(set)
    for code, subject in objects.items():
        for tag in entries[code].get("tags", ()):
            english[tag].add(subject.place)
    compared = {tag: frozenset(those) for tag, those in english.items() if len(those) <= MOST_SUBJECTS}
    # dialects of a language that is there, and English
    locales = sorted(
        {name.split("/")[1] for name in files if name.endswith("/data.json")} - {"en", "en-gb", "es-mx"}
    )
    columns: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for locale in locales:
        found = meanings(locale, files, compared, objects)
        found.update({key_of(word): (meaning, NAME) for word, meaning in small.get(locale, {}).items()})
        for word, (meaning, mark) in sorted(found.items()):
            if word and key_of(meaning) != word and not word.isdigit():
                columns[meaning][locale].append(f"{mark}{word}")
    lines = [
        "\t".join([meaning, *("|".join(columns[meaning].get(locale, ())) for locale in locales)])
        for meaning in sorted(columns)
    ]
    return "\n".join(["\t".join(["", *locales]), *lines])


def is_in(languages: str) -> Callable[[str], bool]:
    """Returns what tells whether another language has a word."""
    _, *lines = languages.split("\n")
    words = {
        word[1:] for line in lines for column in line.split("\t")[1:] for word in column.split("|") if word
    }
    return lambda word: word in words or any(stem in words for _, stem in stems(word))


def main() -> None:
    """Reads the archives and writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archives", type=Path, default=Path.home() / ".cache" / "pellucid")
    folder = parser.parse_args().archives
    emojibase, emojilib = (read_archive(fetch(each, folder)) for each in (NAMES, KEYWORDS))
    rows = subjects(emojibase, emojilib)
    small = tomllib.loads((HERE / "prompt_words.toml").read_text(encoding="utf-8"))
    languages = other_languages(emojibase, [row.name for row in rows], small)
    known = Known(
        subjects=tuple(rows),
        scenes=tuple(sorted(set(SCENES.values()))),
        styles=STYLES,
        colours=tuple(COLOURS),
        materials=tuple(word for material in MATERIALS.values() for word in material.adjectives),
        effects=tuple(effect.name for effect in EFFECTS),
        said=said_of_effects(),
    )
    vocab = json.loads((MINI / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    met = {token for token in vocab if token.isalpha() and token.isascii() and len(token) > 1}
    words, proper = dictionary(folder)
    english, no_slips = needed(words, proper, met, known.words(), is_in(languages))
    members = {
        "names.json": json.dumps(asdict(known), ensure_ascii=False, separators=(",", ":")),
        "english.txt": "\n".join(sorted(english)),
        "no_slips.txt": "\n".join(sorted(no_slips)),
        "other.txt": languages,
    }
    with zipfile.ZipFile(MINI / TABLE, "w", zipfile.ZIP_LZMA) as archive:
        for name, text in members.items():
            # a fixed time, so that the same sources give the same bytes
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_LZMA
            archive.writestr(info, text)
            print(f"{name}: {len(text.encode())} bytes, {info.compress_size} in the file")
    print(f"{MINI / TABLE}: {(MINI / TABLE).stat().st_size} bytes")


if __name__ == "__main__":
    main()
