"""Stage `autoencoder` with `alpha_encoding = "inflated"`: the VAE itself learns alpha."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.errors import ConfigError
from pellucid.models.rgba_vae import VAE, InflatedDecoder, InflatedEncoder, inflated
from pellucid.training.stages.autoencoder import AutoencoderStage, RGBAParts
from pellucid.training.stages.components import save_half
from pellucid.weights.store import CONVENTION, fill


class RGBAVAEStage(AutoencoderStage):
    """Trains all of a VAE that was grown to four channels, by the same terms but identity, and KL.

    The frozen VAE of `init` stays beside it: `identity` scores how far the new latents have left it.
    """

    def networks(self) -> RGBAParts:
        """Returns the grown VAE, as encoder and as decoder."""
        if not isinstance(self.vae, VAE):
            raise ConfigError(
                f"Expected AutoencoderKL with alpha_encoding inflated, found {type(self.vae).__name__}. "
                'Set alpha_encoding = "offset".'
            )
        vae = inflated(self.vae)
        return RGBAParts(InflatedEncoder(vae), InflatedDecoder(vae))

    def _start_from(self, folder: Path) -> None:
        fill(self.parts.alpha_decoder.vae, folder / "vae" / "diffusion_pytorch_model.safetensors")

    def forward(self, rgba: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns images of latents drawn from the posteriors, and the posteriors' KL."""
        encoder = self.parts.offset_encoder
        assert isinstance(encoder, InflatedEncoder)
        posterior = encoder.posterior(rgba)
        noise = torch.randn(posterior.mean.shape, generator=generator, device=generator.device)
        decoded = self.parts.alpha_decoder(None, posterior.mean + posterior.std * noise).float()
        return decoded, {"kl": posterior.kl().mean() / posterior.mean[0].numel()}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the one VAE in diffusers' layout, and how it is to be used."""
        assert isinstance(module, RGBAParts)
        save_half(module.alpha_decoder.vae, folder / "rgba" / "vae")  # type: ignore[arg-type]
        (folder / "rgba" / CONVENTION).write_text(json.dumps(self.convention))
