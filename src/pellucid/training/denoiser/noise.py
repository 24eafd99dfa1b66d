"""How latents are noised for training, what is to be predicted from them, and how errors are weighted."""

from dataclasses import dataclass
from typing import Literal

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.schedulers.scheduling_ddim_cogvideox import CogVideoXDDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling
from jaxtyping import Float, Shaped
from torch import Tensor

from pellucid.errors import ConfigError
from pellucid.training.stages.losses import min_snr_weight
from pellucid.training.stages.pipeline_options import NoiseOptions

Latents = Float[Tensor, "b c h w"]
Objective = Literal["epsilon", "v_prediction", "flow_matching"]
TIMESTEPS = {"uniform": "none", "logit-normal": "logit_normal", "mode": "mode"}
"""Ours -> diffusers' name of a distribution of noise levels."""
LEVELS = 1000
"""Noise levels of every family here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noised:
    """A batch as a denoiser meets it."""

    noisy: Latents
    target: Latents
    timesteps: Shaped[Tensor, " b"]
    """0 to 1000, whole where the schedule has whole ones."""
    weight: Float[Tensor, " b"]
    """Of the squared error."""


class Noising:
    """A scheduler's noise, drawn at random levels."""

    def __init__(self, scheduler: ConfigMixin, options: NoiseOptions, device: torch.device) -> None:
        """`scheduler`: the pipeline's own, any of diffusers'.

        Raises:
            ConfigError: it predicts something that cannot be trained here.
        """
        self.options = options
        config = scheduler.config
        if config.get("prediction_type", "flow_prediction") == "flow_prediction":  # flow matching
            self.objective: Objective = "flow_matching"
            # a dynamic shift follows from an image's size, at sampling time only
            fixed = float(config.get("flow_shift", config.get("shift", 1.0)) or 1.0)
            usual_shift = 1.0 if config.get("use_dynamic_shifting") else fixed
            self.shift = usual_shift if options.shift is None else options.shift
            return
        if config["prediction_type"] not in ("epsilon", "v_prediction"):
            raise ConfigError(
                f"Expected a model that predicts epsilon, v or a flow, found {config['prediction_type']!r}. "
                "Take another one."
            )
        self.objective = config["prediction_type"]
        # every scheduler's config tells the same noise levels; this class keeps their products
        known = DDPMScheduler.from_config(config)
        # but for CogView's, which has one more number and keeps them itself
        keeper = scheduler if "snr_shift_scale" in config else known
        assert isinstance(keeper, DDPMScheduler | CogVideoXDDIMScheduler)
        self.alphas_cumprod: Tensor = keeper.alphas_cumprod.to(device)

    def __call__(self, latents: Latents, generator: torch.Generator, *, rows_together: int = 1) -> Noised:
        """Noises latents at random levels.

        Args:
            latents: scaled.
            generator: of levels and noise, on the latents' device.
            rows_together: neighbouring rows that share a level, as the frames of a scene do.
        """
        # layers of a scene are sampled together, so at one level
        levels = self._levels(len(latents) // rows_together, generator).repeat_interleave(rows_together)
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        if self.objective == "flow_matching":
            # Esser et al. 2024, section 5.3.2: more pixels need more noise for the same loss of signal
            sigma = self.shift * levels / (1 + (self.shift - 1) * levels)
            share = sigma.view(-1, 1, 1, 1)
            mixed = (1 - share) * latents + share * noise
            return Noised(
                noisy=mixed, target=noise - latents, timesteps=sigma * LEVELS, weight=torch.ones_like(sigma)
            )
        kept = self.alphas_cumprod[levels]
        signal, noise_level = kept.sqrt().view(-1, 1, 1, 1), (1 - kept).sqrt().view(-1, 1, 1, 1)
        v = self.objective == "v_prediction"
        return Noised(
            noisy=signal * latents + noise_level * noise,
            target=signal * noise - noise_level * latents if v else noise,
            timesteps=levels,
            weight=min_snr_weight(kept, self.options.min_snr_gamma, v=v),
        )

    def _levels(self, count: int, generator: torch.Generator) -> Tensor:
        """Draws shares of the way to noise for a flow, whole timesteps otherwise."""
        options, device = self.options, generator.device
        flow = self.objective == "flow_matching"
        if options.timesteps == "uniform" and not flow:
            return torch.randint(len(self.alphas_cumprod), (count,), generator=generator, device=device)
        share = compute_density_for_timestep_sampling(
            TIMESTEPS[options.timesteps],
            count,
            options.logit_mean,
            options.logit_std,
            options.mode_scale,
            device,
            generator,
        )
        if flow:
            return share
        # a share may be 1, which would be one level too many
        return (share * len(self.alphas_cumprod)).long().clamp_max(len(self.alphas_cumprod) - 1)
