"""Scenes of two layers for stages of layer models: placed once, and cached as latents and texts."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pellucid.data.image_folder import BACKGROUND
from pellucid.data.layer_composition import Triple, layer_triples
from pellucid.data.shards import Sample
from pellucid.errors import ConfigError
from pellucid.rgba.padding import extend_colour
from pellucid.rgba.resizing import on_grey
from pellucid.rgba.types import AnyArray
from pellucid.training.data.subjects import learned_images
from pellucid.training.denoiser.frozen_pipeline import FrozenPipeline, images_at_once
from pellucid.training.denoiser.predict import Conditions, take_rows
from pellucid.training.recipe import Recipe
from pellucid.training.stages.layer_options import SceneOptions

TEXTS_A_SCENE = 4


class LayerSceneDataset:
    """What a stage of layers draws its batches from.

    Of the recipe's options it reads `SceneOptions`.
    """

    def __init__(self, recipe: Recipe, samples: Sequence[Sample], frozen: FrozenPipeline) -> None:
        """`samples`: transparent images, and opaque ones of the group "background".

        Raises:
            ConfigError: there are no images of one kind.
        """
        self.recipe, self.frozen, self.device = recipe, frozen, frozen.device
        self.options = recipe.options(SceneOptions)
        self.roles = self.options.roles
        backs = [sample for sample in samples if sample[0].group == BACKGROUND]
        fronts = [sample for sample in samples if sample[0].group != BACKGROUND]
        if recipe.groups:  # as in the model of single layers: one image a subject, and what people kept
            records = [record for record, _ in fronts]
            plain = learned_images(records, recipe.groups, recipe.subjects, recipe.priority_subjects)
            fronts = [fronts[index] for index in plain]
        if not backs or not fronts:
            raise ConfigError(
                f"Expected transparent images and backgrounds, found {len(fronts)} and {len(backs)}. "
                "Name a set of each in `data`, such as fluent-3d and land-photos."
            )
        self.triples = list(
            layer_triples(
                fronts,
                backs,
                self.options.scenes,
                size_px=recipe.size_px,
                seed=recipe.seed,
                arrangement=self.options.arrangement(),
                chances=self._chances(fronts, backs, self.options.pairing_strength),
            )
        )
        self.latents = torch.stack([self.encode_role(role) for role in self.roles], dim=1)
        rng = np.random.default_rng(recipe.seed)
        # row 0 is the empty caption, which dropout puts in place of others
        row_of_text: dict[str, int] = {"": 0}
        spoken = [[triple.texts(rng, plain=True) for _ in range(TEXTS_A_SCENE)] for triple in self.triples]
        rows = [
            [
                [row_of_text.setdefault(texts[role], len(row_of_text)) for role in self.roles]
                for texts in scene
            ]
            for scene in spoken
        ]
        self.captions = torch.tensor(rows, device=self.device)
        self.sentences = list(row_of_text)
        self.texts = frozen.encode_texts(self.sentences)

    @torch.no_grad()
    def _chances(self, fronts: Sequence[Sample], backs: Sequence[Sample], strength: float) -> AnyArray | None:
        """Returns the chance of each background for each foreground, (fronts, backs), up to a factor."""
        if not strength:
            return None
        meanings: list[Tensor] = []
        for samples in (fronts, backs):
            labels = list(dict.fromkeys(record.label for record, _ in samples))
            # the first token's state stands for the sentence in encoders like BERT
            states = next(iter(self.frozen.encode_texts(labels).values()))[:, 0].float().cpu()
            # without the mean that all states share, cosines would hardly differ
            meaning_of = dict(
                zip(labels, functional.normalize(states - states.mean(dim=0), dim=1), strict=True)
            )
            meanings.append(torch.stack([meaning_of[record.label] for record, _ in samples]))
        return (strength * meanings[0] @ meanings[1].T).exp().double().numpy()

    @torch.no_grad()
    def encode_role(self, role: str) -> Tensor:
        """Returns scaled latents (n, c, h, w): adjusted ones of foregrounds, else the VAE's mean."""
        codec = self.frozen.codec
        parts: list[Tensor] = []
        for some in self._parts():
            if role == "foreground":
                # the codec was trained on extended colour: under alpha 0 a layer has none of its own
                rgba = np.stack([extend_colour(triple.foreground) for triple in some])
                straight = torch.from_numpy(rgba).permute(0, 3, 1, 2).to(self.device).float() / 255
                parts.append(codec.encode(straight))
            else:
                parts.append(codec.encode_opaque(self._on_grey(some, role).float() / 255))
        return torch.cat(parts)

    @torch.no_grad()
    def encode_condition(self, role: str) -> Tensor:
        """Returns scaled latents (n, c, h, w) of images on grey, as conditions enter by channel."""
        return torch.cat(
            [
                self.frozen.codec.encode_opaque(self._on_grey(some, role).float() / 255)
                for some in self._parts()
            ]
        )

    def images_on_grey(self, role: str) -> Tensor:
        """Returns images on grey, uint8 (n, 3, h, w), as conditions enter by hint."""
        return torch.cat([self._on_grey(some, role) for some in self._parts()])

    def _parts(self) -> list[list[Triple]]:
        at_once = images_at_once(self.recipe.size_px)
        return [self.triples[start : start + at_once] for start in range(0, len(self.triples), at_once)]

    def _on_grey(self, triples: Sequence[Triple], role: str) -> Tensor:
        grey = [np.rint(on_grey(getattr(triple, role)) * 255).astype(np.uint8) for triple in triples]
        return torch.from_numpy(np.stack(grey)).permute(0, 3, 1, 2).to(self.device)

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Conditions]:
        """Draws scenes (b,); returns these, latents and conditions of their layers, layer index fastest."""
        size = self.recipe.batch_size
        drawn = torch.randint(len(self.latents), (size,), generator=generator, device=self.device)
        spoken = torch.randint(TEXTS_A_SCENE, (size,), generator=generator, device=self.device)
        # one draw a scene: all layers of a scene lose their captions together
        silent = torch.rand(size, generator=generator, device=self.device) < self.options.caption_dropout
        rows = self.captions[drawn, spoken].masked_fill(silent[:, None], 0).flatten()
        return drawn, self.latents[drawn].flatten(0, 1), take_rows(self.texts, rows)

    def first_captions(self, count: int) -> list[str]:
        """Returns captions of the layers of the first scenes, layer index fastest."""
        return [self.sentences[row] for row in self.captions[:count, 0].flatten()]

    def decode(self, latents: Tensor, role: str) -> Tensor:
        """Returns images of latents: (n, 4, h, w) of foregrounds, else (n, 3, h, w)."""
        codec = self.frozen.codec
        return codec.decode(latents, passes=1) if role == "foreground" else codec.decode_opaque(latents)
