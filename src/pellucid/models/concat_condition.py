"""Clean latents as extra input channels of a UNet, for any pipeline that runs it.

Source: SPEC d.4 ("SDXL concat modes"); the paper's conditioned variants.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pellucid.errors import InputError


class ConcatCondition:
    """Joins condition latents to what a UNet's first convolution reads, while it has inputs for them.

    The condition is neither noised nor scaled with the noise, and is the same with and without guidance.
    """

    def __init__(self, latents: Float[Tensor, "scenes c h w"]) -> None:
        """`latents`: scaled latents of all conditions on channels; one scene for all rows, or one each."""
        self.latents = latents

    def attach(self, unet: nn.Module) -> RemovableHandle:
        """Joins at every call of `unet` until the handle's `remove()`."""
        first: nn.Module = unet.get_submodule("conv_in")
        return first.register_forward_pre_hook(self._join)

    def _join(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:  # noqa: ANN401
        x = inputs[0]
        wanted = module.weight.shape[1] - x.shape[1]
        if wanted == 0:  # the plain UNet, where an adapter has been paused
            return None
        scenes, channels = self.latents.shape[:2]
        if wanted != channels or x.shape[2:] != self.latents.shape[2:] or x.shape[0] % scenes:
            raise InputError(
                f"Expected conditions of {wanted} channels for {tuple(x.shape)}, found "
                f"{tuple(self.latents.shape)}. Encode them at the size of the result, a scene each."
            )
        shown = self.latents.to(x).repeat(x.shape[0] // scenes, 1, 1, 1)
        return (torch.cat([x, shown], dim=1), *inputs[1:])
