"""Former name of `pellucid.models.test_time_augmentation`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(__name__, "pellucid.models.test_time_augmentation")
