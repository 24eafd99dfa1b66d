"""Rules that an image must pass to be trained on: one row of data a rule, tried in order."""

import importlib
import math
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pellucid.data.filters.measures import Measures
from pellucid.data.records import Record
from pellucid.errors import ConfigError, InputError, first_line
from pellucid.files.toml_values import read_value
from pellucid.rgba.types import RGBA8

Plugin = Callable[[RGBA8, Record], object]
"""A rule answers None or a reason; a score answers a number."""


class Rules(BaseModel):
    """Thresholds of the rules, as a TOML table or options give them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_side_px: int = Field(default=64, ge=1)
    """Shorter side that an image has at least."""
    max_aspect: float = Field(default=4.0, ge=1)
    """Longer side by shorter side, at most."""
    opaque: bool = False
    """Whether images without transparency pass: backgrounds, photographs."""
    min_transparent: float = Field(default=0.02, ge=0, le=1)
    """Share of pixels that are transparent, at least."""
    min_visible: float = Field(default=0.01, ge=0, le=1)
    """Share of pixels that are visible, at least."""
    max_checkerboard: float = Field(default=0.7, ge=0, le=1)
    """Agreement with a painted checkerboard, at most."""
    max_matte: float = Field(default=0.8, ge=0, le=1)
    """Share of the border that is opaque and of one colour, at most."""
    max_fringe: float = Field(default=12.0, ge=0)
    """Levels by which edges show a colour of neither subject nor background, at most."""
    max_dirty: float = Field(default=0.02, ge=0, le=1)
    """Share of pixels whose alpha is nearly, but not, 0 or 255, at most."""
    min_soft: float = Field(default=0.0, ge=0, le=1)
    """Share of the visible area that is glass, smoke or glow, at least; see `records.softness`."""
    max_soft: float = Field(default=1.0, ge=0, le=1)
    """The same, at most."""
    licences: tuple[str, ...] = ("*",)
    """Patterns of licences that pass, such as "CC0*". "?*" wants that there is one at all."""
    rules: tuple[str, ...] = ()
    """Rules of one's own, as "package.module:function"; each is called with the image and its record."""
    scores: Mapping[str, str] = Field(default_factory=dict)
    """Scores of one's own by name, as "package.module:function"; kept in the record."""
    min_scores: Mapping[str, float] = Field(default_factory=dict)
    """Least value of a score, by its name."""
    duplicates: bool = False
    """Whether near-duplicates stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What a measure may be."""

    least: float = -math.inf
    most: float = math.inf

    def __str__(self) -> str:
        return f"{self.least:g} or more" if math.isinf(self.most) else f"{self.most:g} or less"


Limits = Range | tuple[str, ...]
"""A range of numbers, or patterns of words."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image with all that rules look at."""

    rgba: RGBA8
    record: Record
    measures: Measures


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason to drop an image: what is measured leaves what the rules allow."""

    name: str
    """Stands in the funnel."""
    measure: Callable[[Candidate], float | str]
    allows: Callable[[Rules], Limits]
    asked: Callable[[Rules], bool] = lambda rules: True
    """Whether these rules ask for it at all."""

    def drops(self, candidate: Candidate, rules: Rules) -> str | None:
        """Returns what was measured and allowed, for people, or None where the image passes."""
        if not self.asked(rules):
            return None
        value, limits = self.measure(candidate), self.allows(rules)
        if isinstance(limits, tuple):  # patterns
            fits = any(fnmatchcase(str(value).lower(), pattern.lower()) for pattern in limits)
            return None if fits else f"{value or 'none'}, not {' or '.join(limits)}"
        if limits.least <= float(value) <= limits.most:
            return None
        return f"{float(value):.3g}, not {limits}"


def _aspect(it: Candidate) -> float:
    sides = it.measures.height, it.measures.width
    return max(sides) / max(1, min(sides))


RULES: tuple[Rule, ...] = (
    Rule("licence", lambda it: it.record.licence, lambda rules: rules.licences),
    Rule(
        "too small",
        lambda it: min(it.measures.height, it.measures.width),
        lambda rules: Range(least=rules.min_side_px),
    ),
    Rule("too long", _aspect, lambda rules: Range(most=rules.max_aspect)),
    Rule("empty", lambda it: it.measures.visible, lambda rules: Range(least=rules.min_visible)),
    # the two before "opaque" are better reasons for the same image
    Rule(
        "painted checkerboard",
        lambda it: it.measures.checkerboard,
        lambda rules: Range(most=rules.max_checkerboard),
    ),
    Rule(
        "plain background",
        lambda it: it.measures.matte,
        lambda rules: Range(most=rules.max_matte),
        lambda rules: not rules.opaque,
    ),
    Rule(
        "opaque",
        lambda it: it.measures.transparent,
        lambda rules: Range(least=rules.min_transparent),
        lambda rules: not rules.opaque,
    ),
    Rule("dirty alpha", lambda it: it.measures.dirty, lambda rules: Range(most=rules.max_dirty)),
    Rule("fringe", lambda it: it.measures.fringe, lambda rules: Range(most=rules.max_fringe)),
    Rule("not soft enough", lambda it: it.measures.soft, lambda rules: Range(least=rules.min_soft)),
    Rule("too soft", lambda it: it.measures.soft, lambda rules: Range(most=rules.max_soft)),
)
"""In the order of the funnel: cheap and certain ones first."""
UNREADABLE, DUPLICATE, FAILED = "unreadable", "near-duplicate", "failed"
"""Reasons that are found before and after these rules."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an image was dropped."""

    rule: str
    """What the funnel counts."""
    detail: str = ""
    """What was measured, and what is allowed."""


