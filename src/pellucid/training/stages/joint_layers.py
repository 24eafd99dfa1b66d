"""Stage `layers`: layers of one scene, trained together on a frozen denoiser (paper section 3.3, Fig. 2b).

Every frame has LoRAs of its own, and all attend to each other; they may be shown a clean layer. Units are
`AttentionSharing` for UNets and `FrameUnits` for transformers. Frame index is fastest in a batch.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.data.shards import Sample
from pellucid.errors import ConfigError
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.models.frame_hooks import put_units
from pellucid.models.frame_units import FrameUnits
from pellucid.training.data.layer_scenes import LayerSceneDataset
from pellucid.training.denoiser.frozen_pipeline import with_base_adapter
from pellucid.training.recipe import Recipe
from pellucid.training.sample_grids import write_sample_grid
from pellucid.training.stages.layer_options import JointLayersOptions
from pellucid.weights.adapter_files import write_adapter
from pellucid.weights.layer_units import FRAME_UNITS, HOOKERS

GRID_IMAGES = 6
Units = AttentionSharing | FrameUnits


class JointLayersStage:
    """Trains units to predict the noise, v or velocity of all frames of a scene.

    Of the recipe's options it reads `JointLayersOptions`.
    """

    def __init__(self, recipe: Recipe, samples: Sequence[Sample], device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.options = recipe.options(JointLayersOptions)
        self.frozen = with_base_adapter(recipe, device, self.options.base_adapter)
        self.scenes = LayerSceneDataset(recipe, samples, self.frozen)
        self.net = self.frozen.net
        self.sharing = self._made_units()
        nn.Module.to(self.sharing, device)
        self._run(self.sharing)
        self.hints = self._hints()
        self.modules: Mapping[str, nn.Module] = {"sharing": self.sharing}
        self.compiled: Sequence[nn.Module] = ()

    def _made_units(self) -> Units:
        """Builds units for the family's kind of denoiser, which change nothing yet."""
        frames, rank = len(self.scenes.roles), self.options.rank
        is_shown = bool(self.options.hint_role)
        stock = self.frozen.stock
        if stock.family.one_at_a_time:
            raise ConfigError(
                f"Expected a family that makes several images together, found {stock.family.title}. "
                "Train one layer with condition_roles, or take another family."
            )
        if stock.family.denoiser == "unet":
            return AttentionSharing.for_unet(self.net, frames=frames, rank=rank, control=is_shown)
        return FrameUnits.for_transformer(
            self.net,
            frames=frames,
            rank=rank,
            shown_channels=stock.latent_channels if is_shown else 0,
            side=stock.token_side,
        )

    def _run(self, units: Units) -> None:
        """Lets units run in the denoiser, in place of those that did."""
        if isinstance(units, AttentionSharing):
            units.attach(self.net)
        else:
            put_units(self.net, units)

    def _hints(self) -> Tensor | None:
        """Returns what is shown of every scene: images for attentions, or latents."""
        if not self.options.hint_role:
            return None
        if isinstance(self.sharing, AttentionSharing):
            return self.scenes.images_on_grey(self.options.hint_role)
        return self.scenes.encode_condition(self.options.hint_role)

    def _show(self, rows: Tensor | slice) -> Tensor | None:
        """Shows scenes to attentions, or returns latents to be shown, one a frame."""
        if self.hints is None:
            return None
        if isinstance(self.sharing, AttentionSharing):
            self.sharing.encode_hint(self.hints[rows].float() / 255)
            return None
        return self.hints[rows].repeat_interleave(len(self.scenes.roles), dim=0)

    def loss(self, module_name: str, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Returns the squared error of each frame, weighted by min-SNR; one noise level a scene."""
        drawn, latents, texts = self.scenes.batch(generator)
        frames = self.scenes.roles
        errors = self.frozen.loss_per_sample(
            latents, texts, generator, rows_together=len(frames), condition_latents=self._show(drawn)
        )
        per_role = errors.view(len(drawn), len(frames)).mean(dim=0)
        return {role: per_role[i] / len(frames) for i, role in enumerate(frames)}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the units; of a UNet in the released layout (docs/released-format.md a.4).

        The file's metadata say what it is for.
        """
        options = self.options
        of_unet = isinstance(module, AttentionSharing)
        prefix = HOOKERS if of_unet else FRAME_UNITS
        state = {
            key if key.startswith("kwargs_encoder.") else f"{prefix}{key}": value
            for key, value in module.state_dict().items()
        }
        # these names are the file format's, which files in use have
        shown: dict[str, object] = {"hint": options.hint_role if of_unet else ""}
        if options.hint_role and not of_unet:
            shown["concat"] = [options.hint_role]
        about = {"frames": list(options.roles), **shown, "over": options.base_adapter}
        path = folder / "adapter" / f"{options.name}.safetensors"
        write_adapter(state, path, about=about, bits=options.bits)

    @torch.no_grad()
    def sample_grid(self, module: nn.Module, path: Path) -> None:
        """Draws scenes of the training captions: the layers that were learned, then what is made."""
        scenes = self.scenes
        n, n_frames = min(GRID_IMAGES, len(scenes.latents)), len(scenes.roles)
        with self._using(module):
            sampled = self.frozen.sampled(
                scenes.first_captions(n), rows_together=n_frames, condition_latents=self._show(slice(n))
            )
        sampled = sampled.view(n, n_frames, *sampled.shape[1:])
        # each role twice: what was learned, and what is made of the same captions
        pairs = [
            (role, kind[:n, i]) for i, role in enumerate(scenes.roles) for kind in (scenes.latents, sampled)
        ]
        write_sample_grid([scenes.decode(latents, role) for role, latents in pairs], path)

    @contextmanager
    def _using(self, module: nn.Module) -> Generator[None]:
        """Lets the denoiser run with other units, such as averaged ones, for a while."""
        assert isinstance(module, AttentionSharing | FrameUnits)
        trained, self.sharing = self.sharing, module
        self._run(module)
        try:
            yield
        finally:
            self.sharing = trained
            self._run(trained)

    def validation_metrics(self, module: nn.Module) -> dict[str, float]:
        """Returns the loss of the first batches at fixed noise: comparable between steps."""
        with self._using(module):
            return self.frozen.fixed_noise_loss(partial(self.loss, "sharing"))
