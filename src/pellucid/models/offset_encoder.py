"""The encoder of latent transparency: colour and alpha to an offset of the latent."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn


class OffsetEncoder(ModelMixin, ConfigMixin):
    """Plain stack of convolutions that predicts how alpha moves the latent.

    The default arguments are the released network of 1,181,764 parameters, tensor names included.
    Source: paper section 3.1; docs/released-format.md b.1.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self, widths: Sequence[int] = (32, 64, 128, 256), latent_channels: int = 4, fold: int = 1
    ) -> None:
        """Builds the network.

        Args:
            widths: channels at each level, each level half as large as the one before.
            latent_channels: channels of the latent.
            fold: pixel-unshuffle (space-to-depth) factor: squares of this side become channels first, which
                saves work at full size.
        """
        super().__init__()
        self.fold = fold
        self.pixels_per_latent = fold * 2 ** (len(widths) - 1)
        first = nn.Conv2d(4 * fold**2, widths[0], 3, padding=1)
        layers: list[nn.Module] = [first, nn.SiLU(), nn.Conv2d(widths[0], widths[0], 3, padding=1), nn.SiLU()]
        for inner, outer in pairwise(widths):
            layers += [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.SiLU()]
            layers += [nn.Conv2d(outer, outer, 3, padding=1), nn.SiLU()]
        last = nn.Conv2d(widths[-1], latent_channels, 3, padding=1)
        # training starts from latents that the diffusion model already understands
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # pyright: ignore[reportArgumentType]
        self.blocks = nn.Sequential(*layers, last)

    def forward(self, rgba: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Predicts the offset, without any multiplier.

        Args:
            rgba: red, green, blue, alpha in [0, 1]; colour padded under transparent pixels. Height and
                width divide by `pixels_per_latent`.

        Returns:
            The offset, `pixels_per_latent` times smaller; zero before training.
        """
        x = torch.cat([rgba[:, 3:], rgba[:, :3]], dim=1)  # released order is alpha first
        return self.blocks(F.pixel_unshuffle(x, self.fold) if self.fold > 1 else x)
