"""Stage `layers`: the layers of one scene, trained together on a frozen UNet (paper section 3.3, Fig. 2b).

Every frame has LoRAs of its own, and all attend to each other; they may be shown a clean layer, as a hint to
their attentions. Frame index is fastest in a batch.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pellucid.data.layering import Triple, layer_triples
from pellucid.data.shards import Sample
from pellucid.errors import ConfigError
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.pipelines.modes import Role
from pellucid.pipelines.own_layers import ABOUT
from pellucid.rgba.fitting import on_grey
from pellucid.rgba.padding import extend_colour
from pellucid.training.config import Recipe
from pellucid.training.losses import min_snr_v_weight
from pellucid.training.parts import encode_texts, load_autoencoder, load_unet, sample
from pellucid.training.schedule import noised, schedule
from pellucid.training.sheets import write_sheet
from pellucid.weights.adapters import apply_adapter

ROLES = get_args(Role)
TEXTS_A_SCENE = 4
SHEET = 6
TRANSPARENT = "adapter/transparent.safetensors"


class LayersStage:
    """Trains `AttentionSharing` to predict v of all frames of a scene.

    Options in the recipe's `model`: `frames` (roles, in the order of the batch), `hint` (role of a clean
    layer shown to the attentions), `rank`, `scenes` (how many are placed and cached), `caption_dropout`,
    `min_snr_gamma`, `name` (of the file in `adapter/`).
    """

    def __init__(self, recipe: Recipe, samples: Sequence[Sample], device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.folder = Path(recipe.init)
        options = recipe.model
        self.frames = tuple(options.get("frames", ("foreground", "background")))
        self.hint = str(options.get("hint", ""))
        self._check_roles()
        torch.manual_seed(recipe.seed)
        self.unet = load_unet(self.folder, {}, transparent=True).requires_grad_(False)
        if (self.folder / TRANSPARENT).is_file():
            apply_adapter(self.unet, self.folder / TRANSPARENT)
        self.unet.to(device)  # pyright: ignore[reportArgumentType]
        self.sharing = AttentionSharing.for_unet(
            self.unet, frames=len(self.frames), rank=int(options.get("rank", 256)), control=bool(self.hint)
        )
        nn.Module.to(self.sharing, device)
        self.sharing.attach(self.unet)
        self.turns: Mapping[str, nn.Module] = {"sharing": self.sharing}
        self.compiled: Sequence[nn.Module] = ()
        self.alphas_cumprod = schedule().alphas_cumprod.to(device)
        self._cache(samples)

    def _check_roles(self) -> None:
        wrong = [role for role in (*self.frames, *filter(None, [self.hint])) if role not in ROLES]
        if wrong or not self.frames or self.hint in self.frames:
            raise ConfigError(
                f"Expected frames of {', '.join(ROLES)}, and a hint that is none of them, found "
                f"{self.frames} and {self.hint!r}. Mend the recipe."
            )

    @torch.no_grad()
    def _cache(self, samples: Sequence[Sample]) -> None:
        """Latents, hints and text states of every scene, made once."""
        backs = [sample for sample in samples if sample[0].group == "background"]
        fronts = [sample for sample in samples if sample[0].group != "background"]
        if not backs or not fronts:
            raise ConfigError(
                f"Expected transparent pictures and backgrounds, found {len(fronts)} and {len(backs)}. "
                "Name a set of each in `data`, such as fluent-3d and land-photos."
            )
        count = int(self.recipe.model.get("scenes", 4096))
        triples = list(
            layer_triples(fronts, backs, count, size_px=self.recipe.size_px, seed=self.recipe.seed)
        )
        self.triples = triples[:SHEET]
        self.latents = torch.stack([self._latents(triples, role) for role in self.frames], dim=1)
        self.hints = self._pictures(triples, self.hint) if self.hint else None
        known: dict[str, int] = {"": 0}
        rng = np.random.default_rng(self.recipe.seed)
        rows = [
            [[known.setdefault(texts[role], len(known)) for role in self.frames] for texts in spoken]
            for spoken in (
                [triple.texts(rng, plain=True) for _ in range(TEXTS_A_SCENE)] for triple in triples
            )
        ]
        self.captions = torch.tensor(rows, device=self.device)
        self.texts = encode_texts(self.folder, list(known), self.device)

    def _latents(self, triples: Sequence[Triple], role: str) -> Tensor:
        """Scaled latents (n, c, h, w): adjusted ones of foregrounds, the VAE's mean of opaque pictures."""
        codec = load_autoencoder(self.folder, self.device)
        parts: list[Tensor] = []
        for start in range(0, len(triples), 64):
            some = triples[start : start + 64]
            if role == "foreground":
                rgba = np.stack([extend_colour(triple.foreground) for triple in some])
                straight = torch.from_numpy(rgba).permute(0, 3, 1, 2).to(self.device).float() / 255
                parts.append(codec.encode(straight))
            else:
                parts.append(codec.encode_opaque(self._pictures(some, role).float() / 255))
        return torch.cat(parts)

    def _pictures(self, triples: Sequence[Triple], role: str) -> Tensor:
        """Pictures on grey, uint8 (n, 3, h, w)."""
        grey = [np.rint(on_grey(getattr(triple, role)) * 255).astype(np.uint8) for triple in triples]
        return torch.from_numpy(np.stack(grey)).permute(0, 3, 1, 2).to(self.device)

    def loss(self, turn: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Squared error of v of each frame, weighted by min-SNR; one noise level a scene."""
        size, n_frames = self.recipe.batch_size, len(self.frames)
        draw = torch.randint(len(self.latents), (size,), generator=generator, device=self.device)
        spoken = torch.randint(TEXTS_A_SCENE, (size,), generator=generator, device=self.device)
        silent = torch.rand(size, generator=generator, device=self.device) < float(
            self.recipe.model.get("caption_dropout", 0.1)
        )
        texts = self.texts[self.captions[draw, spoken].masked_fill(silent[:, None], 0)].flatten(0, 1).float()
        latents = self.latents[draw].flatten(0, 1)
        if self.hints is not None:
            self.sharing.encode_hint(self.hints[draw].float() / 255)
        kept, noisy, target, timesteps = noised(
            latents, self.alphas_cumprod, generator, rows_together=n_frames
        )
        found = self.unet(noisy, timesteps, texts, return_dict=False)[0].float()
        error = (found - target).square().mean(dim=(1, 2, 3))
        weight = min_snr_v_weight(kept, float(self.recipe.model.get("min_snr_gamma", 5.0)))
        each = (weight * error).view(size, n_frames).mean(dim=0) / weight.mean().clamp_min(1e-3)
        return {role: each[i] / n_frames for i, role in enumerate(self.frames)}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the released layout, half precision, with what the file is for in its metadata."""
        name = str(self.recipe.model.get("name", "joint"))
        state = {
            key if key.startswith("kwargs_encoder.") else f"hookers.{key}": value.half().cpu().contiguous()
            for key, value in module.state_dict().items()
        }
        (folder / "adapter").mkdir(parents=True, exist_ok=True)
        about = {"frames": list(self.frames), "hint": self.hint, "over": "transparent"}
        save_file(state, folder / "adapter" / f"{name}.safetensors", {ABOUT: json.dumps(about)})

    @torch.no_grad()
    def sheet(self, module: nn.Module, path: Path) -> None:
        """Scenes of the training captions: the layers that were learned, then each frame that is made."""
        n, n_frames = len(self.triples), len(self.frames)
        rows = self.captions[:n, 0].flatten()
        with self._wearing(module):
            if self.hints is not None:
                self.sharing.encode_hint(self.hints[:n].float() / 255)
            codec = load_autoencoder(self.folder, self.device)
            made = sample(self.unet, codec.vae, self.texts[rows], self.texts[:1])  # type: ignore[arg-type]
        shown: list[Tensor] = []
        for i, role in enumerate(self.frames):
            for latents in (self.latents[:n, i], made.view(n, n_frames, *made.shape[1:])[:, i]):
                shown.append(
                    codec.decode(latents, passes=1) if role == "foreground" else codec.decode_opaque(latents)
                )
        write_sheet(shown, path)

    @contextmanager
    def _wearing(self, module: nn.Module) -> Generator[None]:
        """Lets the UNet run with other units, such as averaged ones, for a while."""
        assert isinstance(module, AttentionSharing)
        own, self.sharing = self.sharing, module
        module.attach(self.unet)
        try:
            yield
        finally:
            self.sharing = own
            own.attach(self.unet)

    def score(self, module: nn.Module) -> dict[str, float]:
        """Loss of the first scenes at fixed noise: comparable between steps."""
        with self._wearing(module), torch.no_grad():
            generator = torch.Generator(self.device).manual_seed(0)
            found = [self.loss("sharing", generator) for _ in range(8)]
        return {f"fixed_{role}": float(sum(each[role] for each in found)) / 8 for role in self.frames}
