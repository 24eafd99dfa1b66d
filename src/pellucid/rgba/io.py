"""Former name of `pellucid.files.images`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(
    __name__,
    "pellucid.files.images",
    {"Picture": "pellucid.files.metadata:Picture", "pil_image": "pellucid.rgba.preview:pil_image"},
)
