"""The last part of an alpha decoder whose images are larger than those of the frozen VAE."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ResidualConvolutions(nn.Module):
    """Two 3x3 convolutions around a skip, without norms: sums over an image would tie edges to its rest."""

    def __init__(self, width: int) -> None:
        """`width` channels throughout."""
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.conv2(F.silu(self.conv1(x)))


class Enlarger(nn.Module):
    """Enlarges a decoder's image by interpolation, corrected by convolutions over the decoder's features.

    Before training the correction is 0, and the result is the interpolated image.
    """

    def __init__(self, features: int, fold: int, upscale: int, width: int, blocks: int) -> None:
        """Builds the convolutions, which work on squares of folded pixels.

        Args:
            features: channels of the decoder's last features.
            fold: pixels of the smaller image that one position of the features stands for, on each side.
            upscale: how many times each side becomes longer.
            width: channels of the convolutions.
            blocks: `ResidualConvolutions`.
        """
        super().__init__()
        # at twice the features' resolution where both allow: edges are finer than what a fold by 4 can say
        self.step = 2 if fold % 2 == 0 and features % 4 == 0 else 1
        self.grid, self.upscale = fold // self.step, upscale
        inner = features // self.step**2 + (4 + 3) * self.grid**2
        self.conv_in = nn.Conv2d(inner, width, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualConvolutions(width) for _ in range(blocks))
        self.conv_out = nn.Conv2d(width, 4 * (upscale * self.grid) ** 2, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # pyright: ignore[reportArgumentType]

    def forward(
        self,
        rgba: Float[Tensor, "b 4 h w"],
        rgb: Float[Tensor, "b 3 h w"],
        features: Float[Tensor, "b c h2 w2"],
    ) -> Float[Tensor, "b 4 h3 w3"]:
        """Enlarges straight colour and alpha.

        Args:
            rgba: the decoder's image, not clipped.
            rgb: the frozen VAE's image in [0, 1].
            features: what the image was read from, `fold` times smaller.

        Returns:
            `upscale` times as high and wide, mostly in [0, 1].
        """
        image = torch.cat([rgba, rgb.to(rgba)], dim=1)
        parts = [F.pixel_unshuffle(image, self.grid), F.pixel_shuffle(features, self.step).to(rgba)]
        x = self.conv_in(torch.cat(parts, dim=1))
        for block in self.blocks:
            x = block(x)
        correction = F.pixel_shuffle(self.conv_out(F.silu(x)), self.grid * self.upscale)
        # clipped first: bicubic weights would carry what is beyond the bounds into the edges
        return enlarged(rgba.clamp(0, 1), self.upscale) + correction


def enlarged(image: Float[Tensor, "b c h w"], upscale: int) -> Float[Tensor, "b c h2 w2"]:
    """Enlarges by cubic interpolation in single precision, since half loses levels next to 1."""
    return F.interpolate(image.float(), scale_factor=float(upscale), mode="bicubic", align_corners=False)
