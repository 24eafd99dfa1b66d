"""Types and shapes checked at each call, as jaxtyping checks them, in a fraction of its time.

jaxtyping decorates all functions of `pellucid` (`--jaxtyping-packages` in pyproject.toml). Its decorator has
beartype compile two checks of a function, binds the arguments to the signature by itself, and checks
all again when it returns. That was a quarter of the processor time of many a test file. Here a function

- is checked once, by what beartype compiles for it: the same annotations, at the same calls;
- remembers the sizes of named axes only if its annotations name arrays, since nothing else has any;
- is prepared when it is first called, and most are never called by a test process.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast, get_args, get_type_hints

import jaxtyping
import numpy as np
from jaxtyping import Shaped

ARRAY: type = type(cast("type", Shaped[np.ndarray, "..."]))
Function = Callable[..., Any]
Check = Callable[[Function], Function]
jaxtyping_decorator = cast("Any", jaxtyping.jaxtyped)


def names_arrays(hint: object) -> bool:
    """Whether an annotation is of arrays, or of anything that holds them."""
    if isinstance(hint, TypeVar):
        parts: Sequence[object] = (*hint.__constraints__, hint.__bound__)
    else:
        parts = cast("list[object]", hint) if isinstance(hint, list) else get_args(hint)  # a list: Callable's
    return isinstance(hint, ARRAY) or any(map(names_arrays, parts))


def prepared(function: Function, check: Check) -> Function:
    """The function with its checks: jaxtyping's own where an annotation says a name that cannot be found.

    Generators and coroutines have jaxtyping's too, which checks them when they are made; beartype waits until
    they run, and the sizes of another function's axes may be the remembered ones by then.
    """
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        return jaxtyping_decorator(function, typechecker=check)
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError):
        return jaxtyping_decorator(function, typechecker=check)
    checked = check(function)
    return (
        jaxtyping_decorator(checked, typechecker=None) if any(map(names_arrays, hints.values())) else checked
    )


def lightly_checked(function: Function, check: Check) -> Function:
    """What jaxtyping's decorator returns, prepared at the first call."""
    ready: Function | None = None

    @functools.wraps(function)
    def first(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        __tracebackhide__ = True
        nonlocal ready
        if ready is None:
            ready = prepared(function, check)
        return ready(*args, **kwargs)

    return first


def jaxtyped(target: Any, /, *, typechecker: Check) -> Any:  # noqa: ANN401
    """Stands in for `jaxtyping.jaxtyped`: functions are checked lightly, all else as there."""
    if inspect.isfunction(target):
        return lightly_checked(target, typechecker)
    if inspect.isclass(target) and "__init__" in vars(target) and hasattr(target, "__dataclass_fields__"):
        if not hasattr(target.__init__, "__wrapped__"):  # else written by hand, and checked already
            target.__init__ = lightly_checked(target.__init__, typechecker)
        return target
    return jaxtyping_decorator(target, typechecker=typechecker)


def install() -> None:
    """Has jaxtyping's import hook, which looks the decorator up by its name, find the one above."""

    def found(target: Any = None, /, *, typechecker: Check) -> Any:  # noqa: ANN401
        if target is None:
            return functools.partial(jaxtyped, typechecker=typechecker)
        return jaxtyped(target, typechecker=typechecker)

    jaxtyping.jaxtyped = found
