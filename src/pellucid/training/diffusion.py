"""Stages `base` and `transparent`: a text-to-image model of any family on cached latents.

`base` learns opaque pictures. `transparent` starts from it and learns adjusted latents (LayerDiffuse
section 3.2, Fig. 2a) with the parameters that `model.method` names; its export is an adapter.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.data.records import Record, captions
from pellucid.evaluation.metrics import nearest_rank
from pellucid.pipelines.sampling import batches
from pellucid.training.config import Recipe
from pellucid.training.denoisers import Conditions, rows_of
from pellucid.training.denoising import Denoising
from pellucid.training.losses import blends
from pellucid.training.parts import save_half
from pellucid.training.pictures import Pictures
from pellucid.training.sheets import write_sheet
from pellucid.training.trainables import RANK, choose, save_adapter, save_diffusers_lora
from pellucid.training.vocabulary import plain_pictures

BACKGROUNDS = {"": 0.5, "white": 1.0, "black": 0.0}
"""Words after a caption, and the level behind the picture; no words mean the grey of transparency."""
OPTIONS = Denoising.OPTIONS | {
    "method", "rank", "trainable", "format", "name", "opaque",
    "caption_dropout", "opaque_share", "styled_share",
}  # fmt: skip
OPAQUE = {"frames": ["background"], "hint": "", "over": ""}
"""What an adapter of opaque pictures says of itself: alone, on the plain model."""
SHEET = 16
PIXELS_AT_ONCE = 64 * 128 * 128


class DiffusionStage:
    """Trains a denoiser to predict noise, v or a flow, as its scheduler says, from latents and captions.

    Options in the recipe's `model`, beside a new UNet's own and those of `Denoising`: `method` (key of
    `METHODS`; full for `base`, else lora), `rank` (of LoRAs), `trainable` (expression that narrows what other
    methods train), `format` (one of `FORMATS`), `name` (of the adapter's file), `opaque` (whether an adapter
    learns opaque pictures, all of them and not one a subject), `caption_dropout`, `opaque_share`,
    `styled_share`.
    """

    def __init__(self, recipe: Recipe, pictures: Pictures, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.options = {key: value for key, value in recipe.model.items() if key in OPTIONS}
        torch.manual_seed(recipe.seed)
        base = recipe.stage == "base"
        self.opaque = base or bool(self.options.get("opaque", False))
        self.plain_count, self.pictures = self._chosen(pictures, all_of_them=self.opaque and not base)
        architecture = {key: value for key, value in recipe.model.items() if key not in OPTIONS}
        self.denoising = Denoising(recipe, device, architecture=architecture if base else None)
        net = self.denoising.net
        self.method = str(self.options.get("method", "full" if base else "lora"))
        rank, pattern = int(self.options.get("rank", RANK)), str(self.options.get("trainable", ""))
        self.start = choose(net, self.method, rank=rank, pattern=pattern)
        net.to(device)
        self.turns: Mapping[str, nn.Module] = {self.denoising.row.denoiser: net}
        self.compiled: Sequence[nn.Module] = (net,)
        self._cache()

    def _chosen(self, pictures: Pictures, *, all_of_them: bool) -> tuple[int, Pictures]:
        """How many pictures can be meant without naming a style, and these, before the others."""
        recipe = self.recipe
        plain = (
            list(range(len(pictures.records)))
            if all_of_them
            else plain_pictures(pictures.records, recipe.groups, recipe.subjects, recipe.first_subjects)
        )
        subjects, taken = {pictures.records[index].label for index in plain}, set(plain)
        styled = [i for i, each in enumerate(pictures.records) if each.label in subjects and i not in taken]
        wanted = [*plain, *(styled if self._share("styled_share", 0.0) else [])]
        return len(plain), pictures.at(wanted).to(self.device)

    def _share(self, name: str, usual: float) -> float:
        return float(self.options.get(name, usual))

    @torch.no_grad()
    def _cache(self) -> None:
        """Latents of every picture in every setting, and the text encoder's states of every caption."""
        self.settings = list(BACKGROUNDS) if self.recipe.stage == "base" else [""]
        encode = self._opaque_latents if self.opaque else self._adjusted_latents
        parts = [
            encode(part.float() / 255)
            for part in self.pictures.rgba.split(max(1, PIXELS_AT_ONCE // self.recipe.size_px**2))
        ]
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
        self.sentences = list(sentences)
        self.texts = self.denoising.encode_texts(self.sentences)

    def _opaque_latents(self, rgba: Tensor) -> Tensor:
        pictures = [blends(rgba, rgba.new_full((1, 3, 1, 1), BACKGROUNDS[word])) for word in self.settings]
        return torch.stack([self.denoising.vae.encode_opaque(picture) for picture in pictures], dim=1)

    def _adjusted_latents(self, rgba: Tensor) -> Tensor:
        return self.denoising.codec.encode(rgba)[:, None]

    def _sentences(self, record: Record, plain: bool, word: str, known: dict[str, int]) -> list[int]:
        ending = f", {word} background" if word else ""
        return [known.setdefault(text + ending, len(known)) for text in captions(record, plain=plain)]

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Conditions]:
        """Scaled latents (b, c, h, w) and conditions of random pictures."""

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
        return self.latents[index, setting], rows_of(self.texts, row)

    def loss(self, turn: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Squared error of what the model predicts, weighted by min-SNR."""
        latents, texts = self.batch(generator)
        return {self.denoising.noising.objective: self.denoising.errors(latents, texts, generator).mean()}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the UNet in diffusers' layout (`base`), or an adapter; LoRAs for diffusers too."""
        if self.recipe.stage == "base":
            save_half(module, folder / self.denoising.row.denoiser)  # type: ignore[arg-type]
            return
        path = folder / "adapter" / f"{self.options.get('name', 'transparent')}.safetensors"
        style = str(self.options.get("format", "diffusers"))
        about = OPAQUE if self.opaque else None
        save_adapter(module, self.start, path, style=style, about=about)
        if self.method == "lora":
            save_diffusers_lora(self.denoising.pipeline, module, folder / "diffusers-lora")

    def generated(self, module: nn.Module, texts: Sequence[str]) -> Tensor:
        """What the module makes of sentences, (n, 3 or 4, h, w): over grey (`base`), or transparent."""
        latents = self.denoising.sampled(texts, module)
        if self.opaque:
            return self.denoising.vae.decode_opaque(latents)
        return self.denoising.codec.decode(latents, passes=1)

    @torch.no_grad()
    def sheet(self, module: nn.Module, path: Path) -> None:
        """Generated pictures of sixteen subjects under the pictures that were learned."""
        index = spread(self.plain_count, SHEET)
        found = self.generated(module, [self.sentences[row] for row in self.captions[index, 0, 0]])
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
        texts = [self.sentences[self.captions[index, 0, choice]] for index, choice in asked]
        found = torch.cat([self.generated(module, part) for part in batches(texts, 64)])
        known = self._shown(self.pictures.rgba[: self.plain_count].float() / 255)
        labels = [record.label for record in self.pictures.records[: self.plain_count]]
        ranks = nearest_rank(opaque(found), opaque(known), labels, [labels[index] for index, _ in asked])
        shares = {"top1": 1, "top5": 5}
        return {name: sum(rank <= most for rank in ranks) / len(ranks) for name, most in shares.items()}

    def _shown(self, rgba: Tensor) -> Tensor:
        return blends(rgba, rgba.new_full((1, 3, 1, 1), 0.5)) if self.opaque else rgba


def opaque(picture: Tensor) -> Tensor:
    """RGBA of pictures that may lack alpha."""
    return picture if picture.shape[1] == 4 else torch.cat([picture, torch.ones_like(picture[:, :1])], dim=1)


def spread(total: int, count: int) -> Sequence[int]:
    """`count` indices evenly spread over `total`."""
    return [index * total // count for index in range(min(count, total))]
