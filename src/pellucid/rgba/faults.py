"""Former name of `pellucid.rgba.defects`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(
    __name__,
    "pellucid.rgba.defects",
    {"Faults": "Defects", "DIRT": "NOISE_THRESHOLD", "SMALL": "SPECKLE_SHARE"},
)
