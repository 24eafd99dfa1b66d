"""Makes a stock pipeline transparent: adapter into its denoiser, codec over its VAE."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.errors import InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.families import ModelFamily, custom_mode
from pellucid.pipelines.latents import check_autoencoder, load_autoencoder
from pellucid.pipelines.mode_discovery import adapters_of, codec_of_adapter
from pellucid.pipelines.modes import FOREGROUND, MODES, TASKS, Mode, Task, find_mode, tasks_for
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.stock import StockPipeline
from pellucid.weights.adapter_manager import AdapterManager

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

AUTO = "auto"


def attach(
    pipeline: "DiffusionPipeline",
    adapter: str | Path | None = AUTO,
    *,
    strength: float = 1.0,
    autoencoder: RGBAAutoencoder | None = None,
    layers: Mapping[Task, tuple[Mode, ...]] | None = None,
    model: str | None = None,
) -> TransparentPipeline:
    """Makes a stock pipeline transparent, in place; `detach()` undoes it.

    The files of layer modes are fetched when they are first asked for; they take the adapter's place for that
    call, and afterwards it is back.

    Args:
        pipeline: of a family in `pellucid.pipelines.families`, from text or from an image; docs/families.md
            has them all, by class.
        adapter: a mode's name, the path of a .safetensors file, None for a model that needs none, or "auto"
            for the released one of the family. The name of a layer mode, such as "sd15-joint", takes the
            family's usual one for single layers.
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
    stock = StockPipeline(pipeline)
    if adapter == AUTO:
        adapter = stock.family.default_adapter
        if adapter is None and autoencoder is None:
            raise InputError(
                f"Expected an adapter or an autoencoder for {stock.family.title}, found none. "
                f"{_where_from(stock.family)}"
            )
    named = find_mode(adapter) if isinstance(adapter, str) and not _is_file(adapter) else None
    stock.check()
    # checked before any file is fetched, which may take minutes
    check_modes_fit(stock.family, named, layers or {})
    adapters = AdapterManager(stock.denoiser, strength)
    if autoencoder is None:
        codec = named.codec if named else codec_of_adapter(Path(adapter)) if adapter else None
        if codec is None:
            raise InputError(
                f"Expected an autoencoder with adapter {adapter}, found none. {_where_from(stock.family)}"
            )
        autoencoder = load_autoencoder(codec, stock)
    check_autoencoder(stock, autoencoder)
    single = _single_mode(stock.family, named, adapter)
    # a layer mode's file is tried now, so that a wrong one is told here, but the stock pipeline could not run
    # with it: between calls the denoiser is then plain
    attached = single.source if named in (None, single) else None
    with stock.lock:
        adapters.set((named or single).source)
        adapters.set(attached)
    tasks = tasks_for(single) | dict(layers or {})
    return TransparentPipeline(
        pipeline, autoencoder, adapters=adapters, tasks=tasks, attached=attached, model=model
    )


def check_modes_fit(family: ModelFamily, named: Mode | None, layers: Mapping[Task, tuple[Mode, ...]]) -> None:
    """Raises InputError for another family's mode, and for layer modes with hints where no UNet is."""
    if named is not None and named.family not in family.adapters:
        raise InputError(
            f"Expected an adapter for {family.title}, found {named.name}, which is for {named.family}. "
            f"{_where_from(family)}"
        )
    for mode in (mode for modes in layers.values() for mode in modes):
        hints = [each.role for each in mode.conditions if each.entry == "attention-hint"]
        if family.denoiser != "unet" and hints:
            raise InputError(
                f"Expected layer modes without hints to attentions with {family.title}, found {mode.name}. "
                'Show images by "channel-concat", or take a UNet.'
            )
        if mode.conditions and not family.takes_images:
            raise InputError(
                f"Expected layer modes without conditions with {family.title}, found {mode.name}. "
                "Take another family."
            )
        if family.one_at_a_time and len(mode.outputs) > 1:
            raise InputError(
                f"Expected layer modes of one image with {family.title}, which makes one at a time, found "
                f"{mode.name}. Make its layers in turn, or take another family."
            )


def _single_mode(family: ModelFamily, named: Mode | None, adapter: str | Path | None) -> Mode:
    """Returns the mode of single layers: the one that was named, the family's usual one, or the caller's."""
    if named is None:
        return custom_mode(family, None if adapter is None else adapters_of(Path(adapter)))
    if named.outputs == (FOREGROUND,) and not named.conditions:
        return named
    return MODES[TASKS[named.family]["foreground"][0]]


def _where_from(family: ModelFamily) -> str:
    """Says what to do where a codec or an adapter is wanting."""
    if family.adapters:
        modes = ", ".join(mode.name for mode in MODES.values() if mode.family in family.adapters)
        return f"Pass one, or name a mode: {modes}."
    return (
        f"Nobody has released files for it: train a codec over its VAE with `pellucid train autoencoder` "
        f"({family.latent_channels} channels, {family.vae_scale_factor} pixels a latent) and pass "
        "`autoencoder=`."
    )


def _is_file(adapter: str) -> bool:
    return adapter.endswith(".safetensors")
