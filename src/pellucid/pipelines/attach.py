"""Makes a stock pipeline transparent: adapter into its denoiser, codec over its VAE."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pellucid.errors import InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.codec import autoencoder_of, check_codec
from pellucid.pipelines.families import FamilyRow, denoiser_of, own_mode, row_of
from pellucid.pipelines.mode_discovery import codec_in
from pellucid.pipelines.modes import FOREGROUND, MODES, TASKS, Family, Mode, Task, mode_named, tasks_of
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.twins import check_pipeline
from pellucid.weights.adapter_manager import Wardrobe


def attach(
    pipeline: Any,  # noqa: ANN401 - any diffusers pipeline of `pipelines.families`
    adapter: str | Path | None = "sdxl-attn",
    *,
    strength: float = 1.0,
    autoencoder: RGBAAutoencoder | None = None,
    layers: Mapping[Task, tuple[Mode, ...]] | None = None,
    model: str | None = None,
) -> TransparentPipeline:
    """Makes a stock pipeline transparent, in place; `detach()` undoes it.

    The files of layer modes are fetched when they are first asked for, and take the adapter's place for
    that call.

    Args:
        pipeline: Stable Diffusion 1.5, 2.1, XL, 3 or 3.5, FLUX.1 or PixArt: from text or from a picture; the
            first three with a ControlNet too.
        adapter: a mode's name, the path of a .safetensors file, or None for a model that needs none. The
            name of a layer mode, such as "sd15-joint", takes the family's usual one for single layers.
        strength: of every adapter that has one, 0 to 2.
        autoencoder: the codec over the pipeline's VAE. None loads the one that belongs to the mode, or that
            the file was trained with.
        layers: modes of your own for `joint`, `foreground_on` and the other tasks, instead of the family's.
        model: name written into results.

    Raises:
        InputError: another kind of pipeline, an unknown adapter or another family's, a file without an
            `autoencoder`, or one over another VAE.
        WeightsError: a file is absent or does not fit.
    """
    named = mode_named(adapter) if isinstance(adapter, str) and not _is_file(adapter) else None
    check_pipeline(pipeline)
    row = row_of(pipeline)
    check_fits(row, named, layers or {})
    wardrobe = Wardrobe(denoiser_of(pipeline), strength)
    if autoencoder is None:
        codec = named.codec if named else codec_in(Path(adapter)) if adapter else None
        if codec is None:
            raise InputError(
                f"Expected an autoencoder with adapter {adapter}, found none. {_where_from(row)}"
            )
        autoencoder = autoencoder_of(codec, pipeline.vae)
    check_codec(pipeline, autoencoder)
    if named is None:
        own = own_mode(row, None if adapter is None else Path(adapter))
    else:
        own = named if named.outputs == (FOREGROUND,) and not named.conditions else _usual(named.family)
    tasks = tasks_of(own) | dict(layers or {})
    wardrobe.wear((named or own).source)
    return TransparentPipeline(pipeline, autoencoder, wardrobe=wardrobe, tasks=tasks, model=model)


def check_fits(row: FamilyRow, named: Mode | None, layers: Mapping[Task, tuple[Mode, ...]]) -> None:
    """Raises InputError for another family's mode, and for layer modes that want a UNet where none is."""
    if named is not None and named.family not in row.adapters:
        raise InputError(
            f"Expected an adapter for {row.title}, found {named.name}, which is for {named.family}. "
            f"{_where_from(row)}"
        )
    for mode in (mode for modes in layers.values() for mode in modes):
        if row.denoiser != "unet" and (mode.conditions or len(mode.outputs) > 1 or mode.stop_at < 1):
            raise InputError(
                f"Expected layer modes of one picture and no conditions with {row.title}, found {mode.name}. "
                "Layers that see each other need Stable Diffusion XL or 1.5."
            )


def _where_from(row: FamilyRow) -> str:
    """What to do where a codec or an adapter is wanting."""
    if row.adapters:
        modes = ", ".join(mode.name for mode in MODES.values() if mode.family in row.adapters)
        return f"Pass one, or name a mode: {modes}."
    return (
        f"Nobody has released files for it: train a codec over its VAE with `pellucid train autoencoder` "
        f"({row.latent_channels} channels, {row.pixels_per_latent} pixels a latent) and pass `autoencoder=`."
    )


def _usual(family: Family) -> Mode:
    return MODES[TASKS[family]["foreground"][0]]


def _is_file(adapter: str) -> bool:
    return adapter.endswith(".safetensors")
