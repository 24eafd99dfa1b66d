"""Former name of `pellucid.files.images`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(
    __name__,
    "pellucid.files.images",
    {
        "Picture": "pellucid.files.metadata:DecodedImage",
        "read_picture": "read_image",
        "write_picture": "write_image",
        "encode_picture": "encode_image",
        "pil_image": "pellucid.rgba.preview:pil_image",
    },
)
