"""A linear layer's low-rank difference, applied beside the layer or merged into it, whichever is cheaper.

Source: docs/released-format.md d.1, the four LoRAs of every layer of a scene.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class LoRALinear(nn.Module):
    """A low-rank weight difference."""

    def __init__(self, inner: int, outer: int, rank: int) -> None:
        """Maps `inner` features to `outer`."""
        super().__init__()
        self.down = nn.Linear(inner, rank, bias=False)
        self.up = nn.Linear(rank, outer, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor, base: nn.Module) -> Tensor:
        """Applies `base` and the difference to `x`; merges them first if that is cheaper."""
        # per rank, n tokens cost n (inner + outer) multiplications, and merging costs inner * outer
        inner, outer = self.down.in_features, self.up.out_features
        if not _is_matrix(base) or x[..., 0].numel() * (inner + outer) < inner * outer:
            return base(x) + self.up(self.down(x.to(self.down.weight))).to(x)
        assert isinstance(base, nn.Linear)
        weight = base.weight.to(x) + self.up.weight.to(x) @ self.down.weight.to(x)
        bias: Tensor | None = getattr(base, "bias")  # noqa: B009 - torch's types deny that it may be None
        return F.linear(x, weight, None if bias is None else bias.to(x))


def _is_matrix(layer: nn.Module) -> bool:
    """Tells whether a layer's weight is all that it does.

    It is not with another LoRA in it, quantised, or with hooks, which bring offloaded or 8-bit weights where
    and as they are needed, and only when the layer is called.
    """
    hooked = layer._forward_pre_hooks or layer._forward_hooks  # pyright: ignore[reportPrivateUsage]
    return (
        type(layer) is nn.Linear
        and not hooked
        and not hasattr(layer, "_hf_hook")  # accelerate's offloading
        and not hasattr(layer, "_diffusers_hook")
    )
