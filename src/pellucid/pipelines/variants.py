"""Which family a diffusers pipeline is of, and the pipelines that are made of the same parts.

diffusers has no protocol that its pipelines share, so this file and `stock.py` alone hold `Any`.
"""

import copy
import inspect
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from pellucid.errors import InputError
from pellucid.models.latent_space import latent_space
from pellucid.pipelines.families import ROWS, ClassPath, ModelFamily, PipelineVariants
from pellucid.pipelines.refused_pipelines import BASE, refusal_of


class IdentityVAE(ModelMixin, ConfigMixin):
    """Stands where an image-to-image pipeline has its VAE, and hands on latents that are already encoded.

    Stock pipelines take latents instead of an image only when they have four channels; with this, any.
    """

    @register_to_config
    def __init__(self, block_out_channels: list[int], latent_channels: int) -> None:
        super().__init__()
        self.config: Any
        self.register_to_config(scaling_factor=1.0, shift_factor=0.0, force_upcast=False)
        self.anchor: Tensor
        self.register_buffer("anchor", torch.zeros(1), persistent=False)  # pipelines ask for device and dtype

    def encode(self, latents: Tensor) -> SimpleNamespace:
        return SimpleNamespace(latents=latents)


class MeanVAE:
    """A VAE whose posteriors are their means, for pipelines that draw from them by no seed of ours."""

    def __init__(self, vae: Any) -> None:  # noqa: ANN401 - any diffusers VAE
        self.vae = vae

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any VAE
        return getattr(self.vae, name)

    def encode(self, pixels: Tensor) -> SimpleNamespace:
        """Encodes; whatever is drawn from the result is the mean."""
        mean = self.vae.encode(pixels).latent_dist.mode()

        def take_mean(generator: torch.Generator | None = None) -> Tensor:
            return mean

        return SimpleNamespace(latent_dist=SimpleNamespace(sample=take_mean, mode=take_mean))


def family_of(pipeline: Any) -> tuple[ModelFamily, PipelineVariants]:  # noqa: ANN401 - any diffusers pipeline
    """Finds the family of a pipeline by its class, and the pipelines that are made of the same parts.

    A width of text that no family names is taken for the first that has these classes.

    Raises:
        InputError: no family here has such a class.
    """
    for cls in type(pipeline).__mro__:  # the nearest class first: a user's own may be a subclass
        rows = [
            (row, variants) for row in ROWS for variants in row.variants if cls.__name__ in variants.names
        ]
        if rows:
            width = getattr(pipeline, rows[0][0].denoiser).config.get("cross_attention_dim")
            family = next((row for row, _ in rows if row.text_width in (width, None)), rows[0][0])
            same = [pair for pair in rows if pair[0] is family]
            return next((pair for pair in same if _has_inputs(pipeline, *pair)), same[0])
    raise InputError(_refusal(pipeline.__class__))


def _refusal(cls: type) -> str:
    """Says in at most 200 characters what was found, why it is not taken, and what to do."""
    for each in cls.__mro__:
        parts = each.__module__.split(".")
        refusal = refusal_of(each.__name__, parts[2] if parts[:2] == ["diffusers", "pipelines"] else "")
        if refusal is not None and refusal is not BASE:
            found, advice = f"{cls.__name__[:60]}, which {refusal.reason}", refusal.advice
            return f"Expected a family of docs/families.md, found {found}. {advice}"
    return (
        f"Expected a pipeline of a family in docs/families.md, found {cls.__name__[:60]}. "
        "Take one of diffusers' text-to-image pipelines."
    )


def _has_inputs(pipeline: Any, family: ModelFamily, variants: PipelineVariants) -> bool:  # noqa: ANN401
    """Tells whether the denoiser has just the inputs of these variants beside the latents."""
    denoiser = getattr(pipeline, family.denoiser)
    return latent_inputs(denoiser, family, variants) == latent_space(pipeline.vae).channels


def check_packages(family: ModelFamily) -> None:
    """Raises InputError where a package is not installed that the stock pipelines of a family need."""
    for name in family.packages:
        if find_spec(name) is None:
            raise InputError(
                f"Expected the package {name} for {family.title}, found none. Install it: pip install {name}."
            )


def latent_inputs(denoiser: Any, family: ModelFamily, variants: PipelineVariants) -> float:  # noqa: ANN401
    """Returns how many channels of latents (b, c, h, w) a denoiser has inputs for."""
    config = denoiser.config
    inputs = config["in_channels"] if "in_channels" in config else config["in_visual_dim"]
    unfolded = 4 if family.packing == "unfolded" else 1
    return inputs * unfolded / family.patch_size**2 - variants.extra_channels


def class_at(path: ClassPath) -> Any:  # noqa: ANN401 - a class of diffusers
    """Returns the class at `path`."""
    package, module, name = path
    return getattr(import_module(f"diffusers.pipelines.{package}.{module}"), name)


def takes_means(pipeline: Any, variants: PipelineVariants) -> None:  # noqa: ANN401
    """Gives a pipeline, nobody else's, the mean of a control image's latents where it draws with no seed."""
    if variants.mean_of_control:
        # not by diffusers' own way of setting a part, which wants a module
        vars(pipeline)["vae"] = MeanVAE(pipeline.vae)


def is_of_class(pipeline: object, path: ClassPath) -> bool:
    """Tells whether a pipeline is of the class at `path`, or of one that is derived from it."""
    return any(cls.__name__ == path[2] for cls in type(pipeline).__mro__)


def build_variant(path: ClassPath, pipeline: Any, replaced: dict[str, Any]) -> Any:  # noqa: ANN401
    """Builds the stock pipeline at `path` over the parts of `pipeline`, some of them replaced or added.

    By its constructor, which moves and casts nothing, so both hold the very same modules. The scheduler is a
    copy: constructors of diffusers mend outdated settings of the one that they are given.
    """
    cls = class_at(path)
    parts = {**pipeline.components, "scheduler": copy.deepcopy(pipeline.scheduler), **replaced}
    accepted = inspect.signature(cls.__init__).parameters
    options = {key: value for key, value in pipeline.config.items() if key in accepted and key not in parts}
    # lists and pairs in a config name the library and class of a part, and are no options
    options = {key: value for key, value in options.items() if not isinstance(value, (list, tuple))}
    built = cls(**{key: parts[key] for key in parts if key in accepted}, **options)
    # diffusers keeps the bar's settings on the object, not in its config
    built.set_progress_bar_config(**getattr(pipeline, "_progress_bar_config", {}))
    return built
