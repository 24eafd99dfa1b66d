"""Former name of `pellucid.pipelines.latents`; goes in the next release."""

from pellucid._deprecation import moved_module

__getattr__ = moved_module(
    __name__,
    "pellucid.pipelines.latents",
    {
        "rgba_of": "pellucid.files.conversion:to_rgba8",
        "with_margin": "pad_to_multiple",
        "check_codec": "check_autoencoder",
        "autoencoder_of": "load_autoencoder",
    },
)
