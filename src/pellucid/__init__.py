"""Transparent images and layers from a sentence; importing this loads no torch."""

from importlib import import_module
from typing import TYPE_CHECKING

from pellucid._version import __version__

if TYPE_CHECKING:
    from pellucid.errors import PellucidError
    from pellucid.pipelines.attach import attach
    from pellucid.pipelines.loading import load
    from pellucid.pipelines.pipeline import TransparentPipeline
    from pellucid.scene.harmonizing import harmonize
    from pellucid.scene.layer import Group, Layer, Mask
    from pellucid.scene.scene import Scene

_HOMES = {
    "Group": "pellucid.scene.layer",
    "Layer": "pellucid.scene.layer",
    "Mask": "pellucid.scene.layer",
    "PellucidError": "pellucid.errors",
    "Scene": "pellucid.scene.scene",
    "TransparentPipeline": "pellucid.pipelines.pipeline",
    "attach": "pellucid.pipelines.attach",
    "harmonize": "pellucid.scene.harmonizing",
    "load": "pellucid.pipelines.loading",
}

__all__ = [
    "Group",
    "Layer",
    "Mask",
    "PellucidError",
    "Scene",
    "TransparentPipeline",
    "__version__",
    "attach",
    "harmonize",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'pellucid' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
