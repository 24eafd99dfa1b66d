"""Former name of `pellucid.training.trainer`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(__name__, "pellucid.training.trainer", {"Run": "Trainer"})
