"""The embedded model's VAE: convolutions begin where pixels are folded into channels, as suits a CPU.

Images are RGB in [-1, 1]; latents are raw (multiply by `config.scaling_factor` before diffusion).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, convolution, twice, and the input added; the last convolution starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        h = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(h)))


def _level(width: int, blocks: int) -> list[nn.Module]:
    return [ResidualBlock(width) for _ in range(blocks)]


class MiniVAE(ModelMixin, ConfigMixin):
    """Encodes images to latents and back, 2**(levels - 1) pixels a latent.

    Args:
        block_out_channels: channels at 1, 1/2, 1/4 … of the image's size. Levels below `folded_levels` are
            only folded pixels, so theirs must be 3 · 4**level.
        folded_levels: how many halvings are pixel-unshuffle, without convolutions.
        layers_per_block: residual blocks at each level that has convolutions.
        latent_channels: channels of a latent.
        scaling_factor: 1 / standard deviation of the training images' latents.
        sample_size: height and width it was trained at, px.
        in_channels: 3, or 4 with alpha; folded levels then hold a third more than `block_out_channels` says.
        out_channels: the same of the image that comes back.
    """

    @register_to_config
    def __init__(
        self,
        block_out_channels: Sequence[int] = (3, 12, 96, 192),
        folded_levels: int = 2,
        layers_per_block: int = 2,
        latent_channels: int = 16,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        sample_size: int = 64,
        in_channels: int = 3,
        out_channels: int = 3,
    ) -> None:
        super().__init__()
        widths = list(block_out_channels[folded_levels:])
        folded = 4**folded_levels
        if list(block_out_channels[:folded_levels]) != [3 * 4**level for level in range(folded_levels)]:
            raise ValueError(
                f"Folded levels hold 3 * 4**level channels, found {block_out_channels}. Correct the config."
            )
        self.fold = 2**folded_levels
        encoder: list[nn.Module] = [
            nn.Conv2d(in_channels * folded, widths[0], 3, padding=1),
            *_level(widths[0], layers_per_block),
        ]
        decoder: list[nn.Module] = [nn.Conv2d(latent_channels, widths[-1], 3, padding=1)]
        decoder += _level(widths[-1], layers_per_block)
        for narrow, wide in pairwise(widths):
            encoder += [nn.PixelUnshuffle(2), nn.Conv2d(4 * narrow, wide, 1), *_level(wide, layers_per_block)]
        # neighbours from the widest on; the narrowest is the last one's partner, hence one list is shorter
        for wide, narrow in zip(widths[::-1], widths[-2::-1], strict=False):
            decoder += [nn.Conv2d(wide, 4 * narrow, 1), nn.PixelShuffle(2), *_level(narrow, layers_per_block)]
        tail = [
            nn.GroupNorm(8, widths[-1]),
            nn.SiLU(),
            nn.Conv2d(widths[-1], 2 * latent_channels, 3, padding=1),
        ]
        head = [
            nn.GroupNorm(8, widths[0]),
            nn.SiLU(),
            nn.Conv2d(widths[0], out_channels * folded, 3, padding=1),
        ]
        self.encoder = nn.Sequential(*encoder, *tail)
        self.decoder = nn.Sequential(*decoder, *head)
        # of the whole code, so that the linear share and the networks meet in one latent
        patch = self.fold * 2 ** (len(widths) - 1)
        self.patch_in = nn.Conv2d(
            in_channels, latent_channels, patch, stride=patch
        )  # the linear share of the code
        self.patch_out = nn.ConvTranspose2d(latent_channels, out_channels, patch, stride=patch)

    @property
    def pixels_per_latent(self) -> int:
        """Returns the pixels along one side of a latent's cell."""
        return self.patch_in.kernel_size[0]

    def encode(
        self, x: Float[Tensor, "b k h w"], return_dict: bool = True
    ) -> AutoencoderKLOutput | tuple[DiagonalGaussianDistribution]:
        """Encodes images in [-1, 1] to a distribution of raw latents (b, c, h / ppl, w / ppl)."""
        moments = self.encoder(functional.pixel_unshuffle(x, self.fold))
        mean, logvar = moments.chunk(2, dim=1)
        # - 4 makes the variance small before training, so that decoding learns from clear latents
        posterior = DiagonalGaussianDistribution(torch.cat([mean + self.patch_in(x), logvar - 4], dim=1))
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def decode(
        self, z: Float[Tensor, "b c h w"], return_dict: bool = True, generator: torch.Generator | None = None
    ) -> DecoderOutput | tuple[Tensor]:
        """Decodes raw latents to images, about [-1, 1]; `generator` is there because pipelines pass it."""
        image = functional.pixel_shuffle(self.decoder(z), self.fold) + self.patch_out(z)
        return DecoderOutput(sample=image) if return_dict else (image,)

    def forward(self, sample: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k2 h w"]:
        latents = self.encode(sample).latent_dist.mode()  # type: ignore[union-attr]
        return self.decode(latents).sample  # type: ignore[union-attr]
