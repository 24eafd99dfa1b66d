"""The diffusion model in training."""
