"""Makes a stock pipeline transparent: adapter into its UNet, codec over its VAE."""

from pathlib import Path
from typing import Any

from pellucid.errors import InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.codec import autoencoder_of
from pellucid.pipelines.modes import MODES, Mode, mode_named, source_of
from pellucid.pipelines.transparent import TransparentPipeline
from pellucid.pipelines.twins import check_pipeline


def attach(
    pipeline: Any,  # noqa: ANN401 - any diffusers pipeline of `pipelines.twins`
    adapter: str | Path | None = "sdxl-attn",
    *,
    strength: float = 1.0,
    autoencoder: RGBAAutoencoder | None = None,
    model: str | None = None,
) -> TransparentPipeline:
    """Makes a stock pipeline transparent, in place; `detach()` undoes it.

    Args:
        pipeline: Stable Diffusion 1.5 or XL: from text, from a picture, with a ControlNet.
        adapter: a mode's name, the path of a .safetensors file, or None for a UNet that needs none.
        strength: of the adapter, 0 to 2.
        autoencoder: the codec over the pipeline's VAE. None loads the one that belongs to the mode.
        model: name written into results.

    Raises:
        InputError: another kind of pipeline, an unknown adapter, or a file without an `autoencoder`.
        WeightsError: a file is absent or does not fit.
    """
    check_pipeline(pipeline)
    if not 0 <= strength <= 2:
        raise InputError(f"Expected an adapter strength of 0 to 2, found {strength}. 1 is what was trained.")
    mode, source = _mode_and_source(adapter)
    if autoencoder is None:
        if mode is None:
            raise InputError(
                f"Expected an autoencoder with adapter {adapter}, found none. "
                f"Pass one, or name a mode: {', '.join(MODES)}."
            )
        autoencoder = autoencoder_of(mode.codec, pipeline.vae)
    if source is not None:
        from pellucid.weights.adapters import apply_adapter

        apply_adapter(pipeline.unet, source, strength=strength)
    return TransparentPipeline(
        pipeline,
        autoencoder,
        sampling=mode.sampling if mode else None,
        mode=str(adapter) if mode else Path(adapter).stem if adapter else "custom",
        model=model,
    )


def _mode_and_source(adapter: str | Path | None) -> tuple[Mode | None, str | Path | None]:
    if adapter is None:
        return None, None
    if isinstance(adapter, Path) or adapter.endswith(".safetensors"):
        return None, Path(adapter)
    mode = mode_named(adapter)
    return mode, source_of(mode.adapter)
