"""Makes a stock pipeline transparent: adapter into its UNet, codec over its VAE."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pellucid.errors import InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.codec import autoencoder_of
from pellucid.pipelines.modes import FOREGROUND, MODES, TASKS, Family, Mode, Task, mode_named, tasks_of
from pellucid.pipelines.transparent import TransparentPipeline
from pellucid.pipelines.twins import check_pipeline, family_of
from pellucid.pipelines.wardrobe import Wardrobe


def attach(
    pipeline: Any,  # noqa: ANN401 - any diffusers pipeline of `pipelines.twins`
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
        pipeline: Stable Diffusion 1.5 or XL: from text, from a picture, with a ControlNet.
        adapter: a mode's name, the path of a .safetensors file, or None for a UNet that needs none. The name
            of a layer mode, such as "sd15-joint", takes the family's usual one for single layers.
        strength: of every adapter that has one, 0 to 2.
        autoencoder: the codec over the pipeline's VAE. None loads the one that belongs to the mode.
        layers: modes of your own for `joint`, `foreground_on` and the other tasks, instead of the family's.
        model: name written into results.

    Raises:
        InputError: another kind of pipeline, an unknown adapter, or a file without an `autoencoder`.
        WeightsError: a file is absent or does not fit.
    """
    named = mode_named(adapter) if isinstance(adapter, str) and not _is_file(adapter) else None
    family = named.family if named else family_of(pipeline)
    check_pipeline(pipeline)
    wardrobe = Wardrobe(pipeline.unet, strength)
    if autoencoder is None:
        if named is None or named.codec is None:
            raise InputError(
                f"Expected an autoencoder with adapter {adapter}, found none. "
                f"Pass one, or name a mode: {', '.join(MODES)}."
            )
        autoencoder = autoencoder_of(named.codec, pipeline.vae)
    if named is None:
        path = None if adapter is None else Path(adapter)
        own = Mode(
            name=path.stem if path else "custom", title="one transparent layer", family=family, adapter=path
        )
    else:
        own = named if named.outputs == (FOREGROUND,) and not named.conditions else _usual(family)
    tasks = tasks_of(own) | dict(layers or {})
    wardrobe.wear((named or own).source)
    return TransparentPipeline(pipeline, autoencoder, wardrobe=wardrobe, tasks=tasks, model=model)


def _usual(family: Family) -> Mode:
    return MODES[TASKS[family]["foreground"][0]]


def _is_file(adapter: str) -> bool:
    return adapter.endswith(".safetensors")
