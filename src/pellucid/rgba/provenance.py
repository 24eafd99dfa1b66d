"""Former name of `pellucid.files.metadata`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(
    __name__, "pellucid.files.metadata", {"Provenance": "GenerationMetadata", "Picture": "DecodedImage"}
)
