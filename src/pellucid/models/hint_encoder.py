"""Turns a control image into features for attention sharing. Source: docs/released-format.md d.3."""

from jaxtyping import Float
from torch import Tensor, nn

CONTROL_CHANNELS = 256
"""Channels of a control feature map."""


class HintEncoder(nn.Module):
    """Extracts features of a control image at 1/8, 1/16, 1/32 and 1/64 of its size."""

    def __init__(self) -> None:
        """Builds the released sizes; there are no options."""
        super().__init__()
        first: list[nn.Module] = []
        steps = (
            (3, 32, 1),
            (32, 32, 1),
            (32, 64, 2),
            (64, 64, 1),
            (64, 128, 2),
            (128, 128, 1),
            (128, 256, 2),
        )
        for inner, outer, stride in (*steps, (256, 256, 1)):
            first += [nn.Conv2d(inner, outer, 3, stride=stride, padding=1), nn.SiLU()]
        # the released files number the stages in their tensor names, so they are no ModuleList
        self.blocks_0 = nn.Sequential(*first)
        for i in range(1, 4):
            halving = nn.Conv2d(CONTROL_CHANNELS, CONTROL_CHANNELS, 3, stride=2, padding=1)
            same = nn.Conv2d(CONTROL_CHANNELS, CONTROL_CHANNELS, 3, padding=1)
            self.add_module(f"blocks_{i}", nn.Sequential(halving, nn.SiLU(), same, nn.SiLU()))

    def forward(self, image: Float[Tensor, "scenes 3 h w"]) -> dict[int, Tensor]:
        """Computes features "scenes 256 h w" by their number of tokens.

        Args:
            image: in [-1, 1], over mid grey.
        """
        # an attention knows how many tokens it has, not at which level it lies
        features: dict[int, Tensor] = {}
        x = image
        for i in range(4):
            x = self.get_submodule(f"blocks_{i}")(x)
            features[x.shape[-2] * x.shape[-1]] = x
        return features
