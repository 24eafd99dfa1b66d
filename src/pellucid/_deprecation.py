"""Names that have changed, kept for one release: they work, and say what to write instead."""

import warnings
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed_arguments(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Lets a function take its arguments by former names, with a DeprecationWarning.

    Args:
        names: former name -> name.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for former in names.keys() & kwargs.keys():
                warnings.warn(
                    f"{function.__name__}({former}=…) is now {names[former]}=…. "
                    "The former name goes in the next release.",
                    DeprecationWarning,
                    stacklevel=2,
                )
                if names[former] in kwargs:
                    raise TypeError(f"{function.__name__}() got {former} and {names[former]}, which are one.")
                kwargs[names[former]] = kwargs.pop(former)
            return function(*args, **kwargs)

        return call

    return decorate


def moved_names(former: str, names: dict[str, str]) -> Callable[[str], object]:
    """Makes the `__getattr__` of a module whose names live elsewhere now.

    Args:
        former: the module's `__name__`.
        names: name that it had -> "module:name" of today.
    """

    def find(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {former!r} has no attribute {name!r}")
        module, _, today = names[name].partition(":")
        warnings.warn(
            f"{former}.{name} is now {module}.{today}. The former name goes in the next release.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(import_module(module), today)

    return find
