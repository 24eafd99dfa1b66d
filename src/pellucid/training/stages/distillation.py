"""Stage `autoencoder` with `distill = true`: one pass of the alpha decoder learns the median of eight."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from pellucid.evaluation.metrics import alpha_mae, blended_metrics
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.training.data.in_memory import InMemoryDataset
from pellucid.training.recipe import Recipe
from pellucid.training.stages.autoencoder import AutoencoderStage

WEIGHTS = {"reconstruction": 0.0, "blend": 0.0, "discriminator": 0.0}
PASSES = 8


class DistillationStage(AutoencoderStage):
    """Trains the alpha decoder of `init` towards its own median over eight orientations.

    Latents stay as they are, so that adapters trained on them stay right. By default the median is the only
    term; the weights `reconstruction`, `blend` and `discriminator` add the truth.
    """

    def __init__(
        self, recipe: Recipe, images: InMemoryDataset, device: torch.device, vae: ModelMixin | None = None
    ) -> None:
        weights = WEIGHTS | dict(recipe.weights)
        super().__init__(replace(recipe, weights=weights), images, device, vae)
        # copied before the first step: the student starts as its own teacher
        self.teacher = deepcopy(self.codec(self.parts)).eval().requires_grad_(False)
        self._before: dict[str, float] = {}

    def _start_from(self, folder: Path) -> None:
        super()._start_from(folder)
        self.parts.offset_encoder.eval().requires_grad_(False)

    def forward(self, rgba: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns one pass of the student, and its distance from the teacher's median."""
        with torch.no_grad():
            adjusted = self.teacher.encode(rgba)
            level = self.latent_noise * torch.rand(
                len(rgba), 1, 1, 1, generator=generator, device=generator.device
            )
            adjusted += level * torch.randn(adjusted.shape, generator=generator, device=generator.device)
            opaque = self.teacher.decode_opaque(adjusted)
            median = self.teacher.decode_alpha(opaque, adjusted, passes=PASSES)
        student = self.parts.alpha_decoder(opaque, adjusted).float()
        return student, {"median": clipped_l1(student, median)}

    @torch.no_grad()
    def validation_metrics(self, module: nn.Module) -> dict[str, float]:
        """Measures one pass of student and teacher on held-out images, against the median and the truth.

        Mean PSNR on nine colours, dB, and mean absolute errors of alpha.
        """
        count = self.recipe.score_count
        rgba = self.held_out.rgba[:count].float() / 255
        truth = self.held_out.targets[:count].float() / 255
        adjusted = self.teacher.encode(rgba)
        opaque = self.teacher.decode_opaque(adjusted)

        def decoded(codec: RGBAAutoencoder, passes: int) -> Tensor:
            return codec.decode_alpha(opaque, adjusted, passes=passes)

        median = decoded(self.teacher, PASSES)
        # the teacher does not change, so it is measured once
        if not self._before:
            self._before = {
                **_scores("before", decoded(self.teacher, 1), truth, median),
                **_scores("median", median, truth, None),
            }
        return {**_scores("one_pass", decoded(self.codec(module), 1), truth, median), **self._before}


def clipped_l1(output: Tensor, median: Tensor) -> Tensor:
    """Returns L1 to what was clipped to [0, 1]: beyond a bound that it reached, any value is right.

    Asking for the bound itself would take the decoder's margin away, and noise would show after clipping.
    """
    low, high = output.clamp_min(0), output.clamp_max(1)
    within = torch.where(median <= 0, low, torch.where(median >= 1, high, output))
    return functional.l1_loss(within, median)


def _scores(name: str, output: Tensor, rgba: Tensor, median: Tensor | None) -> dict[str, float]:
    scores = {"psnr_db": blended_metrics(output, rgba)["mean"], "alpha_mae": alpha_mae(output, rgba)}
    if median is not None:
        scores |= {
            "to_median_psnr_db": blended_metrics(output, median)["mean"],
            "to_median_alpha_mae": alpha_mae(output, median),
        }
    return {f"{name}/{kind}": round(value, 5) for kind, value in scores.items()}
