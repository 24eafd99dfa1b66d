"""Former name of `pellucid.rgba.layer_separation`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(
    __name__,
    "pellucid.rgba.layer_separation",
    {"foreground_from": "extract_foreground", "background_from": "extract_background"},
)
