"""Former name of `pellucid.weights.adapter_manager`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(__name__, "pellucid.weights.adapter_manager", {"Wardrobe": "AdapterManager"})
