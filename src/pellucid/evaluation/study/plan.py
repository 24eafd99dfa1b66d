"""The plan of a study, written before anybody votes: questions, methods, how many votes, when to stop."""

import hashlib
import math
import tomllib
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.stats import binom

from pellucid.errors import FileError, first_line

RATES = (0.55, 0.6, 0.65)
"""Win rates that a power table shows."""
DAMAGED = "damaged"
"""What stands for a method in votes on attention checks."""
MAX_NAME = 80
LEVEL = 0.05
POWER = 0.8


Background = Annotated[str, Field(pattern=r"^(checkerboard|photograph|#[0-9a-f]{6})$")]
"""Behind images: one of two patterns, or a colour."""


MAX_VOTES = 1_000_000
"""Beyond, powers would fill the memory, and no study goes."""


class Question(BaseModel):
    """What people are asked about which methods."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    text: str = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=2)
    votes: int = Field(ge=1, le=MAX_VOTES)
    """How many answers are collected before the study stops; nobody looks at results before."""


class Plan(BaseModel):
    """A whole study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    instructions: str = ""
    """What people read before they begin, besides how the page is used."""
    questions: tuple[Question, ...] = Field(min_length=1)
    methods: dict[str, str]
    """Name -> folder of images, which have the same names in all folders: a prompt's words, or numbers."""
    prompts: str = ""
    """File with a line for each image name: name, tab, prompt. Empty takes the names."""
    raters_a_pair: int = Field(default=3, ge=1, le=MAX_VOTES)
    swapped: float = Field(default=0.1, ge=0, le=1)
    """Share of pairs that a rater sees again the other way round."""
    attention: float = Field(default=0.05, ge=0, le=0.5)
    """Share of pairs that are an image against a damaged copy of itself."""
    backgrounds: tuple[Background, ...] = Field(
        default=("checkerboard", "#ffffff", "#000000", "photograph"), min_length=1
    )
    """On which images are shown, drawn for each pair."""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _known_methods(self) -> "Plan":
        for name in self.methods:
            # names stand in figures, tables and votes, where "damaged" is the copy of an attention check
            if not (name.isprintable() and 0 < len(name) <= MAX_NAME) or name == DAMAGED:
                raise ValueError(
                    f"a method named {name[:20]!r}, where 1 to {MAX_NAME} letters other than {DAMAGED!r} go"
                )
        for question in self.questions:
            if len(set(question.methods)) < len(question.methods):
                raise ValueError(f"question {question.id} names a method twice")
            if unknown := set(question.methods) - self.methods.keys():
                raise ValueError(f"question {question.id} names {sorted(unknown)[0]} without a folder")
        if len({question.id for question in self.questions}) < len(self.questions):
            raise ValueError("two questions have one id")
        return self

    @property
    def digest(self) -> str:
        """Returns a hash of all that was planned; votes carry it."""
        # without defaults, so that a field that is new in a later version changes no hash of an earlier plan
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:16]


def read_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        FileError: no TOML, an unknown or missing field, or a value out of range.
    """
    try:
        # -sig: editors on Windows may put a mark before the first character
        return Plan.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(
            f"Expected a plan of a study in {path}, found {first_line(error)}. See docs/how-to/study.md."
        ) from error


def power(n: int, rate: float) -> float:
    """Returns the chance that the exact two-sided sign test at 5 % finds a win rate among n decided votes.

    Args:
        n: decided votes, 1 or more; ties do not count.
        rate: true win rate, [0, 1].
    """
    wins = np.arange(n + 1)
    low = _critical(n)
    return float(binom.pmf(wins, n, rate)[(wins <= low) | (wins >= n - low)].sum())


def votes_needed(rate: float, wanted: float = POWER) -> int:
    """Returns how many decided votes find a win rate with a power of 80 %.

    From there on the power stays above: the exact test's goes up and down by a little.
    """
    # where the normal approximation lies, then on until the exact power holds for the next ones too
    z = 1.959964 + 0.841621
    n = max(5, math.floor(z * z / (4 * (rate - 0.5) ** 2) * 0.8))
    while not all(power(n + more, rate) >= wanted for more in range(12)):
        n += 1
    return n


def _critical(n: int) -> int:
    """Returns the most wins at which the sign test still finds a loss; -1 where none does."""
    below = np.cumsum(binom.pmf(np.arange(n + 1), n, 0.5))
    return int((2 * below <= LEVEL).sum()) - 1
