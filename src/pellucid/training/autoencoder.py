"""Stage `autoencoder`: offset encoder and alpha decoder over the frozen VAE (LayerDiffuse section 3.1)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.discriminator import PatchDiscriminator
from pellucid.models.mini_vae import MiniVAE
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.rgba.padding import pad_rgb
from pellucid.training.config import Recipe
from pellucid.training.losses import blends, discriminator_hinge, identity
from pellucid.training.parts import load_vae
from pellucid.training.pictures import Pictures, load_pictures
from pellucid.training.sheets import write_sheet
from pellucid.weights.store import load_codec

DEFAULTS = {"reconstruction": 1.0, "identity": 1.0, "discriminator": 0.01, "blend": 1.0}
CONVENTION = "convention.json"
EMBEDDED = {"convention": "embedded"}


class RGBAParts(nn.Module):
    """The two networks that train together."""

    def __init__(self, offset_encoder: OffsetEncoder, alpha_decoder: AlphaDecoder) -> None:
        super().__init__()
        self.offset_encoder = offset_encoder
        self.alpha_decoder = alpha_decoder


def assemble(vae: MiniVAE, folder: Path) -> RGBAAutoencoder:
    """The autoencoder whose parts an earlier run exported to `folder`."""
    return load_codec(folder, vae)


class AutoencoderStage:
    """Trains the latent offset to carry alpha while the frozen decoder's picture stays as it is."""

    def __init__(self, recipe: Recipe, pictures: Pictures | None = None, vae: MiniVAE | None = None) -> None:
        self.recipe = recipe
        self.weights = DEFAULTS | dict(recipe.weights)
        self.latent_noise = float(recipe.model.get("latent_noise", 0.0))
        self.vae = vae or load_vae(Path(recipe.init))
        self.pictures = padded(pictures or load_pictures(recipe))
        torch.manual_seed(recipe.seed)
        encoder = OffsetEncoder(**recipe.model["offset_encoder"])
        self.parts = RGBAParts(encoder, AlphaDecoder(**recipe.model["alpha_decoder"]))
        turns: dict[str, nn.Module] = {"parts": self.parts}
        if self.weights["discriminator"]:
            self.discriminator = PatchDiscriminator(**recipe.model.get("discriminator", {}))
            turns["discriminator"] = self.discriminator
        self.turns: Mapping[str, nn.Module] = turns
        self.autoencoder = RGBAAutoencoder(self.vae, encoder, self.parts.alpha_decoder, **EMBEDDED)  # type: ignore[arg-type]
        self._last: tuple[Tensor, Tensor] | None = None

    def loss(self, turn: str, generator: torch.Generator) -> dict[str, Tensor]:
        """The paper's three terms, and an L1 on blends over random colours; or the discriminator's hinge."""
        if turn == "discriminator":
            assert self._last is not None
            real, fake = self._last
            return {"hinge": discriminator_hinge(self.discriminator(real), self.discriminator(fake))}
        rgba = self.pictures.batch(self.recipe.batch_size, generator, augment=True)
        with torch.no_grad():
            plain = self.vae_latents(rgba)
            unadjusted = self.picture(plain)
        adjusted = plain + self.parts.offset_encoder(rgba)
        picture = self.picture(adjusted)
        level = self.latent_noise * torch.rand(len(rgba), 1, 1, 1, generator=generator)
        noisy = adjusted + level * torch.randn(adjusted.shape, generator=generator)
        shown = picture if not self.latent_noise else self.picture(noisy)
        found = self.parts.alpha_decoder(shown.clamp(0, 1), noisy)
        colours = torch.rand(len(rgba), 3, 1, 1, generator=generator)
        terms = {
            "reconstruction": functional.l1_loss(found[:, :3], rgba[:, :3]) / 2
            + functional.l1_loss(found[:, 3:], rgba[:, 3:]),
            "identity": identity(picture, unadjusted),
            "blend": functional.l1_loss(blends(found, colours), blends(rgba, colours)),
        }
        if self.weights["discriminator"]:
            terms["discriminator"] = -self.discriminator(found).mean()
            self._last = (rgba, found.detach())
        return {name: self.weights[name] * term for name, term in terms.items()}

    def vae_latents(self, rgba: Tensor) -> Tensor:
        """Scaled latents of the pictures over grey, without an offset."""
        posterior = self.vae.encode(blends(rgba, rgba.new_full((1, 3, 1, 1), 0.5)) * 2 - 1).latent_dist  # type: ignore[union-attr]
        return posterior.mean * self.vae.config["scaling_factor"]

    def picture(self, scaled: Tensor) -> Tensor:
        """The frozen decoder's picture of scaled latents, about [0, 1]."""
        return self.vae.decode(scaled / self.vae.config["scaling_factor"]).sample / 2 + 0.5  # type: ignore[union-attr]

    def export(self, module: nn.Module, folder: Path) -> None:
        """Both networks in diffusers' layout, and how they are to be used."""
        assert isinstance(module, RGBAParts)
        module.offset_encoder.save_pretrained(folder / "rgba" / "offset_encoder")
        module.alpha_decoder.save_pretrained(folder / "rgba" / "alpha_decoder")
        (folder / "rgba" / CONVENTION).write_text(json.dumps(EMBEDDED))

    @torch.no_grad()
    def sheet(self, module: nn.Module, path: Path) -> None:
        """Pictures above their reconstructions."""
        assert isinstance(module, RGBAParts)
        rgba = self.pictures.batch(16, torch.Generator().manual_seed(1), augment=False)
        adjusted = self.vae_latents(rgba) + module.offset_encoder(rgba)
        picture = self.picture(adjusted)
        found = module.alpha_decoder(picture.clamp(0, 1), adjusted).clamp(0, 1)
        write_sheet([rgba, found, self.picture(self.vae_latents(rgba)), picture], path)


def padded(pictures: Pictures) -> Pictures:
    """The same pictures with colour extended under their transparent pixels (SPEC c)."""
    rows: Sequence[Tensor] = [
        torch.from_numpy(pad_rgb(picture.permute(1, 2, 0).contiguous().numpy())) for picture in pictures.rgba
    ]
    colour = torch.stack(list(rows)).permute(0, 3, 1, 2).clamp(0, 1).mul(255).round().byte()
    return Pictures(pictures.records, torch.cat([colour, pictures.rgba[:, 3:]], dim=1))
