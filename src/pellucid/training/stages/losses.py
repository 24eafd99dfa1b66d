"""Pure loss terms. Every one returns a scalar, averaged over the batch."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pellucid.training.validation import check_names

Scalar = Float[Tensor, ""]
Images = Float[Tensor, "b c h w"]


def weighted(defaults: Mapping[str, float], overrides: Mapping[str, float]) -> dict[str, float]:
    """Returns a stage's weights of loss terms with those of a recipe in their place.

    Raises:
        ConfigError: a name that the stage does not have.
    """
    check_names(overrides, defaults, where="The recipe's table `weights`")
    return {**defaults, **overrides}


def gradient_l1(output: Images, target: Images) -> Scalar:
    """Returns the L1 distance of horizontal and vertical differences, which makes edges sharp."""
    along_x = (output.diff(dim=-1) - target.diff(dim=-1)).abs().mean()
    return along_x + (output.diff(dim=-2) - target.diff(dim=-2)).abs().mean()


def identity(adjusted: Images, unadjusted: Images) -> Scalar:
    """Compares the frozen decoder's images of the adjusted and the unadjusted latent, squared.

    Source: LayerDiffuse section 3.1, "identity loss". Differs: against the decoder's own image instead of
    the input, so that the frozen VAE's reconstruction error is not charged to the offset.
    """
    return functional.mse_loss(adjusted, unadjusted)


def blends(
    rgba: Float[Tensor, "b 4 h w"], backgrounds: Float[Tensor, "#b 3 1 1"]
) -> Float[Tensor, "b 3 h w"]:
    """Returns straight RGBA laid over solid colours, all in [0, 1]."""
    alpha = rgba[:, 3:]
    return rgba[:, :3] * alpha + backgrounds * (1 - alpha)


def discriminator_hinge(real: Tensor, fake: Tensor) -> Scalar:
    """Returns what the discriminator minimises (hinge; LayerDiffuse section 3.1 names a PatchGAN)."""
    return (functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()) / 2


def min_snr_weight(alphas_cumprod: Float[Tensor, " b"], gamma: float, *, v: bool) -> Float[Tensor, " b"]:
    """Returns weights of squared errors of v or epsilon (Hang et al. 2023, section 3.4); 1 for a gamma of 0.

    In terms of the clean latent's error both are min(snr, gamma).
    """
    if not gamma:
        return torch.ones_like(alphas_cumprod)
    # at the schedule's first and last step one of the two is all but 0
    snr = alphas_cumprod / (1 - alphas_cumprod).clamp_min(1e-8)
    capped = torch.minimum(snr, torch.full_like(snr, gamma))
    return capped / (snr + 1) if v else capped / snr.clamp_min(1e-8)
