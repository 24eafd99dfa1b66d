"""Stages `base` and `transparent`: a text-to-image model of any family on cached latents.

`base` learns opaque images. `transparent` starts from it and learns adjusted latents (LayerDiffuse
section 3.2, Fig. 2a) with the parameters that `model.method` names; its export is an adapter.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.data.spread import evenly
from pellucid.evaluation.metrics import nearest_rank
from pellucid.pipelines.arguments import SamplingOptions
from pellucid.training.data.in_memory import InMemoryDataset
from pellucid.training.data.text_image import TextImageDataset
from pellucid.training.denoiser.frozen_pipeline import FrozenPipeline, with_base_adapter
from pellucid.training.denoiser.parameters import (
    LOW_RANK,
    go_on_from,
    save_diffusers_lora,
    select_parameters,
)
from pellucid.training.recipe import Recipe
from pellucid.training.sample_grids import write_sample_grid
from pellucid.training.stages.components import save_half
from pellucid.training.stages.options import BaseOptions, TransparentOptions
from pellucid.weights.adapter_files import save_adapter

OPAQUE = {"frames": ["background"], "hint": "", "over": ""}
"""What an adapter of opaque images says of itself: alone, on the plain model."""
GRID_IMAGES = 16


class TextToImageStage:
    """Trains a denoiser to predict noise, v or a flow, as its scheduler says, from latents and captions.

    Of the recipe's options it reads `BaseOptions` or `TransparentOptions`.
    """

    def __init__(self, recipe: Recipe, images: InMemoryDataset, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        torch.manual_seed(recipe.seed)
        base = recipe.options(BaseOptions) if recipe.stage == "base" else None
        if base:
            self.frozen = FrozenPipeline(recipe, device, architecture=base.unet)
        else:
            self.frozen = with_base_adapter(recipe, device, recipe.options(TransparentOptions).base_adapter)
        self.data = TextImageDataset(recipe, images, self.frozen)
        net = self.frozen.net
        if base:
            # "full", since a new UNet has nothing that could stay
            self.start = select_parameters(net, "full", pattern=base.trainable)
        else:
            options = recipe.options(TransparentOptions)
            self.start = select_parameters(net, options.method, rank=options.rank, pattern=options.trainable)
            if options.init_adapter:
                go_on_from(net, Path(options.init_adapter))
        net.to(device)
        self.modules: Mapping[str, nn.Module] = {self.frozen.family.denoiser: net}
        self.compiled: Sequence[nn.Module] = (net,)

    def loss(self, module_name: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the squared error of what the model predicts, weighted by min-SNR."""
        _, latents, texts = self.data.batch(generator)
        return {self.frozen.noising.objective: self.frozen.loss_per_sample(latents, texts, generator).mean()}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the UNet in diffusers' layout (`base`), or an adapter; LoRAs for diffusers too."""
        if self.recipe.stage == "base":
            save_half(module, folder / self.frozen.family.denoiser)  # type: ignore[arg-type]
            return
        options = self.recipe.options(TransparentOptions)
        save_adapter(
            module,
            self.start,
            folder / "adapter" / f"{options.name}.safetensors",
            style=options.format,
            about=_about(options.base_adapter, opaque=self.data.opaque),
            codec=options.codec,
            bits=options.bits,
        )
        if options.method in LOW_RANK:
            save_diffusers_lora(self.frozen.stock, module, folder / "diffusers-lora")

    def generated(self, module: nn.Module, texts: Sequence[str]) -> Tensor:
        """Generates images of sentences, (n, 3 or 4, h, w): over grey (`base`), or transparent."""
        return self.data.generated(self.frozen.sampled(texts, module))

    @torch.no_grad()
    def sample_grid(self, module: nn.Module, path: Path) -> None:
        """Draws generated images of sixteen subjects under the images that were learned."""
        data = self.data
        index, texts = data.spread(GRID_IMAGES)
        learned = data.as_learned(data.images.rgba[index].float() / 255)
        write_sample_grid([learned, self.generated(module, texts)], path)

    @torch.no_grad()
    def validation_metrics(self, module: nn.Module) -> dict[str, float]:
        """Measures how often the nearest training image has the asked label (top 1, top 5)."""
        data = self.data
        pairs = [
            (index, choice)
            for index in range(data.plain_count)
            for choice in range(int(data.caption_counts[index, 0]))
        ]
        asked = [pairs[place] for place in evenly(len(pairs), self.recipe.score_count)]
        texts = [data.sentences[data.captions[index, 0, choice]] for index, choice in asked]
        generated = torch.cat(
            [self.generated(module, part) for part in SamplingOptions(batch_size=64).batches(texts)]
        )
        training_images = data.as_learned(data.images.rgba[: data.plain_count].float() / 255)
        labels = [record.label for record in data.images.records[: data.plain_count]]
        # compared as transparent: a right colour with a wrong outline is another subject
        ranks = nearest_rank(
            opaque(generated), opaque(training_images), labels, [labels[index] for index, _ in asked]
        )
        shares = {"top1": 1, "top5": 5}
        return {name: sum(rank <= most for rank in ranks) / len(ranks) for name, most in shares.items()}


def _about(base_adapter: str, *, opaque: bool) -> Mapping[str, object] | None:
    """Returns what the file says of itself; nothing where it is a transparent layer's on the plain model."""
    if opaque:
        return {**OPAQUE, "over": base_adapter}
    return {"frames": ["foreground"], "hint": "", "over": base_adapter} if base_adapter else None


def opaque(image: Tensor) -> Tensor:
    """Returns RGBA of images that may lack alpha."""
    return image if image.shape[1] == 4 else torch.cat([image, torch.ones_like(image[:, :1])], dim=1)
