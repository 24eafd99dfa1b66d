"""Stage `autoencoder`: offset encoder and alpha decoder over the frozen VAE (LayerDiffuse section 3.1)."""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from pellucid.errors import ConfigError
from pellucid.evaluation.metrics import alpha_mae, blended_metrics, psnr
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.autoencoder import ConventionFields, RGBAAutoencoder
from pellucid.models.discriminator import PatchDiscriminator
from pellucid.models.latent_space import latent_space
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.models.rgba_vae import InflatedDecoder, InflatedEncoder
from pellucid.models.test_time_augmentation import ORIENTATIONS, orient, restore
from pellucid.pipelines.model_folders import find_part
from pellucid.training.data.in_memory import InMemoryDataset, check_split
from pellucid.training.recipe import Recipe
from pellucid.training.sample_grids import write_sample_grid
from pellucid.training.stages.components import check_size, load_vae, save_half
from pellucid.training.stages.losses import blends, discriminator_hinge, gradient_l1, identity, weighted
from pellucid.training.stages.networks import build, decoder_defaults, encoder_defaults
from pellucid.training.stages.options import AutoencoderOptions
from pellucid.weights.store import CONVENTION, fill

DEFAULTS = {
    "reconstruction": 1.0,
    "blend": 1.0,
    "gradient": 0.0,
    "discriminator": 0.01,
    "identity": 1.0,
    "spread": 0.01,
    "kl": 1e-6,
    "median": 1.0,
}
"""Weights of all terms; those that an alpha encoding lacks do nothing."""
ALPHA_ENCODINGS: Mapping[str, ConventionFields] = {
    "offset": {},
    "channels": {"offset": "channels"},
    "inflated": {"offset": "replaced", "latent_input": "raw"},
}
"""What carries alpha -> how it differs from the embedded convention."""


class RGBAParts(nn.Module):
    """The two networks that train together."""

    def __init__(
        self, offset_encoder: OffsetEncoder | InflatedEncoder, alpha_decoder: AlphaDecoder | InflatedDecoder
    ) -> None:
        super().__init__()
        self.offset_encoder = offset_encoder
        self.alpha_decoder = alpha_decoder


