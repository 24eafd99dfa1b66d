"""Checks of recipes: names against what is known, types against annotations, numbers against ranges."""

import difflib
import inspect
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields
from typing import Literal, get_args, get_origin, get_type_hints

from pellucid.errors import ConfigError

OLD_NAMES: Mapping[str, str] = {
    "first_subjects": "priority_subjects",
    "calmest": "low_detail_fraction",
    "frames": "roles",
    "hint": "hint_role",
    "concat": "condition_roles",
    "over": "base_adapter",
    "carrier": "alpha_encoding",
    "turned": "orientation_augmentation",
    "styled_share": "style_mix",
    "stands_at": "baseline_position",
    "overhang": "crop_allowance",
    "light": "relighting_strength",
    "belonging": "pairing_strength",
}
"""Former name of a recipe's field -> its name now. A former name is refused with this one in the message."""
SHOWN = 120
"""Characters of a wrong value that an error repeats."""


def check_names(names: Collection[str], allowed: Collection[str], *, where: str) -> None:
    """Refuses the first name that is not known.

    Args:
        names: names in a table.
        allowed: names that the table may have.
        where: the table, for the message.

    Raises:
        ConfigError: a name is unknown; the message has its present name, or the nearest one that is known.
    """
    for name in names:
        if name in allowed:
            continue
        if (renamed := OLD_NAMES.get(name)) in allowed:
            raise ConfigError(f"{where} has {name!r}, which is called {renamed!r} now. Rename it.")
        # a typo's nearest name is worth more than the list
        near = difflib.get_close_matches(name, allowed, n=1)
        advice = f"Did you mean {near[0]!r}?" if near else "Remove it, or take one of those names."
        raise ConfigError(f"{where} has no field {name!r}; its fields are {', '.join(allowed)}. {advice}")


def check_types(
    values: Mapping[str, object], annotated: Callable[..., object], *, where: str
) -> dict[str, object]:
    """Returns the values as their annotations say: lists become tuples, whole numbers floats.

    Args:
        values: plain values as TOML has them; tuples count as lists.
        annotated: a dataclass, or a function, whose annotations are meant.
        where: the table, for the message.

    Raises:
        ConfigError: a value is of another type. Text is never taken for a number, nor a number for a bool.
    """
    from pydantic import TypeAdapter, ValidationError  # here, so that `--help` does not wait for it

    hints, checked = get_type_hints(annotated), dict[str, object]()
    for name, value in values.items():
        if get_origin(hints[name]) is Literal:
            checked[name] = _choice(name, value, hints[name])
            continue
        try:
            # JSON's strict mode knows no tuples, so it takes lists for them, but no text for a number
            # TOML's dates are no JSON: as text they are refused with the usual message
            checked[name] = TypeAdapter(hints[name]).validate_json(
                json.dumps(value, default=str), strict=True
            )
        except ValidationError as error:
            expected = error.errors()[0]["msg"].removeprefix("Input should be ")
            raise ConfigError(
                f"Expected {name} of {where} to be {expected}, got {repr(value)[:SHOWN]}. Change the value."
            ) from None
    return checked


def check_choices(options: object) -> None:
    """Refuses fields of a dataclass whose values are not among those of their `Literal`.

    Raises:
        ConfigError: a value is none of the choices.
    """
    for name, hint in get_type_hints(type(options)).items():
        if get_origin(hint) is Literal:
            _choice(name, getattr(options, name), hint)


def _choice(name: str, value: object, literal: object) -> object:
    choices = get_args(literal)
    # True == 1, so types are compared too
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        listed = ", ".join(map(str, choices))
        raise ConfigError(
            f"Expected {name} to be one of {listed}, got {repr(value)[:SHOWN]}. Choose one of them."
        )
    return value


def check_range(options: object, names: Collection[str], low: float, high: float = math.inf) -> None:
    """Refuses numbers outside low <= value <= high; NaN and infinity too.

    Args:
        options: a dataclass.
        names: its fields to check; a tuple is checked number by number, None passes.
        low: the least.
        high: the most. Infinite for no bound.

    Raises:
        ConfigError: a number is out of range.
    """
    most = "or more" if math.isinf(high) else f"to {high:g}"
    for name in names:
        value = getattr(options, name)
        numbers: tuple[float | None, ...] = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            # written so that NaN, which compares false with everything, is refused
            if number is not None and not (low <= number <= high and math.isfinite(number)):
                raise ConfigError(
                    f"Expected {name} of {low:g} {most}, got {value!r}. Change it to a number in that range."
                )


def field_names(kind: type) -> tuple[str, ...]:
    """Returns the names of a dataclass's fields in order."""
    return tuple(field.name for field in fields(kind))


def required_names(kind: type) -> tuple[str, ...]:
    """Returns the names of a dataclass's fields that have no default."""
    return tuple(
        field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING
    )


def parameter_names(network: type) -> tuple[str, ...]:
    """Returns the names of a network's constructor arguments."""
    return tuple(name for name in inspect.signature(network).parameters if name != "self")
