"""Shows a denoiser clean latents while it runs, by whichever of its parts takes them in."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pellucid.models.concat_condition import ConcatCondition
from pellucid.models.frame_hooks import units_on
from pellucid.models.latent_inputs import is_compiled, unwrapped


@contextmanager
def shown_latents(denoiser: nn.Module, latents: Float[Tensor, "b c h w"]) -> Generator[None]:
    """Shows scaled latents for a while, a row each or one for all rows of a call.

    Units of layers take them in if they were made for images; otherwise the first layer's further inputs do.

    Args:
        denoiser: that is called, compiled or not.
        latents: of all conditions on channels.
    """
    units = units_on(unwrapped(denoiser))
    if units is None or units.shown_in is None:
        handle = ConcatCondition(latents).attach(denoiser)
        try:
            yield
        finally:
            handle.remove()
        return
    if is_compiled(denoiser):
        torch.compiler.reset()  # it would go on with the latents of before, in silence
    units.show(latents)
    try:
        yield
    finally:
        units.show(None)
