"""Structured prompts of layer triples: what the foreground, the background and both together show.

They come from a language model, behind an address or from a folder, or from a small grammar that ships.
Source: paper section 3.3, where a language model writes them.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from pellucid.data.chat import ChatModel, NoAnswer
from pellucid.errors import FileError, InputError, first_line

ATTEMPTS = 3
"""Questions before a scene is given up: each with a seed of its own."""
NEW_TOKENS = 160
"""Tokens of an answer; three short texts and their JSON take about 80."""
QUESTION = (
    "Write prompts for a picture with one subject in front of a background. Answer with one JSON object and "
    'nothing else, such as {{"foreground": "a glass bottle of honey", "background": "a kitchen table in '
    'morning light", "composite": "a glass bottle of honey on a kitchen table in morning light"}}. '
    "foreground: the subject alone. background: the place alone, without the subject. composite: both. At "
    "most 20 words each. Write about {idea}, or something near it."
)
ARTICLES = re.compile(r"^(a|an|the|some|two|three)\s+", re.IGNORECASE)

Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=2, max_length=300, pattern=r"^[^\n]+$")
]


class ScenePrompt(BaseModel):
    """What each image of one triple shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    foreground: Text
    """The subject alone."""
    composite: Text
    """The subject in its place."""
    background: Text
    """The place without the subject."""

    @model_validator(mode="after")
    def _distinct(self) -> "ScenePrompt":
        """Refuses what cannot make a triple: the commonest mistake is a background that has the subject."""
        subject = ARTICLES.sub("", self.foreground).lower()
        if subject in self.background.lower():
            raise ValueError(f"the background names the subject, {subject!r}")
        if self.composite.lower() in (self.foreground.lower(), self.background.lower()):
            raise ValueError("the composite is no more than one of the layers")
        return self


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no prompt for a scene."""

    reason: str
    unanswered: bool = False
    """Whether the question itself failed, and no answer was judged."""


@runtime_checkable
class SceneSource(Protocol):
    """Writes the prompts of scenes. Sources are sent to workers, so they are small."""

    @property
    def digest(self) -> str:
        """Hash of everything that decides what is written."""
        ...

    def write(self, number: int, seed: int) -> ScenePrompt | Refusal:
        """Writes the prompts of scene `number` of a run with that seed."""
        ...


@dataclass(frozen=True)
class SceneGrammar:
    """Foregrounds by their class, and places with the words that join a foreground to them."""

    foregrounds: Mapping[str, Sequence[str]]
    places: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Hash of all words."""
        words = [{name: list(each) for name, each in self.foregrounds.items()}, dict(self.places)]
        return f"grammar {sha256(json.dumps(words).encode()).hexdigest()[:16]}"

    def write(self, number: int, seed: int) -> ScenePrompt:
        """Draws a class, a foreground of it, and a place."""
        random = Random(f"{seed}/{number}")
        foreground = random.choice(self.foregrounds[random.choice(list(self.foregrounds))])
        place = random.choice(list(self.places))
        return ScenePrompt(
            foreground=foreground, background=place, composite=f"{foreground} {self.places[place]}"
        )


@dataclass(frozen=True)
class WrittenScenes:
    """Prompts that somebody wrote; scene after scene takes the next, from the first again after the last."""

    prompts: tuple[ScenePrompt, ...]

    @property
    def digest(self) -> str:
        """Hash of all prompts."""
        texts = "\n".join(prompt.model_dump_json() for prompt in self.prompts)
        return f"file {sha256(texts.encode()).hexdigest()[:16]}"

    def write(self, number: int, seed: int) -> ScenePrompt:
        """Returns the next one; the seed decides on images alone."""
        del seed
        return self.prompts[number % len(self.prompts)]


@dataclass(frozen=True, kw_only=True)
class ChatScenes:
    """Prompts by a language model behind an OpenAI-compatible address."""

    chat: ChatModel
    ideas: SceneGrammar
    """Gives each question another subject: left alone, models write the same ten scenes."""
    question: str = QUESTION

    @property
    def digest(self) -> str:
        """Hash of the question and the ideas, and the model's name."""
        asked = sha256(f"{self.question} {self.ideas.digest} {self.chat.temperature}".encode())
        return f"chat {self.chat.model} {asked.hexdigest()[:16]}"

    def write(self, number: int, seed: int) -> ScenePrompt | Refusal:
        """Asks until an answer can be used.

        Raises:
            NoAnswer: the server gives no answer at all.
        """
        question = self.question.format(idea=self.ideas.write(number, seed).composite)
        reasons: list[str] = []
        for attempt in range(ATTEMPTS):
            try:
                # below 2^31, which is all that some servers take
                answer = self.chat.ask(question, seed=(seed + number * ATTEMPTS + attempt) % 2**31)
            except NoAnswer:
                raise
            except FileError as error:  # of this question: the others may be answered
                return Refusal(first_line(error), unanswered=True)
            found = parse_answer(answer)
            if isinstance(found, ScenePrompt):
                return found
            reasons.append(found.reason)
        return Refusal(reasons[-1])


