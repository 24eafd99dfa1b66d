"""A pipeline whose denoiser trains: what stages of diffusion models have in common."""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from pellucid.errors import ConfigError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.showing import shown_latents
from pellucid.pipelines.arguments import Request
from pellucid.pipelines.families import ModelFamily
from pellucid.pipelines.latents import check_autoencoder, load_autoencoder
from pellucid.pipelines.loading import load_stock_pipeline, single_layer_mode
from pellucid.pipelines.model_folders import find_part, folders_below, lowest_model
from pellucid.pipelines.modes import MODES, Sampling, resolve_source
from pellucid.pipelines.stock import StockPipeline
from pellucid.training.data.latent_cache import cached, folder_key
from pellucid.training.denoiser.noise import Noising
from pellucid.training.denoiser.predict import (
    Conditions,
    condition_names,
    encode_texts,
    predict,
    show_nothing,
)
from pellucid.training.recipe import Recipe
from pellucid.training.stages.components import check_size
from pellucid.training.stages.networks import build
from pellucid.training.stages.options import Table
from pellucid.training.stages.pipeline_options import FrozenPipelineOptions
from pellucid.weights.adapters import apply_adapter
from pellucid.weights.store import load_codec

CODEC = "rgba"
PIXELS_AT_ONCE = 64 * 128 * 128
"""Of images that are encoded, sampled or decoded together: memory does not grow with their size."""
SCORED = 8
"""Batches at fixed noise of which a score is made."""


