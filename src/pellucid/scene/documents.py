"""Former name of `pellucid.scene.formats.registry`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(__name__, "pellucid.scene.formats.registry")
