"""How prompts are read: `python benchmarks/prompt_words.py [--sheet FILE]`; needs `pip install msgpack`.

- False corrections: the commonest English words (wordfreq, which the table was not made from), alone and in
  two sentences; the share that is read as anything else.
- Misspellings: codespell's pairs whose right word is a name or keyword, in a sentence.
- Names of 100 emoji in five languages, evenly spread: the share whose prompt reaches the model as the English
  name, before and after. The table is made from the same names, so this tells what it left out and where
  words of two languages collide, not how well it translates.
- 19 prompts of the kinds that people write, by hand.

Writes benchmarks/results/prompt-words.json, and a sheet with an image of each of the 19, before and after.
"""

import argparse
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgpack
from PIL import Image

import pellucid
from pellucid.data.emoji import NAMES, bare_hexcode
from pellucid.data.package_archives import Archive, fetch, read_archive
from pellucid.data.spread import evenly
from pellucid.rgba.preview import contact_sheet
from pellucid.rgba.types import RGBA8
from pellucid.vocabulary.names import known, name_words, words_of
from pellucid.vocabulary.reading import read_prompt

RESULTS = Path(__file__).parent / "results" / "prompt-words.json"
WORDS = Archive(
    "wordfreq", "3.1.1", "4b1c6ecffc6198be3396d5cf871c4423ca71c907c231348d352dd54d62b97473", "pypi"
)
PAIRS = Archive(
    "codespell", "2.4.3", "af2505b335e8573dbd2d384d1c4ef498f4006f4ba2d6fceca01e55b91f52628a", "pypi"
)
COMMONEST = (10_000, 20_000)
PLACES: dict[str, Callable[[str], str]] = {
    "alone": str,
    "in a sentence": "a {} on a table".format,
    "as a name in a sentence": lambda word: f"a {word.capitalize()} lamp",
}
LANGUAGES = ("de", "es", "fr", "ja", "ru")
NAMED, MOST_WORDS = 100, 3
PROMPTS = {
    "🐈": "cat",
    "🍎🍌": "red apple and banana",
    "a 🐉 with 🎩": "a dragon with top hat",
    "👩🏽‍🚀": "woman astronaut",
    "🦊, flat icon": "fox, flat icon",
    "Katze": "cat",
    "eine rote Katze": "a red cat",
    "Fuchs, flat icon": "fox, flat icon",
    "un chat noir": "a black cat",
    "una manzana verde": "a green apple",
    "赤いりんご": "red apple",
    "кошка": "cat",
    "고양이": "cat",
    "buterfly": "butterfly",
    "a mushrom": "a mushroom",
    "an elefant": "an elephant",
    "umbrela": "umbrella",
    "a guitarr, 3D glossy icon": "a guitar, 3D glossy icon",
    "LoRA of an iPhone": "LoRA of an iPhone",
}
"""Prompts of the kinds that people write, and how they are to be read."""


def false_corrections(folder: Path) -> dict[str, object]:
    """Returns shares of common words that are read otherwise, and all those words."""
    data = read_archive(fetch(WORDS, folder))["wordfreq/data/large_en.msgpack.gz"]
    # a header, then words by falling frequency
    ranked = [word for words in msgpack.unpackb(gzip.decompress(data))[1:] for word in words]
    words = [word for word in ranked if word.isascii() and word.replace("'", "").isalpha()]
    counts: dict[str, object] = {}
    for name, sentence in PLACES.items():
        changed = [word for word in words[: max(COMMONEST)] if read_prompt(sentence(word)).read]
        for most in COMMONEST:
            share = sum(word in changed for word in words[:most]) / most
            counts[f"{name}, of {most}"] = round(share, 5)
        counts[f"{name}, which"] = {word: read_prompt(sentence(word)).text for word in changed}
    return counts


def misspellings(folder: Path) -> dict[str, object]:
    """Returns how many misspelt words are read as what was meant."""
    pairs = [
        (slip, meant.strip())
        for line in read_archive(fetch(PAIRS, folder))["codespell_lib/data/dictionary.txt"]
        .decode()
        .splitlines()
        for slip, _, meant in [line.partition("->")]
        if slip.isalpha() and meant.strip() in name_words()
    ]
    read = [(meant, read_prompt(f"one {slip} here").text.split()[1:-1], slip) for slip, meant in pairs]
    right = sum(text == [meant] for meant, text, _ in read)
    alone = sum(text == [slip] for _, text, slip in read)
    return {"pairs": len(read), "right": right, "left alone": alone, "wrong": len(read) - right - alone}


def languages(folder: Path) -> dict[str, object]:
    """Returns shares of names that reach the model in English, before and after."""
    files = read_archive(fetch(NAMES, folder))
    names = {subject.name for subject in known().subjects}
    english = {
        bare_hexcode(each["hexcode"]): each["label"] for each in json.loads(files["package/en/data.json"])
    }
    shares: dict[str, object] = {}
    for language in LANGUAGES:
        entries = json.loads(files[f"package/{language}/data.json"])
        pairs = [(each["label"], english.get(bare_hexcode(each["hexcode"]), "")) for each in entries]
        pairs = [(label, name) for label, name in pairs if name in names]
        chosen = [pairs[place] for place in evenly(len(pairs), NAMED)]
        short = [(label, name) for label, name in chosen if len(words_of(label)) <= MOST_WORDS]
        shares[language] = {
            "after, names of at most three words": round(
                sum(read_prompt(label).text.casefold() == name for label, name in short) / len(short), 3
            ),
            "before": sum(label.casefold() == name for label, name in chosen) / len(chosen),
            "after": sum(read_prompt(label).text.casefold() == name for label, name in chosen) / len(chosen),
            "not": {
                label: read_prompt(label).text
                for label, name in chosen
                if read_prompt(label).text.casefold() != name
            },
        }
    return shares


def draw(prompts: Sequence[str], path: Path) -> None:
    """Writes a sheet with pairs of images: the prompt as it stands, and as it is read."""
    images: list[RGBA8] = []
    plain, reading = pellucid.load(read_prompts=False), pellucid.load()
    for prompt in prompts:
        for pipe in (plain, reading):
            images.append(pipe.generate(prompt, seed=1).layers[0].image)
    labels = [text for prompt in prompts for text in ("as it stands", read_prompt(prompt).text)]
    Image.fromarray(contact_sheet(images, columns=8, labels=labels)).save(path)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archives", type=Path, default=Path.home() / ".cache" / "pellucid")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    results = {
        "false corrections": false_corrections(options.archives),
        "misspellings": misspellings(options.archives),
        "languages": languages(options.archives),
        "prompts": {
            prompt: {"read as": read_prompt(prompt).text, "right": read_prompt(prompt).text == right}
            for prompt, right in PROMPTS.items()
        },
    }
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(RESULTS)
    if options.sheet:
        draw(list(PROMPTS), options.sheet)


if __name__ == "__main__":
    main()
