"""Stage `layers` with `model.condition_roles`: one layer, made while others are seen as further channels.

How the released models for Stable Diffusion XL work, two of them in a row
(paper section 3.3; docs/released-format.md d.4).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.data.shards import Sample
from pellucid.models.latent_inputs import find_input
from pellucid.training.data.layer_scenes import LayerSceneDataset
from pellucid.training.denoiser.frozen_pipeline import with_base_adapter
from pellucid.training.denoiser.parameters import grow_inputs, select_parameters
from pellucid.training.recipe import Recipe
from pellucid.training.sample_grids import write_sample_grid
from pellucid.training.stages.joint_layers import GRID_IMAGES
from pellucid.training.stages.layer_options import ConditionalLayersOptions
from pellucid.weights.adapter_files import save_adapter


class ConditionalLayersStage:
    """Trains a denoiser with further inputs to make one layer of scenes of which it sees other layers.

    Of the recipe's options it reads `ConditionalLayersOptions`.
    """

    def __init__(self, recipe: Recipe, samples: Sequence[Sample], device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.options = options = recipe.options(ConditionalLayersOptions)
        self.frozen = with_base_adapter(recipe, device, options.merged_adapter)
        self.scenes = LayerSceneDataset(recipe, samples, self.frozen)
        self.seen = torch.cat([self.scenes.encode_condition(role) for role in options.condition_roles], dim=1)
        net = self.frozen.net
        is_unet = self.frozen.family.denoiser == "unet"
        method = options.method or ("outside-attention" if is_unet else "lora")
        pattern = options.pattern(method, find_input(net)[0])
        chosen = select_parameters(net, method, rank=options.rank, pattern=pattern)
        # grown after the choice: the new inputs train whatever the method says
        side = self.frozen.stock.token_side
        self.start = {**chosen, **grow_inputs(net, self.seen.shape[1], side)}
        net.to(device)
        # the name is that of checkpoints of before, whatever the denoiser
        self.modules: Mapping[str, nn.Module] = {"unet": net}
        # images reach a transformer by a hook inside it, which compiled code does not notice
        self.compiled: Sequence[nn.Module] = (net,) if is_unet else ()

    def loss(self, module_name: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the squared error of the layer, weighted by min-SNR."""
        drawn, latents, texts = self.scenes.batch(generator)
        errors = self.frozen.loss_per_sample(latents, texts, generator, condition_latents=self.seen[drawn])
        return {self.options.roles[0]: errors.mean()}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the differences, with what the file is for in its metadata."""
        options = self.options
        path = folder / "adapter" / f"{options.file_name}.safetensors"
        # these names are the file format's, which files in use have
        about = {
            "frames": list(options.roles),
            "concat": list(options.condition_roles),
            "over": options.merged_adapter,
        }
        save_adapter(module, self.start, path, style=options.format, about=about, bits=options.bits)

    @torch.no_grad()
    def sample_grid(self, module: nn.Module, path: Path) -> None:
        """Draws scenes of the training captions: what is seen, what was learned, and what is made."""
        scenes, role = self.scenes, self.options.roles[0]
        n = min(GRID_IMAGES, len(scenes.latents))
        seen = [
            scenes.decode(latents, "")
            for latents in self.seen[:n].chunk(len(self.options.condition_roles), dim=1)
        ]
        captions = scenes.first_captions(n)
        sampled = self.frozen.sampled(captions, module, condition_latents=self.seen[:n])
        learned = scenes.decode(scenes.latents[:n, 0], role)
        write_sample_grid([*seen, learned, scenes.decode(sampled, role)], path)

    def validation_metrics(self, module: nn.Module) -> dict[str, float]:
        """Returns the loss of the first batches at fixed noise: comparable between steps."""
        with self.frozen.using(module):
            return self.frozen.fixed_noise_loss(partial(self.loss, "unet"))
