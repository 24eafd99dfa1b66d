"""Stages `base` and `transparent`: a text-to-image UNet on cached latents.

`base` learns opaque pictures. `transparent` starts from it and learns adjusted latents (LayerDiffuse
section 3.2) with the parameters that `model.trainable` names; its export is the difference to the base.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from pellucid.data.records import Record, captions
from pellucid.evaluation.metrics import nearest_rank
from pellucid.pipelines.own_layers import ABOUT
from pellucid.training.config import Recipe
from pellucid.training.losses import blends, min_snr_v_weight
from pellucid.training.parts import encode_texts, load_autoencoder, load_unet, load_vae, sample, save_half
from pellucid.training.pictures import Pictures
from pellucid.training.schedule import noised, schedule
from pellucid.training.sheets import write_sheet
from pellucid.training.vocabulary import plain_pictures

BACKGROUNDS = {"": 0.5, "white": 1.0, "black": 0.0}
"""Words after a caption, and the level behind the picture; no words mean the grey of transparency."""
OPTIONS = {
    "trainable", "caption_dropout", "min_snr_gamma", "opaque_share", "styled_share", "rank", "opaque", "name",
}  # fmt: skip
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""Matrices that LoRAs go into, as the released ones."""
SHEET = 16


class DiffusionStage:
    """Trains the UNet to predict v from noisy latents and captions.

    Options in the recipe's `model`, beside the UNet's own: `trainable` (regular expression of the parameters
    that train), `rank` (trains LoRAs in the attentions instead; 0 is none), `opaque` (whether an adapter
    learns opaque pictures, all of them and not one a subject), `name` (of the adapter's file),
    `caption_dropout`, `min_snr_gamma`, `opaque_share`, `styled_share`.
    """

    def __init__(self, recipe: Recipe, pictures: Pictures, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.options = {key: value for key, value in recipe.model.items() if key in OPTIONS}
        torch.manual_seed(recipe.seed)
        self.folder = Path(recipe.init)
        base = recipe.stage == "base"
        self.opaque = base or bool(self.options.get("opaque", False))
        if self.opaque and not base:
            plain = list(range(len(pictures.records)))
        else:
            plain = plain_pictures(pictures.records, recipe.groups, recipe.subjects, recipe.first_subjects)
        subjects, taken = {pictures.records[index].label for index in plain}, set(plain)
        styled = [
            i for i, record in enumerate(pictures.records) if record.label in subjects and i not in taken
        ]
        self.plain_count = len(plain)
        self.pictures = pictures.at([*plain, *(styled if self._share("styled_share", 0.0) else [])]).to(
            device
        )
        architecture = {key: value for key, value in recipe.model.items() if key not in OPTIONS}
        self.unet = load_unet(self.folder, architecture, transparent=not base)
        self.start = {name: value.clone() for name, value in self.unet.state_dict().items()}
        wanted = re.compile(str(self.options.get("trainable", "")))
        if rank := int(self.options.get("rank", 0)):
            from peft import LoraConfig

            self.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(ATTENTION)))
            wanted = re.compile(r"\.lora_[AB]\.")
        self.unet.to(device)  # pyright: ignore[reportArgumentType]
        for name, parameter in self.unet.named_parameters():
            parameter.requires_grad_(bool(wanted.search(name)))
        self.turns: Mapping[str, nn.Module] = {"unet": self.unet}
        self.compiled: Sequence[nn.Module] = (self.unet,)
        self.alphas_cumprod = schedule().alphas_cumprod.to(device)
        self._cache()

    def _share(self, name: str, usual: float) -> float:
        return float(self.options.get(name, usual))

    @torch.no_grad()
    def _cache(self) -> None:
        """Latents of every picture in every setting, and the text encoder's states of every caption."""
        self.settings = list(BACKGROUNDS) if self.recipe.stage == "base" else [""]
        encode = self._opaque_latents if self.opaque else self._adjusted_latents
        parts = [encode(part.float() / 255) for part in self.pictures.rgba.split(64)]
        self.latents = torch.cat(parts).contiguous()
        sentences = {"": 0}
        choices = [
            [self._sentences(record, index < self.plain_count, word, sentences) for word in self.settings]
            for index, record in enumerate(self.pictures.records)
        ]
        most = max(len(choice) for row in choices for choice in row)
        padded = [[choice + [0] * (most - len(choice)) for choice in row] for row in choices]
        self.captions = torch.tensor(padded, device=self.device)
        self.caption_counts = torch.tensor([[len(c) for c in row] for row in choices], device=self.device)
        self.texts = encode_texts(self.folder, list(sentences), self.device)

    def _opaque_latents(self, rgba: Tensor) -> Tensor:
        vae = load_vae(self.folder, self.device)
        pictures = [
            blends(rgba, rgba.new_full((1, 3, 1, 1), BACKGROUNDS[word])) * 2 - 1 for word in self.settings
        ]
        latents = [vae.encode(picture).latent_dist.mean for picture in pictures]  # type: ignore[union-attr]
        return torch.stack(latents, dim=1) * vae.config["scaling_factor"]  # type: ignore[index]

    def _adjusted_latents(self, rgba: Tensor) -> Tensor:
        return load_autoencoder(self.folder, self.device).encode(rgba)[:, None]

    def _sentences(self, record: Record, plain: bool, word: str, known: dict[str, int]) -> list[int]:
        ending = f", {word} background" if word else ""
        return [known.setdefault(text + ending, len(known)) for text in captions(record, plain=plain)]

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Scaled latents (b, c, h, w) and text states (b, tokens, width) of random pictures."""

        def draw() -> Tensor:
            return torch.rand(self.recipe.batch_size, generator=generator, device=self.device)

        among = torch.where(
            draw() < self._share("styled_share", 0.0), len(self.pictures.records), self.plain_count
        )
        index = (draw() * among).long()
        setting = (draw() * len(self.settings)).long()
        setting = setting.masked_fill(draw() >= self._share("opaque_share", 0.2), 0)
        choice = (draw() * self.caption_counts[index, setting]).long()
        row = self.captions[index, setting, choice]
        row = row.masked_fill(draw() < self._share("caption_dropout", 0.1), 0)
        return self.latents[index, setting], self.texts[row].float()

    def loss(self, turn: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Squared error of v, weighted by min-SNR."""
        latents, texts = self.batch(generator)
        kept, noisy, target, timesteps = noised(latents, self.alphas_cumprod, generator)
        found = self.unet(noisy, timesteps, texts, return_dict=False)[0].float()
        error = (found - target).square().mean(dim=(1, 2, 3))
        weight = min_snr_v_weight(kept, self._share("min_snr_gamma", 5.0))
        return {"v": (weight * error).mean() / weight.mean().clamp_min(1e-3)}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the UNet in diffusers' layout (`base`), or the differences of what was trained."""
        assert isinstance(module, UNet2DConditionModel)
        if self.recipe.stage == "base":
            save_half(module, folder / "unet")
            schedule().save_pretrained(folder / "scheduler")
            return
        trained = {name for name, parameter in self.unet.named_parameters() if parameter.requires_grad}
        state = {name: module.state_dict()[name].cpu() for name in sorted(trained)}
        if self.options.get("rank"):
            found = {_released(name): value for name, value in state.items()}
        else:
            found = {name: value - self.start[name] for name, value in state.items()}
        (folder / "adapter").mkdir(parents=True, exist_ok=True)
        path = folder / "adapter" / f"{self.options.get('name', 'transparent')}.safetensors"
        about = {
            "frames": ["background"],
            "hint": "",
            "over": "",
        }  # on the plain UNet; `pellucid.load` reads it
        metadata = {ABOUT: json.dumps(about)} if self.opaque else None
        save_file({name: value.half().contiguous() for name, value in found.items()}, path, metadata)

    def generated(self, module: nn.Module, rows: Tensor) -> Tensor:
        """What the module makes of sentences, (n, 3 or 4, h, w): over grey (`base`), or transparent."""
        assert isinstance(module, UNet2DConditionModel)
        vae = load_vae(self.folder, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            latents = sample(module, vae, self.texts[rows], self.texts[:1]).float()
        if self.opaque:
            raw = latents / vae.config["scaling_factor"]  # type: ignore[index]
            return ((vae.decode(raw).sample + 1) / 2).clamp(0, 1)  # type: ignore[union-attr]
        return load_autoencoder(self.folder, self.device).decode(latents, passes=1)

    @torch.no_grad()
    def sheet(self, module: nn.Module, path: Path) -> None:
        """Generated pictures of sixteen subjects under the pictures that were learned."""
        index = spread(self.plain_count, SHEET)
        found = self.generated(module, self.captions[index, 0, 0])
        write_sheet([self._shown(self.pictures.rgba[index].float() / 255), found], path)

    @torch.no_grad()
    def score(self, module: nn.Module) -> dict[str, float]:
        """Prompt fidelity: how often the nearest training picture has the asked label (top 1, top 5)."""
        pairs = [
            (index, choice)
            for index in range(self.plain_count)
            for choice in range(int(self.caption_counts[index, 0]))
        ]
        asked = [pairs[place] for place in spread(len(pairs), self.recipe.score_count)]
        rows = torch.stack([self.captions[index, 0, choice] for index, choice in asked])
        found = torch.cat([self.generated(module, part) for part in rows.split(64)])
        known = self._shown(self.pictures.rgba[: self.plain_count].float() / 255)
        labels = [record.label for record in self.pictures.records[: self.plain_count]]
        ranks = nearest_rank(opaque(found), opaque(known), labels, [labels[index] for index, _ in asked])
        shares = {"top1": 1, "top5": 5}
        return {name: sum(rank <= most for rank in ranks) / len(ranks) for name, most in shares.items()}

    def _shown(self, rgba: Tensor) -> Tensor:
        return blends(rgba, rgba.new_full((1, 3, 1, 1), 0.5)) if self.opaque else rgba


def _released(name: str) -> str:
    """Peft's name of a LoRA matrix as adapter files have it: target::lora::0 for up, ::1 for down."""
    target, _, kind = name.removesuffix(".default.weight").rpartition(".lora_")
    return f"{target}.weight::lora::{0 if kind == 'B' else 1}"


def opaque(picture: Tensor) -> Tensor:
    """RGBA of pictures that may lack alpha."""
    return picture if picture.shape[1] == 4 else torch.cat([picture, torch.ones_like(picture[:, :1])], dim=1)


def spread(total: int, count: int) -> Sequence[int]:
    """`count` indices evenly spread over `total`."""
    return [index * total // count for index in range(min(count, total))]
