"""Former name of `pellucid.pipelines.background_check`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(
    __name__,
    "pellucid.pipelines.background_check",
    {"FAULT": "THRESHOLD", "backdrop_distance": "background_distance"},
)
