"""The noise schedule of the embedded model, and latents noised by it."""

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from jaxtyping import Float, Int
from torch import Tensor

Latents = Float[Tensor, "b c h w"]


def schedule() -> DDPMScheduler:
    """The noise schedule that the embedded model is trained with."""
    return DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False)


def noised(
    latents: Latents,
    alphas_cumprod: Float[Tensor, " steps"],
    generator: torch.Generator,
    *,
    rows_together: int = 1,
) -> tuple[Float[Tensor, " b"], Latents, Latents, Int[Tensor, " b"]]:
    """Latents with noise of a random level.

    Args:
        latents: scaled.
        alphas_cumprod: the schedule's.
        generator: of levels and noise, on the latents' device.
        rows_together: neighbouring rows that share a level, as the frames of a scene do.

    Returns:
        How much of the signal's power is kept, noisy latents, v to predict, and timesteps.
    """
    device, count = latents.device, len(latents) // rows_together
    timesteps = torch.randint(len(alphas_cumprod), (count,), generator=generator, device=device)
    timesteps = timesteps.repeat_interleave(rows_together)
    kept = alphas_cumprod[timesteps]
    signal, noise_level = kept.sqrt().view(-1, 1, 1, 1), (1 - kept).sqrt().view(-1, 1, 1, 1)
    noise = torch.randn(latents.shape, generator=generator, device=device)
    return (
        kept,
        signal * latents + noise_level * noise,
        signal * noise - noise_level * latents,
        timesteps,
    )
