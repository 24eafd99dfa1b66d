"""Stages `base` and `transparent`: a text-to-image UNet on cached latents.

`base` learns opaque pictures. `transparent` starts from it and learns adjusted latents (LayerDiffuse
section 3.2) with the parameters that `model.trainable` names; its export is the difference to the base.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from safetensors.torch import save_file
from torch import Tensor, nn

from pellucid.data.records import Record, captions
from pellucid.models.mini_vae import MiniVAE
from pellucid.training.config import Recipe
from pellucid.training.losses import blends, min_snr_v_weight
from pellucid.training.parts import encode_texts, load_autoencoder, load_unet, load_vae, sample
from pellucid.training.pictures import load_pictures
from pellucid.training.sheets import write_sheet
from pellucid.training.vocabulary import plain_pictures

BACKGROUNDS = {"": 0.5, "white": 1.0, "black": 0.0}
"""Words after a caption, and the level behind the picture; no words mean the grey of transparency."""
OPTIONS = {"trainable", "caption_dropout", "min_snr_gamma", "opaque_share"}


class DiffusionStage:
    """Trains the UNet to predict v from noisy latents and captions."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.options = {key: value for key, value in recipe.model.items() if key in OPTIONS}
        torch.manual_seed(recipe.seed)
        self.folder = Path(recipe.init)
        pictures = load_pictures(recipe, held_out=None)
        chosen = plain_pictures(pictures.records, recipe.groups, recipe.subjects, recipe.first_subjects)
        self.records = [pictures.records[index] for index in chosen]
        self.rgba = pictures.rgba[chosen].float() / 255
        architecture = {key: value for key, value in recipe.model.items() if key not in OPTIONS}
        self.unet = load_unet(self.folder, architecture, transparent=recipe.stage == "transparent")
        self.start = {name: value.clone() for name, value in self.unet.state_dict().items()}
        wanted = re.compile(str(self.options.get("trainable", "")))
        for name, parameter in self.unet.named_parameters():
            parameter.requires_grad_(bool(wanted.search(name)))
        self.turns: Mapping[str, nn.Module] = {"unet": self.unet}
        self.alphas_cumprod = schedule().alphas_cumprod
        self._cache()

    @torch.no_grad()
    def _cache(self) -> None:
        """Latents of every picture in every setting, and the text encoder's states of every caption."""
        if self.recipe.stage == "base":
            self.settings = list(BACKGROUNDS)
            vae = load_vae(self.folder)
            self.latents = torch.stack(
                [self._opaque_latents(vae, BACKGROUNDS[word]) for word in self.settings], dim=1
            )
        else:
            self.settings = [""]
            autoencoder = load_autoencoder(self.folder)
            self.latents = torch.cat([autoencoder.encode(part) for part in self.rgba.split(64)])[:, None]
        sentences = {"": 0}
        self.captions = [
            [self._sentences(record, word, sentences) for word in self.settings] for record in self.records
        ]
        self.texts = encode_texts(self.folder, list(sentences))

    def _opaque_latents(self, vae: MiniVAE, level: float) -> Tensor:
        picture = blends(self.rgba, torch.full((1, 3, 1, 1), level)) * 2 - 1
        latents = torch.cat(
            [
                vae.encode(part).latent_dist.mean  # type: ignore[union-attr]
                for part in picture.split(64)
            ]
        )
        return latents * vae.config["scaling_factor"]  # type: ignore[index]

    def _sentences(self, record: Record, word: str, known: dict[str, int]) -> list[int]:
        ending = f", {word} background" if word else ""
        return [known.setdefault(text + ending, len(known)) for text in captions(record, plain=True)]

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Scaled latents (b, c, h, w) and text states (b, tokens, width) of random pictures."""
        size = self.recipe.batch_size
        index = torch.randint(len(self.records), (size,), generator=generator)
        plain = torch.rand(size, generator=generator) < 1 - float(self.options.get("opaque_share", 0.2))
        setting = torch.randint(len(self.settings), (size,), generator=generator).masked_fill(plain, 0)
        picks = torch.rand(size, generator=generator).tolist()
        dropped = torch.rand(size, generator=generator) < float(self.options.get("caption_dropout", 0.1))
        choices = [self.captions[i][s] for i, s in zip(index.tolist(), setting.tolist(), strict=True)]
        rows = torch.tensor(
            [choice[int(pick * len(choice))] for choice, pick in zip(choices, picks, strict=True)]
        )
        return self.latents[index, setting], self.texts[rows.masked_fill(dropped, 0)].float()

    def loss(self, turn: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Squared error of v, weighted by min-SNR."""
        latents, texts = self.batch(generator)
        timesteps = torch.randint(len(self.alphas_cumprod), (len(latents),), generator=generator)
        kept = self.alphas_cumprod[timesteps]
        signal, noise_level = kept.sqrt().view(-1, 1, 1, 1), (1 - kept).sqrt().view(-1, 1, 1, 1)
        noise = torch.randn(latents.shape, generator=generator)
        found = self.unet(signal * latents + noise_level * noise, timesteps, texts, return_dict=False)[0]
        error = (found - (signal * noise - noise_level * latents)).square().mean(dim=(1, 2, 3))
        weight = min_snr_v_weight(kept, float(self.options.get("min_snr_gamma", 5.0)))
        return {"v": (weight * error).mean() / weight.mean().clamp_min(1e-3)}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the UNet in diffusers' layout (`base`), or the differences of what was trained."""
        assert isinstance(module, UNet2DConditionModel)
        if self.recipe.stage == "base":
            module.half().save_pretrained(folder / "unet")
            module.float()
            schedule().save_pretrained(folder / "scheduler")
            return
        trained = {name for name, parameter in self.unet.named_parameters() if parameter.requires_grad}
        state = module.state_dict()
        offsets = {name: (state[name] - self.start[name]).half().contiguous() for name in sorted(trained)}
        (folder / "adapter").mkdir(parents=True, exist_ok=True)
        save_file(offsets, folder / "adapter" / "transparent.safetensors")

    @torch.no_grad()
    def sheet(self, module: nn.Module, path: Path) -> None:
        """Generated pictures of sixteen subjects under the pictures that were learned."""
        assert isinstance(module, UNet2DConditionModel)
        rows = spread(len(self.records), 16)
        latents = sample(module, self.folder, [self.records[row].label for row in rows])
        if self.recipe.stage == "base":
            vae = load_vae(self.folder)
            found = (vae.decode(latents / vae.config["scaling_factor"]).sample + 1) / 2  # type: ignore[index]
            write_sheet([blends(self.rgba[rows], torch.full((1, 3, 1, 1), 0.5)), found], path)
        else:
            write_sheet([self.rgba[rows], load_autoencoder(self.folder).decode(latents, passes=1)], path)


def schedule() -> DDPMScheduler:
    """The noise schedule that the embedded model is trained with."""
    return DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False)


def spread(total: int, count: int) -> Sequence[int]:
    """`count` indices evenly spread over `total`."""
    return [index * total // count for index in range(min(count, total))]
