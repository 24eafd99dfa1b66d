"""Patch discriminator over colour and alpha."""

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn


class PatchDiscriminator(ModelMixin, ConfigMixin):
    """Five convolutions that score overlapping patches of a transparent image.

    Source: paper section 3.1 and appendix (a 5-layer patch discriminator).
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, width: int = 64, in_channels: int = 4, norm_num_groups: int = 4) -> None:
        """Builds the network.

        Args:
            width: channels of the first layer; later layers have 2, 4 and 8 times as many.
            in_channels: channels of the image.
            norm_num_groups: groups of the norms; a group norm treats each image by itself.
        """
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for inner, outer, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
            layers += [
                nn.Conv2d(inner * width, outer * width, 4, stride=stride, padding=1),
                nn.GroupNorm(norm_num_groups, outer * width),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, padding=1))

    def forward(self, rgba: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h2 w2"]:
        """Scores patches: positive for real. `rgba` is at least 32 pixels on each side, in [0, 1]."""
        return self.layers(rgba)
