"""What a command does before it loads a model: quieter, faster imports, in our own process only."""

import gc
import os
import sys
from collections.abc import Collection, Generator
from contextlib import contextmanager

UNUSED = ("accelerate", "peft", "scipy", "sklearn")
"""Optional packages that diffusers and transformers import if they are there; our commands need none."""


@contextmanager
def lean_imports(needed: Collection[str] = ()) -> Generator[None]:
    """Imports diffusers and transformers as if `UNUSED`, but for what is needed, were not installed.

    It saves seconds.

    None in `sys.modules` is Python's own way to say that a module cannot be imported.
    """
    # spinning threads crawl where another program computes
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    hidden = [name for name in UNUSED if name not in sys.modules and name not in needed]
    collecting = gc.isenabled()
    gc.disable()  # imports leave hardly any garbage, yet collections walk all that they make
    try:
        sys.modules.update(dict.fromkeys(hidden))  # pyright: ignore[reportArgumentType, reportCallIssue]
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
        # what was imported stays to the end, so collections need not walk it again
        gc.freeze()
        if collecting:
            gc.enable()