class AutoencoderStage:
    """Trains the latent offset to carry alpha while the frozen decoder's image stays as it is.

    With `alpha_encoding = "channels"` the offset encoder makes channels that come after the untouched latent,
    kept near unit spread by the term `spread`. Channels of the latent are the VAE's, whatever the networks'
    tables say; `AutoencoderOptions` has the rest.
    """

    def __init__(
        self, recipe: Recipe, images: InMemoryDataset, device: torch.device, vae: ModelMixin | None = None
    ) -> None:
        self.recipe = recipe
        self.options = recipe.options(AutoencoderOptions)
        self.convention: ConventionFields = {
            "convention": "embedded",
            **ALPHA_ENCODINGS[self.options.alpha_encoding],
        }
        self.weights = weighted(DEFAULTS, recipe.weights)
        self.latent_noise = self.options.latent_noise
        self.vae = vae or deepcopy(load_vae(recipe.init_folder, device))  # compiled here alone
        self.space = latent_space(self.vae)
        self.pixels_per_latent = self.space.pixels_per_latent
        check_size(recipe, self.pixels_per_latent)
        self.images = images.only(held_out=False).to(device)
        self.held_out = images.only(held_out=True).to(device)
        check_split(recipe, self.images.count, len(self.held_out.records))
        torch.manual_seed(recipe.seed)
        self.parts = self.networks().to(device)
        self.codec(self.parts)  # or the recipe's networks do not fit the VAE
        if self.options.start == "init":
            self._start_from(find_part(Path(recipe.init_folder), "rgba"))
        self._freeze(self.options.trainable)
        modules: dict[str, nn.Module] = {"parts": self.parts}
        if self.weights["discriminator"]:
            self.discriminator = build(PatchDiscriminator, self.options.discriminator)
            self.discriminator.to(device)  # pyright: ignore[reportArgumentType]
            modules["discriminator"] = self.discriminator
        self.modules: Mapping[str, nn.Module] = modules
        self.compiled: Sequence[nn.Module] = (*self.parts.children(), self.vae.encoder, self.vae.decoder)  # pyright: ignore - all kinds have them
        self._last: dict[int, tuple[Tensor, Tensor]] = {}

    def networks(self) -> RGBAParts:
        """Returns what trains, new."""
        options, channels = self.options, self.space.channels
        extra = options.extra_channels if options.alpha_encoding == "channels" else 0
        encoder = {
            **encoder_defaults(options.offset_encoder, self.pixels_per_latent),
            "latent_channels": extra or channels,
        }
        decoder = {
            **decoder_defaults(options.alpha_decoder, self.pixels_per_latent, self.recipe.size_px),
            "latent_channels": channels + extra,
        }
        parts = RGBAParts(build(OffsetEncoder, encoder), build(AlphaDecoder, decoder))
        assert isinstance(parts.alpha_decoder, AlphaDecoder)
        check_size(self.recipe, parts.alpha_decoder.multiple)
        if extra:  # the decoder's first weights of a latent are 0 too, and 0 times 0 never learns
            parts.offset_encoder.blocks[-1].reset_parameters()  # pyright: ignore
        return parts

    def codec(self, module: nn.Module) -> RGBAAutoencoder:
        """Returns the networks as they are used, over the frozen VAE."""
        assert isinstance(module, RGBAParts)
        return RGBAAutoencoder(self.vae, module.offset_encoder, module.alpha_decoder, **self.convention)

    def _start_from(self, folder: Path) -> None:
        """Loads what an earlier run exported; a decoder may have got its `detail` or `enlarger` since."""
        for name, module in self.parts.named_children():
            fill(
                module, folder / name / "diffusion_pytorch_model.safetensors", fresh=("detail.", "enlarger.")
            )

    def _freeze(self, trainable: str) -> None:
        """Leaves gradients to the parameters that match."""
        wanted = {name for name, _ in self.parts.named_parameters() if re.search(trainable, name)}
        if not wanted:
            raise ConfigError(
                f"Expected trainable to match a parameter, got {trainable!r}. Leave it out to train all."
            )
        for name, parameter in self.parts.named_parameters():
            parameter.requires_grad_(name in wanted)

    def loss(self, module_name: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the paper's terms, and L1s on blends over colours and on edges; or the discriminator's."""
        if module_name == "discriminator":
            # what the parts' loss of the same generator left, so that the decoder runs once a step
            real, fake = self._last.pop(generator.initial_seed())
            return {"hinge": discriminator_hinge(self.discriminator(real), self.discriminator(fake))}
        rgba, target = self.images.batch_and_targets(self.recipe.batch_size, generator)
        decoded, terms = self.forward(rgba, generator)
        colours = torch.rand(len(rgba), 3, 1, 1, generator=generator, device=generator.device)
        terms["reconstruction"] = functional.l1_loss(decoded[:, :3], target[:, :3]) / 2
        terms["reconstruction"] += functional.l1_loss(decoded[:, 3:], target[:, 3:])
        mixed = blends(decoded, colours), blends(target, colours)
        terms["blend"] = functional.l1_loss(*mixed)
        if self.weights["gradient"]:
            terms["gradient"] = gradient_l1(*mixed) + gradient_l1(decoded[:, 3:], target[:, 3:])
        if self.weights["discriminator"]:
            terms["discriminator"] = -self.discriminator(decoded).mean()
            self._last[generator.initial_seed()] = (target, decoded.detach())
        return {name: self.weights[name] * term for name, term in terms.items()}

    def forward(self, rgba: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the networks' images of a batch, and the terms that are about its latents."""
        with torch.no_grad():
            plain = self.vae_latents(rgba)
        offset = self.parts.offset_encoder(rgba).float()
        joined = self.convention.get("offset") == "channels"
        adjusted = torch.cat([plain, offset], dim=1) if joined else plain + offset
        level = self.latent_noise * torch.rand(
            len(rgba), 1, 1, 1, generator=generator, device=generator.device
        )
        noisy = adjusted + level * torch.randn(adjusted.shape, generator=generator, device=generator.device)
        noisy_image = self.decode_frozen(noisy)
        # by the seed and not by a draw, which would shift the draws of all runs without augmentation
        flip, turns = ORIENTATIONS[8][
            generator.initial_seed() % 8 if self.options.orientation_augmentation else 0
        ]
        seen = (orient(noisy_image.clamp(0, 1), flip, turns), orient(noisy, flip, turns))
        decoded = restore(self.parts.alpha_decoder(*seen).float(), flip, turns)
        terms: dict[str, Tensor] = {}
        if self.weights["identity"] and not joined:  # joined, the image is the same
            with torch.no_grad():
                unadjusted = self.decode_frozen(plain)
            # without noise it is the image that the decoder has read
            frozen_image = self.decode_frozen(adjusted) if self.latent_noise else noisy_image
            terms["identity"] = identity(frozen_image, unadjusted)
        if joined:
            terms["spread"] = offset.square().mean()
        return decoded, terms

    def vae_latents(self, rgba: Tensor) -> Tensor:
        """Returns scaled latents of the images over grey, without an offset."""
        # the mean, not a sample: the offset is learned against one latent for each image
        mean, _ = self.space.encode(self.vae, blends(rgba, rgba.new_full((1, 3, 1, 1), 0.5)) * 2 - 1)
        return self.space.to_scaled(mean.float())

    def decode_frozen(self, scaled: Tensor) -> Tensor:
        """Returns the frozen decoder's image of scaled latents, about [0, 1]."""
        return self.space.decode(self.vae, self.space.to_raw(scaled)).float() / 2 + 0.5

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes both networks in diffusers' layout, and how they are to be used."""
        for name, network in module.named_children():
            save_half(network, folder / "rgba" / name)  # type: ignore[arg-type]
        (folder / "rgba" / CONVENTION).write_text(json.dumps(self.convention))

    @torch.no_grad()
    def _through(self, module: nn.Module, rgba: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decodes in one pass: images, and the frozen decoder's of unadjusted and adjusted latents."""
        codec = self.codec(module)
        adjusted, plain = codec.encode(rgba), codec.encode(rgba, use_offset=False)
        return codec.decode(adjusted, passes=1), codec.decode_opaque(plain), codec.decode_opaque(adjusted)

    def sample_grid(self, module: nn.Module, path: Path) -> None:
        """Draws held-out images above their reconstructions and the frozen decoder's two views."""
        rgba, target = (images[:16].float() / 255 for images in (self.held_out.rgba, self.held_out.targets))
        write_sample_grid([target, *self._through(module, rgba)], path)

    def validation_metrics(self, module: nn.Module) -> dict[str, float]:
        """Measures held-out images in one pass: mean PSNR on nine colours, alpha error, identity."""
        count = self.recipe.score_count
        rgba, target = (
            images[:count].float() / 255 for images in (self.held_out.rgba, self.held_out.targets)
        )
        decoded, plain, frozen_image = self._through(module, rgba)
        return {
            "held_out_psnr_db": round(blended_metrics(decoded, target)["mean"], 3),
            "alpha_mae": round(alpha_mae(decoded, target), 5),
            "identity_psnr_db": round(float(psnr(frozen_image, plain).mean()), 3),
        }
