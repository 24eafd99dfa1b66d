"""Stages by name."""

from pellucid.training.config import Recipe
from pellucid.training.loop import Stage


def make_stage(recipe: Recipe) -> Stage:
    """The stage that a recipe trains, with its data loaded."""
    if recipe.stage == "vae":
        from pellucid.training.vae import VAEStage

        return VAEStage(recipe)
    if recipe.stage == "autoencoder":
        from pellucid.training.autoencoder import AutoencoderStage

        return AutoencoderStage(recipe)
    from pellucid.training.diffusion import DiffusionStage

    return DiffusionStage(recipe)
