"""The checks of types and shapes that all tests run with refuse what jaxtyping's own decorator refuses."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import Float, UInt8

import lighter_checks
from pellucid.rgba.preview import checkerboard

Plane = Float[np.ndarray, "h w"]
P = TypeVar("P", bound=Float[np.ndarray, "4"])
CHECK: Any = beartype(conf=BeartypeConf(is_pep484_tower=True))
HERE, ONE, WIDE = np.zeros((2, 3)), np.zeros((1, 1)), np.zeros((3, 2))


def plain(number: float, names: Sequence[str] = ()) -> str:
    return "" if number else number  # pyright: ignore


def planes(first: Plane, second: Plane) -> Plane:
    return first if first.any() else first[:, :1]


def several(planes: list[Plane] | None) -> Float[np.ndarray, "h"]:
    return np.zeros(len(planes[0])) if planes else np.zeros(1)


def of_one_kind(value: P) -> P:
    return value


def later(value: "Later | None", plane: Plane) -> None: ...


def unknown(value: "Unknown", plane: Plane) -> None: ...  # pyright: ignore


def numbers(up_to: int) -> Generator[int]:
    yield from range(up_to)


@contextmanager
def opened(plane: Plane) -> Generator[Plane]:
    yield plane


@dataclass(frozen=True)
class Later:
    plane: UInt8[np.ndarray, "h w"]
    other: UInt8[np.ndarray, "h w"]
    name: str = ""


DECORATORS: list[Any] = [lighter_checks.jaxtyped, lighter_checks.jaxtyping_decorator]
BYTES = np.zeros((2, 3), np.uint8)
CALLS: list[tuple[Callable[..., object], tuple[object, ...], bool]] = [
    (plain, (1,), True),
    (plain, (0,), False),  # its answer is no string
    (plain, ("1",), False),
    (plain, (1.5, ["a"]), True),
    (plain, (1.5, [1]), False),
    (planes, (HERE + 1, HERE), True),
    (planes, (HERE, HERE), False),  # its answer has another width
    (planes, (HERE + 1, WIDE), False),
    (planes, (BYTES, BYTES), False),
    (several, ([HERE],), True),
    (several, ([BYTES],), False),
    (several, (None,), True),
    (of_one_kind, (np.zeros(4),), True),
    (of_one_kind, (np.zeros(5),), False),
    (later, (None, HERE), True),
    (later, (1, HERE), False),
    (unknown, (1, HERE), True),
    (unknown, (1, BYTES), False),
    (numbers, (3,), True),
    (numbers, ("3",), False),
]


@pytest.mark.parametrize("decorate", DECORATORS)
@pytest.mark.parametrize(("function", "given", "fits"), CALLS)
def test_a_call_is_refused_where_types_or_shapes_do_not_fit(
    function: Callable[..., object], given: tuple[object, ...], fits: bool, decorate: Callable[..., Any]
) -> None:
    checked = decorate(function, typechecker=CHECK)
    for _ in range(2):
        if fits:
            checked(*given)
        else:
            with pytest.raises(Exception, match=r"(?i)violates type hint|type-check error"):
                checked(*given)


@pytest.mark.parametrize("decorate", DECORATORS)
def test_fields_are_checked(decorate: Callable[..., Any]) -> None:
    class Fields(Later):
        pass

    checked = decorate(dataclass(frozen=True)(Fields), typechecker=CHECK)
    assert checked(BYTES, BYTES, "a").name == "a"
    for wrong in ((BYTES, BYTES[:1]), (HERE, HERE), (BYTES, BYTES, 1)):
        with pytest.raises(Exception, match=r"(?i)violates type hint|type-check error"):
            checked(*wrong)


def test_names_and_texts_of_functions_stay() -> None:
    checked = lighter_checks.jaxtyped(planes, typechecker=CHECK)
    assert checked.__name__ == "planes"
    assert checked.__wrapped__ is planes


def test_the_library_is_checked_while_it_is_tested() -> None:
    with pytest.raises(Exception, match=r"violates type hint"):
        checkerboard("wide", 3)  # pyright: ignore
