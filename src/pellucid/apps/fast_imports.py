"""What a command does before it loads a model: quieter, faster imports, in our own process only."""

import gc
import importlib.util
import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from unittest.mock import patch

UNUSED = frozenset({"accelerate", "peft", "scipy", "sklearn"})
"""Optional packages that diffusers and transformers import if they are there; our commands need none."""


@contextmanager
def lean_imports() -> Generator[None]:
    """Inside, diffusers and transformers are imported as if `UNUSED` were not installed: seconds less."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # spinning threads crawl where another program computes
    find_spec = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] in UNUSED else find_spec(name, package)

    collecting = gc.isenabled()
    gc.disable()  # imports leave hardly any garbage, yet collections walk all that they make
    try:
        with patch.object(importlib.util, "find_spec", find):
            yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
