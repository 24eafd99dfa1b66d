"""Transparent images and layers from a sentence; importing this loads no torch."""

import sys
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from pellucid._version import __version__

if TYPE_CHECKING:
    from collections.abc import Generator

    from pellucid.client import Client
    from pellucid.errors import PellucidError
    from pellucid.pipelines.attach import attach
    from pellucid.pipelines.loading import load
    from pellucid.pipelines.native_layers import decompose
    from pellucid.pipelines.pipeline import TransparentPipeline
    from pellucid.scene.harmonizing import harmonize
    from pellucid.scene.layer import Group, Layer, Mask
    from pellucid.scene.scene import Scene

_HOMES = {
    "Client": "pellucid.client",
    "Group": "pellucid.scene.layer",
    "Layer": "pellucid.scene.layer",
    "Mask": "pellucid.scene.layer",
    "PellucidError": "pellucid.errors",
    "Scene": "pellucid.scene.scene",
    "TransparentPipeline": "pellucid.pipelines.pipeline",
    "attach": "pellucid.pipelines.attach",
    "decompose": "pellucid.pipelines.native_layers",
    "harmonize": "pellucid.scene.harmonizing",
    "load": "pellucid.pipelines.loading",
}

__all__ = [
    "Client",
    "Group",
    "Layer",
    "Mask",
    "PellucidError",
    "Scene",
    "TransparentPipeline",
    "__version__",
    "attach",
    "decompose",
    "harmonize",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'pellucid' has no attribute {name!r}")
    home = _HOMES[name]
    # scenes and errors need no torch, and must not import transformers for its silence
    with _quiet_imports() if home.startswith("pellucid.pipelines") else nullcontext():
        return getattr(import_module(home), name)


@contextmanager
def _quiet_imports() -> "Generator[None]":
    """Keeps transformers from advising other packages while it is imported; its level is then as before."""
    if "diffusers" in sys.modules:
        yield
        return
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def __dir__() -> list[str]:
    return __all__
