"""Stage `layers`: the layers of one scene, trained together on a frozen UNet (paper section 3.3, Fig. 2b).

Every frame has LoRAs of its own, and all attend to each other; they may be shown a clean layer, as a hint to
their attentions. Frame index is fastest in a batch.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import nn

from pellucid.data.shards import Sample
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.training.data.layer_scenes import LayerSceneDataset
from pellucid.training.denoiser.frozen_pipeline import with_base_adapter
from pellucid.training.recipe import Recipe
from pellucid.training.sample_grids import write_sample_grid
from pellucid.training.stages.layer_options import JointLayersOptions
from pellucid.weights.adapter_files import write_adapter

GRID_IMAGES = 6


class JointLayersStage:
    """Trains `AttentionSharing` to predict the noise, or v, of all frames of a scene.

    Of the recipe's options it reads `JointLayersOptions`.
    """

    def __init__(self, recipe: Recipe, samples: Sequence[Sample], device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.options = recipe.options(JointLayersOptions)
        hint = self.options.hint_role
        self.frozen = with_base_adapter(recipe, device, self.options.base_adapter)
        self.scenes = LayerSceneDataset(recipe, samples, self.frozen)
        self.unet = self.frozen.net
        self.sharing = AttentionSharing.for_unet(
            self.unet, frames=len(self.scenes.roles), rank=self.options.rank, control=bool(hint)
        )
        nn.Module.to(self.sharing, device)
        self.sharing.attach(self.unet)
        self.hints = self.scenes.images_on_grey(hint) if hint else None
        self.modules: Mapping[str, nn.Module] = {"sharing": self.sharing}
        self.compiled: Sequence[nn.Module] = ()

    def loss(self, module_name: str, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Returns the squared error of each frame, weighted by min-SNR; one noise level a scene."""
        drawn, latents, texts = self.scenes.batch(generator)
        if self.hints is not None:
            self.sharing.encode_hint(self.hints[drawn].float() / 255)
        frames = self.scenes.roles
        errors = self.frozen.loss_per_sample(latents, texts, generator, rows_together=len(frames))
        per_role = errors.view(len(drawn), len(frames)).mean(dim=0)
        return {role: per_role[i] / len(frames) for i, role in enumerate(frames)}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the released layout (docs/released-format.md a.4); its metadata say what it is for."""
        options = self.options
        state = {
            key if key.startswith("kwargs_encoder.") else f"hookers.{key}": value
            for key, value in module.state_dict().items()
        }
        # these names are the file format's, which files in use have
        about = {"frames": list(options.roles), "hint": options.hint_role, "over": options.base_adapter}
        path = folder / "adapter" / f"{options.name}.safetensors"
        write_adapter(state, path, about=about, bits=options.bits)

    @torch.no_grad()
    def sample_grid(self, module: nn.Module, path: Path) -> None:
        """Draws scenes of the training captions: the layers that were learned, then what is made."""
        scenes = self.scenes
        n, n_frames = min(GRID_IMAGES, len(scenes.latents)), len(scenes.roles)
        with self._using(module):
            if self.hints is not None:
                self.sharing.encode_hint(self.hints[:n].float() / 255)
            sampled = self.frozen.sampled(scenes.first_captions(n))
        sampled = sampled.view(n, n_frames, *sampled.shape[1:])
        # each role twice: what was learned, and what is made of the same captions
        pairs = [
            (role, kind[:n, i]) for i, role in enumerate(scenes.roles) for kind in (scenes.latents, sampled)
        ]
        write_sample_grid([scenes.decode(latents, role) for role, latents in pairs], path)

    @contextmanager
    def _using(self, module: nn.Module) -> Generator[None]:
        """Lets the UNet run with other units, such as averaged ones, for a while."""
        assert isinstance(module, AttentionSharing)
        trained, self.sharing = self.sharing, module
        module.attach(self.unet)
        try:
            yield
        finally:
            self.sharing = trained
            trained.attach(self.unet)

    def validation_metrics(self, module: nn.Module) -> dict[str, float]:
        """Returns the loss of the first batches at fixed noise: comparable between steps."""
        with self._using(module):
            return self.frozen.fixed_noise_loss(partial(self.loss, "sharing"))
