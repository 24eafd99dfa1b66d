"""Former name of `pellucid.data.layer_composition`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(__name__, "pellucid.data.layer_composition")