@dataclass(frozen=True, kw_only=True)
class LocalScenes:
    """Prompts by a text-generation model in a folder, with transformers."""

    folder: str
    ideas: SceneGrammar
    device: str = "cpu"
    question: str = QUESTION

    @property
    def digest(self) -> str:
        """Hash of the question and the ideas, and the model's folder."""
        asked = sha256(f"{self.question} {self.ideas.digest}".encode()).hexdigest()[:16]
        return f"model {Path(self.folder).name} {asked}"

    def write(self, number: int, seed: int) -> ScenePrompt | Refusal:
        """Samples until an answer can be used.

        Raises:
            FileError: the folder holds no such model.
        """
        question = self.question.format(idea=self.ideas.write(number, seed).composite)
        reasons: list[str] = []
        for attempt in range(ATTEMPTS):
            found = parse_answer(self._sampled(question, seed + number * ATTEMPTS + attempt))
            if isinstance(found, ScenePrompt):
                return found
            reasons.append(found.reason)
        return Refusal(reasons[-1])

    def _sampled(self, question: str, seed: int) -> str:
        import torch

        model, tokenizer = load_text_model(self.folder, self.device)
        if getattr(tokenizer, "chat_template", None):
            asked = tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False
            )
        else:
            asked = f"{question}\n"
        inputs = tokenizer(str(asked), return_tensors="pt").to(model.device)
        # generate() draws from torch's global state, which is the caller's
        with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
            torch.manual_seed(seed % 2**63)
            answer = model.generate(
                **inputs,
                do_sample=True,
                max_new_tokens=NEW_TOKENS,
                pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id,
            )
        written = answer[0, inputs["input_ids"].shape[1] :]
        return str(tokenizer.decode(written, skip_special_tokens=True))


@lru_cache(maxsize=1)
def load_text_model(folder: str, device: str) -> tuple[Any, Any]:
    """Loads a text-generation model and its tokenizer once a process; their types are transformers' secret.

    Raises:
        FileError: the folder holds none.
    """
    if not Path(folder).is_dir():  # transformers would look for it on the hub, and name that in its error
        raise FileError(
            f"Expected a text-generation model in {folder}, found no such folder. Correct its name."
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        return model.to(device).eval(), tokenizer
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise FileError(
            f"Expected a text-generation model in {folder}, found {first_line(error)}. Give a folder that "
            "transformers' `save_pretrained` wrote, in safetensors, with its tokenizer."
        ) from None


def parse_answer(answer: str) -> ScenePrompt | Refusal:
    """Reads the JSON object in a model's answer; words and code fences around it do not matter."""
    start, end = answer.find("{"), answer.rfind("}")
    if start < 0 or end < start:
        return Refusal(f"no JSON object in {answer[:80]!r}")
    try:
        return ScenePrompt.model_validate_json(answer[start : end + 1])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return Refusal(f"{place}: {first['msg']}".removeprefix(": "))


def shipped_scenes() -> SceneGrammar:
    """Returns the grammar of the package: things and places that the embedded model knows."""
    return read_scene_grammar(Path(str(files("pellucid.data") / "scene_grammar.toml")))


def read_scene_grammar(path: Path) -> SceneGrammar:
    """Reads a grammar of scenes.

    Raises:
        FileError: no TOML, or no foregrounds or places in it.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        grammar = SceneGrammar(values["foregrounds"], values["places"])
        if not grammar.places or not grammar.foregrounds or not all(grammar.foregrounds.values()):
            raise ValueError("an empty table")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise FileError(
            f"{path} is no readable grammar of scenes: {first_line(error)}. See data/scene_grammar.toml."
        ) from error
    return grammar


def read_scenes(path: Path) -> WrittenScenes:
    """Reads prompts from JSON lines with foreground, composite and background.

    Raises:
        FileError: the file cannot be read.
        InputError: a line is no such prompt, or there is none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"Expected prompts as UTF-8 text in {path}, found {first_line(error)}. Save it again."
        ) from None
    found: list[ScenePrompt] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        prompt = parse_answer(line)
        if isinstance(prompt, Refusal):
            raise InputError(
                f"Expected foreground, composite and background as JSON in line {number} of {path}, found "
                f"{prompt.reason}. Correct the line."
            )
        found.append(prompt)
    if not found:
        raise InputError(f"Expected prompts in {path}, found none. Write a JSON object a line.")
    return WrittenScenes(tuple(found))