def reason_to_drop(candidate: Candidate, rules: Rules) -> Reason | None:
    """Returns the first rule that an image breaks, or None."""
    for rule in RULES:
        if detail := rule.drops(candidate, rules):
            return Reason(rule.name, detail)
    for name in rules.rules:
        if reason := plugin(name)(candidate.rgba, candidate.record):
            return Reason(str(reason), name)
    for name, least in rules.min_scores.items():
        value = candidate.record.scores.get(name)
        if value is None or not value >= least:  # false for NaN too
            return Reason(f"score {name}", f"{value}, not {least:g} or more")
    return None


def wrong_rule(error: ValidationError, model: type[BaseModel]) -> ConfigError:
    """Makes the error for values that are no rules of `model`."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return ConfigError(
            f"Expected rules among {', '.join(model.model_fields)}, found {place}. Correct it, "
            "or leave it out."
        )
    return ConfigError(
        f"Expected another value of {place}, found {first['input']!r}: {first['msg']}. Correct it, or leave "
        "it out."
    )


def plugin_scores(rgba: RGBA8, record: Record, rules: Rules) -> dict[str, float]:
    """Asks every score of one's own about an image.

    Raises:
        InputError: one answers NaN or infinity, which JSON cannot say.
    """
    scores = {name: float(plugin(path)(rgba, record)) for name, path in rules.scores.items()}  # type: ignore[arg-type]
    if wrong := [f"{name} {value}" for name, value in scores.items() if not math.isfinite(value)]:
        raise InputError(
            f"Expected a number from each score, found {', '.join(wrong)}. Correct its function."
        )
    return scores


def plugin(path: str) -> Plugin:
    """Imports a rule or score.

    Args:
        path: "package.module:function".

    Raises:
        ConfigError: no such module or function.
    """
    module, colon, name = path.partition(":")
    # last, so that it hides nothing: Python adds the working folder for `python -m` but not for a command
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        if not colon or not re.fullmatch(r"[\w.]+", module):
            raise ImportError("it names no module and function")
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module that is imported runs, and may raise anything
        raise ConfigError(
            f"Expected a function as package.module:function, found {path!r}: {first_line(error)}. "
            "Check the spelling, and that the module can be imported where the command runs."
        ) from error
    if not callable(function):
        raise ConfigError(f"Expected a function at {path!r}, found {type(function).__name__}. Name another.")
    return function


def read_rules(path: Path | None, overrides: Mapping[str, str]) -> Rules:
    """Reads rules from a TOML file, then the overrides.

    Args:
        path: of the file. None starts from the usual rules.
        overrides: values by name, as text.

    Raises:
        ConfigError: no TOML, an unknown name or a value out of range.
    """
    return make_rules(read_table(path, overrides))


def read_table(path: Path | None, overrides: Mapping[str, str]) -> dict[str, object]:
    """Reads a TOML file and puts overrides into it; arguments and errors as `read_rules`."""
    try:
        values: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"Expected rules as TOML in {path}, found {first_line(error)}. Correct the file."
        ) from error
    for key, text in overrides.items():
        table, dot, name = key.partition(".")
        if dot:  # scores.NAME and min_scores.NAME
            inner = values.get(table)
            values[table] = {**(inner if isinstance(inner, Mapping) else {}), name: read_value(text)}
        else:
            values[table] = read_value(text)
    return values


def make_rules(values: Mapping[str, object]) -> Rules:
    """Builds rules from a TOML table or options.

    Raises:
        ConfigError: an unknown name or a value out of range, or a plug-in that cannot be imported.
    """
    try:
        rules = Rules.model_validate(values)
    except ValidationError as error:
        raise wrong_rule(error, Rules) from error
    for path in (*rules.rules, *rules.scores.values()):
        plugin(path)  # a wrong path fails here, not after an hour in some worker
    if unknown := rules.min_scores.keys() - rules.scores.keys() - {"fringe", "dirty", "transparent", "soft"}:
        raise ConfigError(
            f"Expected a score for each of min_scores, found none for {', '.join(sorted(unknown))}. "
            "Name its function under scores."
        )
    return rules
