"""Shows clean latents to a UNet as extra input channels, in any pipeline that runs it.

Source: docs/released-format.md d.4 ("SDXL concat modes"); the paper's conditioned variants.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pellucid.errors import InputError

Inputs = tuple[tuple[object, ...], dict[str, object]]


class ConcatCondition:
    """Joins condition latents to what a UNet is called with, while its first convolution has inputs for them.

    The condition is neither noised nor scaled with the noise, and is the same with and without guidance.
    """

    def __init__(self, latents: Float[Tensor, "scenes c h w"]) -> None:
        """Takes scaled latents of all conditions on channels; one scene for all rows, or one each."""
        self.latents = latents

    def attach(self, unet: nn.Module) -> RemovableHandle:
        """Joins at every call of `unet`, compiled or not, until the handle's `remove()`."""
        # a hook of the outermost module: compiled code does not notice hooks that come and go inside it
        return unet.register_forward_pre_hook(self._join, with_kwargs=True)

    def _join(
        self, unet: nn.Module, inputs: tuple[object, ...], options: Mapping[str, object]
    ) -> Inputs | None:
        sample = options["sample"] if "sample" in options else inputs[0]
        assert isinstance(sample, Tensor)
        joined = self._joined(sample, _input_channels(unet))
        if joined is None:
            return None
        if "sample" in options:
            return inputs, {**options, "sample": joined}
        return (joined, *inputs[1:]), dict(options)

    def _joined(self, x: Tensor, channels: int) -> Tensor | None:
        wanted = channels - x.shape[1]
        if wanted == 0:  # the plain UNet, while an adapter is disabled
            return None
        scenes, available = self.latents.shape[:2]
        if wanted != available or x.shape[2:] != self.latents.shape[2:] or x.shape[0] % scenes:
            raise InputError(
                f"Expected conditions of {wanted} channels for {tuple(x.shape)}, found "
                f"{tuple(self.latents.shape)}. Encode them at the size of the result, a scene each."
            )
        # guidance stacks whole batches, so all scenes are repeated one after the other
        condition = self.latents.to(x).repeat(x.shape[0] // scenes, 1, 1, 1)
        return torch.cat([x, condition], dim=1)


def _input_channels(unet: nn.Module) -> int:
    inner = getattr(unet, "_orig_mod", unet)
    first: nn.Module = inner.get_submodule("conv_in")
    weight = first.weight
    assert isinstance(weight, Tensor)
    return weight.shape[1]
