"""A VAE whose outermost convolutions are grown to four channels, so that it reads and shows alpha itself.

The other way to a transparent latent (AlphaVAE, arXiv 2507.09308, section 3): nothing stays frozen, and there
is no second decoder. Here for comparison, under the same codec and the same scores.
"""

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from jaxtyping import Float
from torch import Tensor, nn

from pellucid.models.latent_space import latent_space
from pellucid.models.mini_vae import MiniVAE

VAE = AutoencoderKL | MiniVAE
"""The two kinds of VAE that can be inflated; they have the same methods and no common base."""


def decoded(vae: VAE, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h2 w2"]:
    """Returns a VAE's image of raw latents, about [-1, 1]."""
    return vae.decode(latent, return_dict=False)[0]  # pyright: ignore[reportArgumentType] - any float will do


@torch.no_grad()
def inflated(vae: VAE) -> VAE:
    """Returns a copy of a VAE with inflated weights: four channels in and out, alpha last, all in [-1, 1].

    What is new starts at zero, and alpha's last bias at 1: the copy ignores alpha, shows what `vae` shows,
    and says that all is opaque.
    """
    config = {name: value for name, value in vae.config.items() if not name.startswith("_")}
    grown = type(vae).from_config({**config, "in_channels": 4, "out_channels": 4})
    assert isinstance(grown, VAE)
    nn.Module.to(grown, vae.device)
    original = vae.state_dict()
    for name, value in grown.state_dict().items():
        # a three-channel weight is the corner of the four-channel one
        value.zero_()[tuple(slice(length) for length in original[name].shape)] = original[name]
    last = grown.patch_out if isinstance(grown, MiniVAE) else grown.decoder.conv_out
    # 1 in [-1, 1] is opaque
    last.bias[3] = 1.0  # pyright: ignore[reportOptionalSubscript]
    return grown


class InflatedEncoder(nn.Module):
    """In the place of an offset encoder: its output is the raw latent itself."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae, self.config = vae, vae.config
        self.pixels_per_latent = latent_space(vae).pixels_per_latent

    def posterior(self, rgba: Float[Tensor, "b 4 h w"]) -> DiagonalGaussianDistribution:
        """Encodes to a distribution of raw latents; colour enters over grey, as the frozen VAE sees it."""
        rgb, alpha = rgba[:, :3], rgba[:, 3:]
        pixels = torch.cat([(2 * rgb - 1) * alpha, 2 * alpha - 1], dim=1)
        return self.vae.encode(pixels, return_dict=False)[0]

    def forward(self, rgba: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Returns the mean of `posterior`. `rgba` is straight, in [0, 1]."""
        return self.posterior(rgba).mean


class InflatedDecoder(nn.Module):
    """In the place of an alpha decoder: it reads the latent alone."""

    upscale = 1

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae, self.config = vae, vae.config
        self.pixels_per_latent = self.multiple = latent_space(vae).pixels_per_latent

    def forward(
        self, rgb: Float[Tensor, "b 3 h w"] | None, latent: Float[Tensor, "b c h2 w2"]
    ) -> Float[Tensor, "b 4 h w"]:
        """Decodes raw latents to straight colour and alpha, about [0, 1]; `rgb` is not used."""
        return decoded(self.vae, latent) / 2 + 0.5
