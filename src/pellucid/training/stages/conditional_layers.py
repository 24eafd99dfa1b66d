"""Stage `layers` with `model.concat`: one layer, made while others are seen as further channels.

How the released models for Stable Diffusion XL work, two of them in a row (paper section 3.3; SPEC d.4).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.data.shards import Sample
from pellucid.errors import ConfigError
from pellucid.training.data.layer_scenes import Scenes, check_roles
from pellucid.training.denoiser.parameters import RANK, bits_of, choose, grow_inputs, save_adapter
from pellucid.training.recipe import Recipe
from pellucid.training.sample_grids import write_sheet
from pellucid.training.stages.joint_layers import SHEET, TRANSPARENT, wearing


class ConcatStage:
    """Trains a UNet with further inputs to make one frame of scenes of which it sees other pictures.

    Options in the recipe's `model`, beside those of `Denoising` and `Scenes` (with one role in `frames`):
    `concat` (roles that are seen), `over` (name of the adapter that lies below; usually `transparent` for
    foregrounds, else "", the plain UNet), `method`, `rank`, `trainable`, `format` as in stage
    `transparent` (method: outside-attention, as the released ones), `bits`, `name` (of the file in
    `adapter/`).
    """

    def __init__(self, recipe: Recipe, samples: Sequence[Sample], device: torch.device) -> None:
        self.recipe, self.device, options = recipe, device, recipe.model
        self.bits = bits_of(recipe)
        self.concat = tuple(options["concat"])
        torch.manual_seed(recipe.seed)
        frames = tuple(options.get("frames", ("foreground",)))
        check_roles(self.concat)
        if len(frames) != 1 or frames[0] in self.concat:
            raise ConfigError(
                f"Expected one frame that is not among the seen {list(self.concat)}, got {list(frames)}. "
                "Mend the recipe."
            )
        self.over = str(options.get("over", TRANSPARENT if frames == ("foreground",) else ""))
        self.denoising = wearing(recipe, device, self.over)
        self.scenes = Scenes(recipe, samples, self.denoising)
        self.seen = torch.cat([self.scenes.conditions_of(role) for role in self.concat], dim=1)
        net = self.denoising.net
        rank, method = int(options.get("rank", RANK)), str(options.get("method", "outside-attention"))
        usual = "^(?!conv_in)" if method == "locon" else ""  # the first convolution grows and trains whole
        chosen = choose(net, method, rank=rank, pattern=str(options.get("trainable", usual)))
        self.start = {**chosen, **grow_inputs(net, self.seen.shape[1])}
        net.to(device)
        self.turns: Mapping[str, nn.Module] = {"unet": net}
        self.compiled: Sequence[nn.Module] = (net,)

    def loss(self, turn: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Squared error of the frame, weighted by min-SNR."""
        drawn, latents, texts = self.scenes.batch(generator)
        errors = self.denoising.errors(latents, texts, generator, shown=self.seen[drawn])
        return {self.scenes.frames[0]: errors.mean()}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the differences, with what the file is for in its metadata."""
        name = str(self.recipe.model.get("name", "-".join((*self.concat, "to", *self.scenes.frames))))
        path = folder / "adapter" / f"{name}.safetensors"
        style = str(self.recipe.model.get("format", "diffusers"))
        about = {"frames": list(self.scenes.frames), "concat": list(self.concat), "over": self.over}
        save_adapter(module, self.start, path, style=style, about=about, bits=self.bits)

    @torch.no_grad()
    def sheet(self, module: nn.Module, path: Path) -> None:
        """Scenes of the training captions: what is seen, what was learned, and what is made."""
        scenes, role = self.scenes, self.scenes.frames[0]
        n = min(SHEET, len(scenes.latents))
        seen = [scenes.shown(each, "") for each in self.seen[:n].chunk(len(self.concat), dim=1)]
        made = self.denoising.sampled(scenes.texts_of(n), module, shown=self.seen[:n])
        write_sheet([*seen, scenes.shown(scenes.latents[:n, 0], role), scenes.shown(made, role)], path)

    def score(self, module: nn.Module) -> dict[str, float]:
        """Loss of the first batches at fixed noise: comparable between steps."""
        with self.denoising.using(module):
            return self.denoising.fixed_score(partial(self.loss, "unet"))
