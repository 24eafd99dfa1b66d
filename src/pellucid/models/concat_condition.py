"""Shows clean latents to a denoiser as extra input channels, in any pipeline that runs it.

Source: docs/released-format.md d.4 ("SDXL concat modes"); the paper's conditioned variants. A transformer is
shown them as FLUX.1 Control is: its first layer has further inputs (docs/decisions/021-transformers.md).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pellucid.errors import InputError
from pellucid.models.latent_inputs import (
    InputLayer,
    channels_beside,
    find_input,
    inputs_of,
    is_compiled,
    side_of,
    tokens_beside,
)

Inputs = tuple[tuple[object, ...], dict[str, object]]


class ConcatCondition:
    """Joins condition latents to what a denoiser is called with, while its first layer has inputs for them.

    The condition is neither noised nor scaled with the noise, and is the same with and without guidance.
    """

    def __init__(self, latents: Float[Tensor, "scenes c h w"]) -> None:
        """Takes scaled latents of all conditions on channels; one scene for all rows, or one each."""
        self.latents = latents

    def attach(self, denoiser: nn.Module) -> RemovableHandle:
        """Joins at every call of `denoiser`, compiled or not, until the handle's `remove()`."""
        name, layer = find_input(denoiser)
        if name == "conv_in":
            # a hook of the outermost module: compiled code does not notice hooks that come and go inside it
            return denoiser.register_forward_pre_hook(self._join, with_kwargs=True)
        # a transformer lays latents out in its own way before its first layer
        if is_compiled(denoiser):
            torch.compiler.reset()  # it would go on with the condition of before, in silence
        return layer.register_forward_pre_hook(self._join_first)

    def _join(
        self, unet: nn.Module, inputs: tuple[object, ...], options: Mapping[str, object]
    ) -> Inputs | None:
        sample = options["sample"] if "sample" in options else inputs[0]
        assert isinstance(sample, Tensor)
        joined = self._joined(sample, find_input(unet)[1])
        if joined is None:
            return None
        if "sample" in options:
            return inputs, {**options, "sample": joined}
        return (joined, *inputs[1:]), dict(options)

    def _join_first(self, layer: InputLayer, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        joined = self._joined(inputs[0], layer)
        return None if joined is None else (joined,)

    def _joined(self, x: Tensor, layer: InputLayer) -> Tensor | None:
        axis = -1 if isinstance(layer, nn.Linear) else 1
        wanted, available = inputs_of(layer) - x.shape[axis], self.latents.shape[1]
        if wanted == 0:  # the plain denoiser, while an adapter is disabled
            return None
        if isinstance(layer, nn.Linear):
            return torch.cat([x, tokens_beside(self.latents, side_of(wanted, available), x)], dim=axis)
        if wanted != available:
            raise InputError(
                f"Expected conditions of {wanted} channels for {tuple(x.shape)}, found "
                f"{tuple(self.latents.shape)}. Encode them at the size of the result, a scene each."
            )
        return torch.cat([x, channels_beside(self.latents, x)], dim=axis)