class FrozenPipeline:
    """The frozen parts of a pipeline around the denoiser, and what is asked of that in training.

    Of the recipe's options it reads `FrozenPipelineOptions`.
    """

    def __init__(self, recipe: Recipe, device: torch.device, *, architecture: Table | None = None) -> None:
        """`architecture`: of a new UNet, where the folder has none yet.

        Raises:
            WeightsError: a part is absent.
            ConfigError: `half_frozen` in another precision.
        """
        self.recipe, self.device, self.folder = recipe, device, Path(recipe.init_folder)
        self.options = recipe.options(FrozenPipelineOptions)
        unet = None
        if architecture and not (self.folder / "unet").is_dir():
            unet = build(UNet2DConditionModel, architecture)
        self.pipeline = load_stock_pipeline(recipe.init_folder, torch.float32, unet=unet)
        self.stock = StockPipeline(self.pipeline)
        self.pipeline.set_progress_bar_config(disable=True)
        if recipe.half_frozen and not recipe.bfloat16_on(device):
            raise ConfigError(
                f"Expected precision of bfloat16 with half_frozen, got {recipe.precision} on {device.type}. "
                "Set one of them."
            )
        for part in self.pipeline.components.values():
            if isinstance(part, nn.Module):
                half = recipe.half_frozen and part is not self.pipeline.vae
                nn.Module.to(part.requires_grad_(False), device, torch.bfloat16 if half else None)
        if recipe.gradient_checkpointing:
            self.net.enable_gradient_checkpointing()  # type: ignore[operator]
        self.noising = Noising(self.pipeline.scheduler, self.options, device)
        check_size(recipe, self.stock.vae_scale_factor)
        # networks that are made from here on do not depend on how many numbers loading has drawn
        torch.manual_seed(recipe.seed)

    @property
    def family(self) -> ModelFamily:
        """Returns the family."""
        return self.stock.family

    @property
    def net(self) -> nn.Module:
        """Returns the denoiser."""
        return self.stock.denoiser

    @cached_property
    def codec(self) -> RGBAAutoencoder:
        """Returns the RGBA autoencoder over the pipeline's VAE.

        Raises:
            ConfigError: `codec` names no released mode.
            WeightsError: the codec's files are absent or do not fit the VAE.
        """
        # named for a released model, whose VAE is the pipeline's; else the one that an earlier stage made
        name = self.options.codec
        if name is None:
            return load_codec(find_part(self.folder, CODEC), self.pipeline.vae)
        if name not in MODES or MODES[name].codec is None:
            raise ConfigError(
                f"Expected codec to name a released mode, got {name!r}. Choose one of {', '.join(MODES)}."
            )
        codec = load_autoencoder(MODES[name].codec, self.stock)  # type: ignore[arg-type]
        check_autoencoder(self.stock, codec)
        return codec

    @cached_property
    def vae(self) -> RGBAAutoencoder:
        """Returns the VAE with its scaling, for opaque images."""
        return RGBAAutoencoder(self.pipeline.vae, None, None)

    def encode_texts(self, texts: Sequence[str]) -> Conditions:
        """Encodes texts as `predict.encode_texts` does, or takes from disk what was encoded before."""

        def make(name: str) -> Tensor:
            if name not in conditions:
                conditions.update(encode_texts(self.stock, texts))
            return conditions[name]

        conditions: Conditions = {}
        names = condition_names(self.stock)
        return {name: self.make_or_reuse(f"texts-{name}", list(texts), partial(make, name)) for name in names}

    def make_or_reuse(self, label: str, content: Sequence[object], make: Callable[[], Tensor]) -> Tensor:
        """Returns what `make` makes, or with `cache` what it made in an earlier run.

        Args:
            label: what it is.
            content: what decides it beside the frozen parts of the model, which are known: plain values and
                tensors, of which hashes are taken.
            make: makes it.
        """
        if not self.options.cache:
            return make()
        parts = [
            (path.name, folder_key(path))
            for folder in folders_below(self.folder)
            for path in sorted(folder.glob("*"))
            # the denoiser and its adapters have no say in latents and texts, and change with every run
            if path.is_dir() and path.name not in (self.family.denoiser, "adapter", "control")
        ]
        hashed = [_digest(value) if isinstance(value, Tensor) else value for value in content]
        # of a model that only a hub has there are no parts here, but its name
        key = [self.recipe.init, lowest_model(self.folder), parts, self.options.codec, *hashed]
        return cached(None, key, make, label=label).to(self.device)

    def loss_per_sample(
        self,
        latents: Tensor,
        conditions: Conditions,
        generator: torch.Generator,
        *,
        rows_together: int = 1,
        condition_latents: Tensor | None = None,
        extra_kwargs: Mapping[str, object] | None = None,
    ) -> Tensor:
        """Returns the weighted squared error of each row at a random noise level, (b,); its mean is the loss.

        Args:
            latents: scaled, (b, c, h, w).
            conditions: of the same rows.
            generator: of levels and noise.
            rows_together: see `Noising`; the denoiser sees them in one call.
            condition_latents: latents (b, c2, h, w) that are shown to a denoiser whose inputs have grown, or
                by units of layers.
            extra_kwargs: what else a UNet is called with.
        """
        noised = self.noising(latents, generator, rows_together=rows_together)
        prediction = predict(
            self.stock,
            noised.noisy,
            noised.timesteps,
            conditions,
            extra_kwargs or {},
            rows_together=rows_together,
            show=show_nothing if condition_latents is None else partial(self._shown, condition_latents),
        ).float()
        error = (prediction - noised.target).square().mean(dim=(1, 2, 3))
        # over the batch's mean weight, so that the loss keeps its scale whatever gamma is
        return noised.weight * error / noised.weight.mean().clamp_min(1e-3)

    @contextmanager
    def _shown(self, latents: Tensor, rows: slice = slice(None)) -> Generator[None]:
        """Shows the denoiser some rows of condition latents."""
        with shown_latents(self.net, latents[rows]):
            yield

    @property
    def sampling(self) -> Sampling:
        """Returns the settings of sample grids: those that the model will be used with."""
        return single_layer_mode(self.stock, None).sampling

    @torch.no_grad()
    def sampled(
        self,
        texts: Sequence[str],
        module: nn.Module | None = None,
        *,
        rows_together: int = 1,
        condition_latents: Tensor | None = None,
        stock: StockPipeline | None = None,
        inputs: Sequence[Mapping[str, object]] = ({},),
    ) -> Tensor:
        """Samples scaled latents with the stock pipeline, one a text.

        Args:
            texts: captions.
            module: takes the denoiser's place, such as averaged weights.
            rows_together: neighbouring texts of one scene, which are sampled together.
            condition_latents: see `loss_per_sample`; a row a text.
            stock: another pipeline over the same parts.
            inputs: what else it is called with: once for all texts, or once for each.
        """
        # the same seeds in every grid, so that grids of different steps compare
        rows = [Request(prompt=text, negative_prompt="", seed=seed) for seed, text in enumerate(texts)]
        size = {"height": self.recipe.size_px, "width": self.recipe.size_px}
        alone = len(inputs) > 1 or self.family.one_at_a_time
        at_once = 1 if alone else images_at_once(self.recipe.size_px)
        at_once = -(-at_once // rows_together) * rows_together
        made: list[Tensor] = []
        with self.using(module), self.autocast():
            for number, first in enumerate(range(0, len(rows), at_once)):
                some = slice(first, first + at_once)
                row_inputs = inputs[0 if len(inputs) == 1 else number]
                shown = nullcontext() if condition_latents is None else self._shown(condition_latents, some)
                with shown:
                    made.append(
                        (stock or self.stock).sample(rows[some], self.sampling, {**size, **row_inputs})
                    )
        return torch.cat(made).float()

    def fixed_noise_loss(self, loss: Callable[[torch.Generator], Mapping[str, Tensor]]) -> dict[str, float]:
        """Returns the means of loss terms over the first batches at fixed noise: comparable between steps."""
        with self.autocast(), torch.no_grad():
            # not the step's generator: the same batches and noise every time
            generator = torch.Generator(self.device).manual_seed(0)
            losses = [loss(generator) for _ in range(SCORED)]
        return {f"fixed_{name}": sum(float(terms[name]) for terms in losses) / SCORED for name in losses[0]}

    def autocast(self) -> torch.autocast:
        """Runs passes in the recipe's precision, as the loop trains with."""
        enabled = self.recipe.bfloat16_on(self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    @contextmanager
    def using(self, module: nn.Module | None) -> Generator[None]:
        """Lets another module be the denoiser for a while."""
        # put back even after Ctrl-C, since the averaged weights must not be trained
        name, original = self.family.denoiser, self.net
        setattr(self.pipeline, name, original if module is None else module)
        try:
            yield
        finally:
            setattr(self.pipeline, name, original)


def images_at_once(size_px: int) -> int:
    """Returns how many images of a size are encoded, sampled or decoded together."""
    return max(1, PIXELS_AT_ONCE // size_px**2)


def _digest(values: Tensor) -> str:
    return hashlib.sha256(values.cpu().numpy().tobytes()).hexdigest()


def with_base_adapter(recipe: Recipe, device: torch.device, adapter: str) -> FrozenPipeline:
    """Returns the pipeline with an adapter merged.

    Args:
        recipe: of the run.
        device: that trains.
        adapter: name of one in the model's folder, or of a released mode; "" is none.

    Raises:
        ConfigError: there is none of that name.
        WeightsError: a released one cannot be fetched.
    """
    frozen = FrozenPipeline(recipe, device)
    if not adapter:
        return frozen
    path = find_part(frozen.folder, f"adapter/{adapter}.safetensors")
    if path.is_file():
        apply_adapter(frozen.net, path)
    elif adapter in MODES and isinstance(released := MODES[adapter].adapter, str):
        apply_adapter(frozen.net, resolve_source(released))
    else:
        raise ConfigError(
            f"Expected {path}, found none. Train it first, or set base_adapter to what is there."
        )
    return frozen
