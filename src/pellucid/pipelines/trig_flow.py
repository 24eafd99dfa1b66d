"""SANA-Sprint's scheduler, and what it lacks: noise of any level, and a last step that can be changed.

Its timesteps are angles, from noise at half pi to the image at 0: latents are cos(t) * image + sin(t) *
noise, times `sigma_data`.
"""

from typing import cast

import torch
from diffusers.schedulers.scheduling_scm import SCMScheduler
from torch import Tensor


class TrigFlowScheduler(SCMScheduler):
    """Its stock pipeline paints what the last step denoised, so that is what callbacks are shown there."""

    lists_the_end = True
    """Its timesteps end with that of the image."""

    @property
    def latent_scale(self) -> float:
        """Returns what the stock pipeline multiplies latents by before the first step."""
        return float(self.config["sigma_data"])

    def add_noise(self, original: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Returns latents (b, c, h, w) noised to angles (b,), or to one for all."""
        angle = timesteps.to(original).view(-1, 1, 1, 1)
        return (torch.cos(angle) * original + torch.sin(angle) * noise) * self.latent_scale

    def step(  # pyright: ignore[reportIncompatibleMethodOverride] - of what its pipelines ask for
        self,
        model_output: Tensor,
        timestep: Tensor,
        sample: Tensor,
        generator: list[torch.Generator] | None = None,
        return_dict: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Takes a step; returns the latents after it, and what was denoised: at the end the same tensor."""
        result = super().step(model_output, timestep, sample, generator=generator, return_dict=False)  # pyright: ignore
        after, denoised = cast("tuple[Tensor, Tensor]", result)
        is_last = self.step_index == len(cast("Tensor", self.timesteps)) - 1
        return (denoised if is_last else after), denoised
