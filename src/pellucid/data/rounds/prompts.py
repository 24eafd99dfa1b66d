"""Where the prompts of a round come from: a file with weights, or the small grammar that ships."""

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Protocol, runtime_checkable

from pellucid.errors import FileError, InputError, first_line


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an image is asked to show."""

    text: str
    topic: str = ""
    """Class of prompts that it belongs to; review can take turns between them."""


@runtime_checkable
class PromptSource(Protocol):
    """Draws prompts; the same key gives the same prompt."""

    @property
    def digest(self) -> str:
        """Hash of everything that decides what is drawn."""
        ...

    def draw(self, key: str) -> Prompt:
        """Draws the prompt of a key."""
        ...


@dataclass(frozen=True)
class WeightedPrompts:
    """A list of prompts, each with its weight."""

    prompts: Sequence[Prompt]
    weights: Sequence[float]

    @property
    def digest(self) -> str:
        """Hash of the list and its weights."""
        lines = [[each.text, each.topic, w] for each, w in zip(self.prompts, self.weights, strict=True)]
        return hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:16]

    def draw(self, key: str) -> Prompt:
        """Draws by weight."""
        return Random(key).choices(self.prompts, cum_weights=self._ends)[0]

    @cached_property
    def _ends(self) -> list[float]:
        # added up once: a list of millions is drawn from millions of times
        return list(accumulate(self.weights))


@dataclass(frozen=True)
class Grammar:
    """Sentences with holes, and the words that fill them."""

    sentences: Sequence[str]
    subjects: Sequence[str]
    """Tables of which one stands for `{subject}`, each as often as the others."""
    words: Mapping[str, Sequence[str]]

    @property
    def digest(self) -> str:
        """Hash of sentences and words."""
        content = [list(self.sentences), list(self.subjects), {k: list(v) for k, v in self.words.items()}]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def draw(self, key: str) -> Prompt:
        """Draws a sentence, then a word for each of its holes."""
        random = Random(key)
        topic = random.choice(self.subjects)

        def word(hole: re.Match[str]) -> str:
            return random.choice(self.words[topic if hole[1] == "subject" else hole[1]])

        return Prompt(re.sub(r"\{(\w+)\}", word, random.choice(self.sentences)), topic)


def shipped_grammar() -> Grammar:
    """Returns the grammar of the package: subjects that the embedded model knows."""
    return read_grammar(Path(str(files("pellucid.data.rounds") / "grammar.toml")))


def read_grammar(path: Path) -> Grammar:
    """Reads a grammar.

    Raises:
        FileError: no TOML, or a hole without a table of words.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        grammar = Grammar(values["sentences"], values["subjects"], values["words"])
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"{path} is no readable grammar: {first_line(error)}. See data/rounds/grammar.toml."
        ) from error
    holes = {hole for each in grammar.sentences for hole in re.findall(r"\{(\w+)\}", each)} - {"subject"}
    if missing := [name for name in (*sorted(holes), *grammar.subjects) if not grammar.words.get(name)]:
        raise FileError(f"Expected words for {missing} in {path}, found none. Add them below [words].")
    return grammar


def read_prompts(path: Path) -> WeightedPrompts:
    """Reads prompts, a line each: `prompt<TAB>weight<TAB>class`, or JSON with these names in a .jsonl file.

    Weight (1 if absent) says how often a prompt is drawn, relative to the others. Empty lines and lines that
    begin with # are skipped.

    Raises:
        FileError: the file cannot be read.
        InputError: a line has no prompt, or its weight is no number of 0 or more; or all weights are 0.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"Expected prompts as UTF-8 text in {path}, found {first_line(error)}. Save it again."
        ) from None
    read = _json_line if path.suffix == ".jsonl" else _tab_line
    found: list[tuple[Prompt, float]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            prompt, weight = read(line)
            if not prompt.text or not 0 <= weight < math.inf:
                raise ValueError(f"prompt {prompt.text!r} with weight {weight}")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"Expected a prompt and a weight of 0 or more in line {number} of {path}, found "
                f"{first_line(error)}. Correct the line."
            ) from None
        found.append((prompt, weight))
    if not sum(weight for _, weight in found) > 0:
        raise InputError(f"Expected prompts in {path}, found none with a weight above 0. Add some.")
    return WeightedPrompts([prompt for prompt, _ in found], [weight for _, weight in found])


def _tab_line(line: str) -> tuple[Prompt, float]:
    text, weight, topic, *_ = [*line.split("\t"), "", ""]
    return Prompt(text.strip(), topic.strip()), float(weight.strip() or 1)


def _json_line(line: str) -> tuple[Prompt, float]:
    values = json.loads(line)
    return Prompt(str(values["prompt"]).strip(), str(values.get("class", ""))), float(values.get("weight", 1))
