"""Stage `vae`: the embedded model's VAE on opaque images."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn
from torch.nn import functional

from pellucid.evaluation.metrics import psnr
from pellucid.models.mini_vae import MiniVAE
from pellucid.training.data.in_memory import InMemoryDataset, check_split
from pellucid.training.recipe import Recipe
from pellucid.training.sample_grids import write_sample_grid
from pellucid.training.stages.components import check_size, save_half
from pellucid.training.stages.losses import blends, gradient_l1, weighted
from pellucid.training.stages.options import VaeOptions

GREY = 0.5
DEFAULTS = {"reconstruction": 1.0, "gradient": 1.0, "kl": 2e-3}


def backgrounds(count: int, generator: torch.Generator) -> Tensor:
    """Returns one solid colour an image, (count, 3, 1, 1) in [0, 1]; half are the grey of transparency."""
    device = generator.device
    colours = torch.rand(count, 3, 1, 1, generator=generator, device=device)
    plain = torch.rand(count, 1, 1, 1, generator=generator, device=device) < 0.5
    return torch.where(plain, torch.full_like(colours, GREY), colours)


def _principal_components(centred: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the `count` largest standard deviations of rows, ascending, and their directions as columns."""
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
    # eigh sorts upwards: the last are the largest
    return variances[-count:].sqrt(), directions[:, -count:]


class VAEStage:
    """Trains a `MiniVAE` on images laid over solid colours and over one another."""

    def __init__(self, recipe: Recipe, images: InMemoryDataset, device: torch.device) -> None:
        self.recipe = recipe
        self.images = images.only(held_out=False).to(device)
        self.held_out = images.only(held_out=True).to(device)
        check_split(recipe, self.images.count, len(self.held_out.records))
        self.weights = weighted(DEFAULTS, recipe.weights)
        # before the network is built: its first weights are the recipe's too
        torch.manual_seed(recipe.seed)
        self.vae = MiniVAE(**asdict(recipe.options(VaeOptions)), sample_size=recipe.size_px)
        check_size(recipe, self.vae.pixels_per_latent)
        self._start_from_principal_components(torch.Generator(device))
        self.vae.to(device)  # pyright: ignore[reportArgumentType]
        self.modules: Mapping[str, nn.Module] = {"vae": self.vae}
        self.compiled: Sequence[nn.Module] = (self.vae.encoder, self.vae.decoder)

    @torch.no_grad()
    def _start_from_principal_components(self, generator: torch.Generator) -> None:
        """Sets the linear share of the code to the patches' principal components, at unit variance."""
        patch = self.vae.pixels_per_latent
        # enough patches for a covariance, whatever the batch size
        rounds = range(1024 // self.recipe.batch_size + 1)
        images = torch.cat([self.batch(generator.manual_seed(seed)).cpu() for seed in rounds])
        patches = functional.unfold(images, patch, stride=patch).transpose(1, 2).flatten(0, 1)
        mean = patches.mean(dim=0)
        spread, basis = _principal_components(patches - mean, int(self.vae.config["latent_channels"]))
        into = (basis / spread).t()
        self.vae.patch_in.weight.copy_(into.view_as(self.vae.patch_in.weight))
        self.vae.patch_in.bias.copy_(-into @ mean)  # type: ignore[union-attr]
        out_of = (basis * spread).t()
        self.vae.patch_out.weight.copy_(out_of.reshape(self.vae.patch_out.weight.shape))
        # one bias a colour is all that this layer has: the mean over the pixels of a patch
        self.vae.patch_out.bias.copy_(mean.view(3, -1).mean(dim=1))  # type: ignore[union-attr]

    def batch(self, generator: torch.Generator) -> Tensor:
        """Returns opaque images in [-1, 1]; a quarter shows one object before another."""
        size = self.recipe.batch_size
        front = self.images.batch(size, generator, augment=True)
        back = blends(self.images.batch(size, generator, augment=True), backgrounds(size, generator))
        crowd = torch.rand(size, 1, 1, 1, generator=generator, device=generator.device) < 0.25
        ground = torch.where(crowd, back, backgrounds(size, generator).expand_as(back))
        return (front[:, :3] * front[:, 3:] + ground * (1 - front[:, 3:])) * 2 - 1

    def loss(self, module_name: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns L1, gradient L1 and KL of one batch."""
        image = self.batch(generator)
        posterior: DiagonalGaussianDistribution = self.vae.encode(image, return_dict=False)[0]
        mean: Tensor = posterior.mean
        noise = torch.randn(mean.shape, generator=generator, device=generator.device)
        decoded: Tensor = self.vae.decode(mean + posterior.std * noise, return_dict=False)[0].float()
        terms = {
            "reconstruction": functional.l1_loss(decoded, image),
            "gradient": gradient_l1(decoded, image),
            "kl": posterior.kl().mean() / mean[0].numel(),
        }
        return {name: self.weights[name] * term for name, term in terms.items()}

    @torch.no_grad()
    def export(self, module: nn.Module, folder: Path) -> None:
        """Measures the latents' spread and saves the VAE in diffusers' layout."""
        assert isinstance(module, MiniVAE)
        generator = torch.Generator(self.images.rgba.device).manual_seed(0)
        latents = torch.cat([module.encode(self.batch(generator)).latent_dist.mean for _ in range(16)])  # type: ignore[union-attr]
        # so that scaled latents have unit spread, as diffusion models expect
        module.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
        save_half(module, folder / "vae")

    @torch.no_grad()
    def sample_grid(self, module: nn.Module, path: Path) -> None:
        """Draws held-out images over grey, above their reconstructions."""
        rgba = self.held_out.rgba[:16].float() / 255
        image = blends(rgba, rgba.new_full((1, 3, 1, 1), GREY))
        write_sample_grid([image, (module(image * 2 - 1) + 1) / 2], path)

    @torch.no_grad()
    def validation_metrics(self, module: nn.Module) -> dict[str, float]:
        """Returns PSNR of held-out images over grey, dB."""
        rgba = self.held_out.rgba[: self.recipe.score_count].float() / 255
        image = blends(rgba, rgba.new_full((1, 3, 1, 1), GREY))
        decoded = (module(image * 2 - 1) + 1) / 2
        return {"held_out_psnr_db": round(float(psnr(decoded.clamp(0, 1), image).mean()), 3)}
