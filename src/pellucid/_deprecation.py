"""Names that have changed, kept for one release: they work, and say what to write instead."""

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from types import MappingProxyType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Find = Callable[[str], object]


def renamed_arguments(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Lets a function take its arguments by former names, with a DeprecationWarning.

    Args:
        names: former name -> name.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        # a constructor is called by its class's name
        shown_name = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for former in names.keys() & kwargs.keys():
                warnings.warn(
                    f"{shown_name}({former}=…) is now {names[former]}=…. "
                    "The former name goes in the next release.",
                    DeprecationWarning,
                    stacklevel=2,
                )
                if names[former] in kwargs:
                    raise TypeError(f"{shown_name}() got {former} and {names[former]}, which are one.")
                kwargs[names[former]] = kwargs.pop(former)
            return function(*args, **kwargs)

        return call

    return decorate


def moved_module(former: str, today: str, renamed: Mapping[str, str] = MappingProxyType({})) -> Find:
    """Makes the `__getattr__` of a module that has moved.

    Args:
        former: its former name.
        today: its name.
        renamed: former name of what it holds -> name, or "module:name" where that went elsewhere.
    """

    def find(name: str) -> object:
        module, _, attribute = renamed.get(name, name).rpartition(":")
        module = module or today
        try:
            value = getattr(import_module(module), attribute)
        except AttributeError:
            raise AttributeError(f"module {former!r} has no attribute {name!r}") from None
        warnings.warn(
            f"{former}.{name} is now {module}.{attribute}. The former name goes in the next release.",
            DeprecationWarning,
            stacklevel=2,
        )
        return value

    return find


def renamed_attributes(module: str, **names: str) -> Find:
    """Makes the `__getattr__` of a module that stays, some of whose names have changed.

    Args:
        module: its name.
        names: former name -> name, in the same module.
    """

    def find(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now {names[name]}. The former name goes in the next release.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(import_module(module), names[name])

    return find
