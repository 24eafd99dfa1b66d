"""pymatting's estimates; it is imported when one is first asked for."""

import sys
from importlib import import_module
from typing import Literal
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def load_pymatting() -> None:
    """Imports pymatting, and leaves torch's number of threads as it was.

    numba, on which it is built, sets OpenMP's number of threads in the thread that imports it first. That is
    torch's too, and torch's results differ by a rounding with another number of threads.

    Raises:
        ImportError: it is not installed.
    """
    if "torch" not in sys.modules:
        _import_pymatting()
        return
    import torch

    threads = torch.get_num_threads()
    _import_pymatting()
    torch.set_num_threads(threads)


def _import_pymatting() -> None:
    try:
        import_module("pymatting")
    except RuntimeError as error:
        # numba insists on a folder for what it compiles; a read-only installation without a home has none
        if "cannot cache" not in str(error):
            raise
        for name in [each for each in sys.modules if each.partition(".")[0] == "pymatting"]:
            del sys.modules[name]
        from numba.core.dispatcher import Dispatcher

        with patch.object(Dispatcher, "enable_caching", _nothing):
            import_module("pymatting")


def _nothing(_: object) -> None:
    """Stands in for what is left out."""


def estimate_foreground(image: Floats, alpha: Floats) -> Floats:
    """Returns the subject's colours, freed of the background (multi-level, Germer et al. 2020).

    Args:
        image: (h, w, 3), [0, 1].
        alpha: (h, w), [0, 1].

    Raises:
        ImportError: pymatting is not installed.
    """
    load_pymatting()
    from pymatting import estimate_foreground_ml

    return estimate_foreground_ml(image, alpha)


def estimate_alpha(image: Floats, trimap: Floats, way: Literal["closed-form", "knn"]) -> Floats:
    """Returns alpha where a trimap leaves it open (Levin et al. 2008, or Chen et al. 2013).

    Args:
        image: (h, w, 3), [0, 1].
        trimap: (h, w): 0 outside, 1 inside, 0.5 open.
        way: which.

    Raises:
        ImportError: pymatting is not installed.
    """
    load_pymatting()
    from pymatting import estimate_alpha_cf, estimate_alpha_knn

    return (estimate_alpha_cf if way == "closed-form" else estimate_alpha_knn)(image, trimap)
