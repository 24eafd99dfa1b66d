"""The sampler of the released command line, as settings of a stock scheduler."""

from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler


class LayerDiffuseDPMSolver(DPMSolverMultistepScheduler):
    """DPM-Solver++(2M) whose pure noise is as the released command line's.

    That is noise * sigma_0 before division by sqrt(1 + sigma_0^2), so of deviation 0.998 for the usual
    schedule, not 1. Everything else (noise levels, timesteps, steps, an image's noise) is stock. Samples are
    those of diffusers, x / sqrt(1 + sigma^2), where k-diffusion holds x itself.
    Source: docs/released-format.md e.
    """

    def set_timesteps(self, *args: object, **options: object) -> None:
        """Sets the stock scheduler's timesteps, and `init_noise_sigma` for them."""
        super().set_timesteps(*args, **options)  # pyright: ignore[reportArgumentType] - passed through
        sigma = float(self.sigmas[0])
        self.init_noise_sigma = sigma / (1 + sigma**2) ** 0.5
