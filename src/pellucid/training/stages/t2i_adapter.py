"""Stage `control`: a small network that shows a frozen UNet the structure of an image.

A T2I-Adapter (Mou et al. 2023), since a ControlNet is half a UNet: too large for the embedded model.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers.models.adapter import T2IAdapter
from PIL import Image
from torch import Tensor, nn

from pellucid.errors import ConfigError
from pellucid.pipelines.structure_control import FOLDER
from pellucid.rgba.control_images import structure
from pellucid.training.data.in_memory import InMemoryDataset
from pellucid.training.data.text_image import TextImageDataset
from pellucid.training.denoiser.frozen_pipeline import with_base_adapter
from pellucid.training.recipe import Recipe
from pellucid.training.sample_grids import write_sample_grid
from pellucid.training.stages.components import save_half
from pellucid.training.stages.networks import build
from pellucid.training.stages.options import ControlOptions

GRID_IMAGES = 16


class T2IAdapterStage:
    """Trains a T2I-Adapter on silhouettes and edges of the training images, one of them left out at times.

    Of the recipe's options it reads `ControlOptions`.
    """

    def __init__(self, recipe: Recipe, images: InMemoryDataset, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        options = recipe.options(ControlOptions)
        self.frozen = with_base_adapter(recipe, device, options.base_adapter)
        config = getattr(self.frozen.net, "config", {})
        if self.frozen.family.text_width is None or "block_out_channels" not in config:
            raise ConfigError(
                f"Expected Stable Diffusion's UNet, found {type(self.frozen.net).__name__}. "
                "Train a ControlNet of that family with diffusers instead."
            )
        self.data = TextImageDataset(recipe, images, self.frozen)
        self.structures = torch.stack(
            [draw_control_images(way) for way in self.data.ways.unbind(1)], dim=1
        ).to(device)
        self.adapter = build(
            T2IAdapter,
            {
                "channels": list(config["block_out_channels"]),
                "adapter_type": options.adapter_type,
                "num_res_blocks": options.num_res_blocks,
            },
        )
        self.adapter.to(device)  # pyright: ignore[reportArgumentType]
        self.modules: Mapping[str, nn.Module] = {"adapter": self.adapter}
        self.compiled: Sequence[nn.Module] = (self.frozen.net,)

    def loss(self, module_name: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the UNet's squared error when it is shown the structure, weighted by min-SNR."""
        drawn, latents, texts = self.data.batch(generator)
        chance = torch.rand(len(latents), generator=generator, device=self.device)
        seen = self.structures[drawn].float() / 255
        # never both, and the third channel, which `structure` leaves empty, always
        kept = torch.stack([chance > 0.4, chance < 0.8, chance < 0], dim=1)  # 40 % miss one, 20 % the other
        features = self.adapter(seen * kept[:, :, None, None])
        extra_kwargs = {"down_intrablock_additional_residuals": features}
        return {
            "control": self.frozen.loss_per_sample(
                latents, texts, generator, extra_kwargs=extra_kwargs
            ).mean()
        }

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the network in diffusers' layout."""
        save_half(module, folder / FOLDER)  # type: ignore[arg-type]

    @torch.no_grad()
    def sample_grid(self, module: nn.Module, path: Path) -> None:
        """Draws structures, the images they are of, and what is made of their captions with them."""
        index, texts = self.data.spread(GRID_IMAGES)
        seen = self.structures[index, -1]
        images = [Image.fromarray(pixels) for pixels in seen.permute(0, 2, 3, 1).cpu().numpy()]
        stock = self.frozen.stock.with_t2i_adapter(module)
        sampled = self.frozen.sampled(texts, stock=stock, inputs=[{"image": image} for image in images])
        learned = self.data.generated(self.data.latents[index, -1])
        write_sample_grid([seen.float() / 255, learned, self.data.generated(sampled)], path)

    def validation_metrics(self, module: nn.Module) -> dict[str, float]:
        """Returns the loss at fixed noise: comparable between steps."""
        assert isinstance(module, T2IAdapter)
        trained, self.adapter = self.adapter, module
        try:
            return self.frozen.fixed_noise_loss(partial(self.loss, "adapter"))
        finally:
            self.adapter = trained


def draw_control_images(rgba: Tensor) -> Tensor:
    """Returns both structures of images, uint8 (n, 4, h, w), as (n, 3, h, w)."""
    images = np.ascontiguousarray(rgba.permute(0, 2, 3, 1).cpu().numpy())
    return torch.from_numpy(np.stack([structure(image) for image in images])).permute(0, 3, 1, 2)
