"""Captioned images for stages of text-to-image models: cached as latents and texts."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from pellucid.data.records import Record, captions
from pellucid.data.spread import evenly
from pellucid.training.data.in_memory import InMemoryDataset
from pellucid.training.data.subjects import learned_images
from pellucid.training.denoiser.frozen_pipeline import FrozenPipeline, images_at_once
from pellucid.training.denoiser.predict import Conditions, take_rows
from pellucid.training.recipe import Recipe
from pellucid.training.stages.losses import blends
from pellucid.training.stages.pipeline_options import PlacedImageOptions, TextImageOptions

BACKGROUNDS = {"": 0.5, "white": 1.0, "black": 0.0}
"""Words after a caption, and the level behind the image; no words mean the grey of transparency."""
SMALLEST = 0.55
"""Smallest side of a placed image over its canvas's."""
SHIFT = 0.1
"""How far a placed image may leave the canvas, over half its side."""


class TextImageDataset:
    """What a text-to-image stage draws its batches from.

    Of the recipe's options it reads `TextImageOptions` and, but for stage `base`, `PlacedImageOptions`.
    """

    def __init__(self, recipe: Recipe, images: InMemoryDataset, frozen: FrozenPipeline) -> None:
        self.recipe, self.frozen, self.device = recipe, frozen, frozen.device
        self.options, base = recipe.options(TextImageOptions), recipe.stage == "base"
        placing = None if base else recipe.options(PlacedImageOptions)
        self.opaque = placing is None or placing.opaque
        self.placements = placing.placements if placing else 1
        # without a share, other backgrounds would be encoded for nothing
        self.settings = [""] * self.placements
        if base and self.options.opaque_share > 0:
            self.settings = list(BACKGROUNDS)
        self.plain_count, self.images = self._chosen(images, all_of_them=self.opaque and not base)
        weights = self.images.weights
        self.weight_sums = None if weights is None else weights.double().cumsum(0)
        self._cache()

    def _chosen(self, images: InMemoryDataset, *, all_of_them: bool) -> tuple[int, InMemoryDataset]:
        """Returns how many images can be meant without naming a style, and these, before the others."""
        recipe = self.recipe
        plain = (
            list(range(len(images.records)))
            if all_of_them
            else learned_images(images.records, recipe.groups, recipe.subjects, recipe.priority_subjects)
        )
        subjects, taken = {images.records[index].label for index in plain}, set(plain)
        styled = [i for i, record in enumerate(images.records) if record.label in subjects and i not in taken]
        # plain ones first: without a style an index is drawn below their number
        wanted = [*plain, *(styled if self.options.style_mix else [])]
        return len(plain), images.at(wanted).to(self.device)

    @torch.no_grad()
    def _cache(self) -> None:
        """Encodes every image in every setting, and every caption."""
        encode = self._opaque_latents if self.opaque else self._adjusted_latents
        self.ways = self._placed()
        batches = torch.split(self.ways, images_at_once(self.recipe.size_px))
        self.latents = self.frozen.make_or_reuse(
            "latents",
            [self.ways, self.opaque, self.settings],
            lambda: torch.cat([encode(part.float() / 255) for part in batches]),
        )
        # row 0 is the empty caption, which dropout puts in place of others
        sentences = {"": 0}
        choices = [
            [self._sentences(record, index < self.plain_count, word, sentences) for word in self.settings]
            for index, record in enumerate(self.images.records)
        ]
        # filled up to one tensor; `caption_counts` says how many of a row are captions
        most = max(len(choice) for row in choices for choice in row)
        padded = [[choice + [0] * (most - len(choice)) for choice in row] for row in choices]
        self.captions = torch.tensor(padded, device=self.device)
        self.caption_counts = torch.tensor([[len(c) for c in row] for row in choices], device=self.device)
        self.sentences = list(sentences)
        self.texts = self.frozen.encode_texts(self.sentences)

    def _placed(self) -> Tensor:
        """Returns every image in every way in which it lies on the canvas, uint8 (n, ways, 4, h, w)."""
        rgba, count = self.images.rgba, self.placements
        # on the CPU, whose numbers are the same whatever trains: cached latents may be shared
        generator = torch.Generator().manual_seed(self.recipe.seed)
        moved = [placed(rgba.float() / 255, generator).mul(255).round().byte() for _ in range(count - 1)]
        return torch.stack([rgba, *moved], dim=1) if moved else rgba[:, None]  # the images, not copies

    def _opaque_latents(self, rgba: Tensor) -> Tensor:
        images = [
            blends(rgba[:, 0], rgba.new_full((1, 3, 1, 1), BACKGROUNDS[word])) for word in self.settings
        ]
        return torch.stack([self.frozen.vae.encode_opaque(image) for image in images], dim=1)

    def _adjusted_latents(self, rgba: Tensor) -> Tensor:
        return torch.stack([self.frozen.codec.encode(way) for way in rgba.unbind(1)], dim=1)

    def _sentences(self, record: Record, plain: bool, word: str, row_of_text: dict[str, int]) -> list[int]:
        ending = f", {word} background" if word else ""
        return [
            row_of_text.setdefault(text + ending, len(row_of_text)) for text in captions(record, plain=plain)
        ]

    def batch(self, generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], Tensor, Conditions]:
        """Returns which images in which setting, (b,) each; scaled latents (b, c, h, w); conditions."""

        def draw() -> Tensor:
            return torch.rand(self.recipe.batch_size, generator=generator, device=self.device)

        # every number is drawn whatever the options, so that one option does not shift the draws of others
        among = torch.where(draw() < self.options.style_mix, len(self.images.records), self.plain_count)
        index = self._drawn(draw(), among)
        setting = (draw() * len(self.settings)).long()
        setting = setting.masked_fill(draw() >= self.options.opaque_share, 0)
        choice = (draw() * self.caption_counts[index, setting]).long()
        row = self.captions[index, setting, choice]
        row = row.masked_fill(draw() < self.options.caption_dropout, 0)
        return (index, setting), self.latents[index, setting], take_rows(self.texts, row)

    def _drawn(self, chance: Tensor, among: Tensor) -> Tensor:
        """Takes one of the first `among` images, (b,) each, by weight; `chance` is uniform in [0, 1)."""
        if self.weight_sums is None:
            return (chance * among).long()
        # where along the weights, laid end to end, the chance falls
        point = chance.double() * self.weight_sums[among - 1]
        return torch.searchsorted(self.weight_sums, point, right=True).clamp_max(among - 1)

    def as_learned(self, rgba: Tensor) -> Tensor:
        """Returns images as they are learned: over grey where they are opaque."""
        return blends(rgba, rgba.new_full((1, 3, 1, 1), 0.5)) if self.opaque else rgba

    def generated(self, latents: Tensor) -> Tensor:
        """Returns images (n, 3 or 4, h, w) of latents."""
        decode = self.frozen.vae.decode_opaque if self.opaque else partial(self.frozen.codec.decode, passes=1)
        parts = torch.split(latents, images_at_once(self.recipe.size_px))
        return torch.cat([decode(part) for part in parts])

    def spread(self, count: int) -> tuple[Tensor, list[str]]:
        """Returns indices of `count` images evenly spread over the plain ones, and their first captions."""
        index = torch.tensor(evenly(self.plain_count, count))
        return index, [self.sentences[row] for row in self.captions[index, 0, 0]]


def placed(rgba: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrors half of the images (n, 4, h, w), straight alpha, makes all smaller and moves them."""
    count = len(rgba)

    def draw(low: float, high: float) -> Tensor:
        return (torch.rand(count, generator=generator) * (high - low) + low).to(rgba.device)

    # the grid says where an output pixel comes from, so everything below divides by the scale
    scale = draw(SMALLEST, 1.0)
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    x, y = (draw(-1, 1) * (1 - scale + SHIFT) / scale for _ in range(2))
    zero = torch.zeros_like(scale)
    rows = [torch.stack([mirror / scale, zero, x], 1), torch.stack([zero, 1 / scale, y], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(rgba.shape), align_corners=False)
    alpha = rgba[:, 3:]
    # interpolated premultiplied, or the colour of clear pixels would bleed into edges
    premultiplied = torch.cat([rgba[:, :3] * alpha, alpha], dim=1)
    moved = functional.grid_sample(premultiplied, grid, mode="bilinear", align_corners=False)
    alpha = moved[:, 3:]
    return torch.cat([torch.where(alpha > 0, moved[:, :3] / alpha.clamp_min(1e-4), 0.5), alpha], 1).clamp(
        0, 1
    )
