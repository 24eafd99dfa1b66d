"""Reads the units by which layers of a scene see each other: of UNets, and of transformers."""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from pellucid.errors import InputError, WeightsError
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.models.frame_units import FrameUnits
from pellucid.weights.file_names import Shape
from pellucid.weights.tensor_files import NoInit, fill

HOOKERS = "hookers."
"""How names of a UNet's units begin in a file."""
FRAME_UNITS = "frame_units."
"""How names of a transformer's units begin in a file."""


def read_sharing(denoiser: nn.Module, path: Path, stored: Mapping[str, Shape]) -> AttentionSharing:
    """Reads the units of a UNet.

    Args:
        denoiser: the UNet.
        path: of the file.
        stored: names and shapes in it.

    Raises:
        WeightsError: they do not fit.
    """
    # the file does not say its frames, but each has LoRAs of its own
    frames = sum(f"hookers.layers.0.to_q_lora.{f}.down.weight" in stored for f in range(3))
    control = any(name.startswith("kwargs_encoder.") for name in stored)
    # 256 as in the released files; one that lacks the name is refused by `fill`
    rank = stored.get("hookers.layers.0.to_q_lora.0.down.weight", (256,))[0]
    try:
        with NoInit():
            sharing = AttentionSharing.for_unet(denoiser, frames=max(frames, 1), rank=rank, control=control)
    except InputError as error:
        raise WeightsError(str(error)) from None
    fill(sharing, path, HOOKERS)
    _beside(denoiser, sharing)
    sharing.state.follows_input = True
    return sharing.eval()


def read_frames(denoiser: nn.Module, path: Path, stored: Mapping[str, Shape]) -> FrameUnits:
    """Reads the units of a transformer; arguments and errors as of `read_sharing`."""
    frames, _, rank = stored.get(f"{FRAME_UNITS}loras.0.down", (1, 1, 1))
    shown = stored.get(f"{FRAME_UNITS}shown_in.weight")
    try:
        with NoInit():
            units = FrameUnits.for_transformer(
                denoiser, frames=frames, rank=rank, shown_channels=shown[1] if shown else 0
            )
    except InputError as error:
        raise WeightsError(str(error)) from None
    fill(units, path, FRAME_UNITS)
    _beside(denoiser, units)
    units.state.follows_input = True
    return units.eval()


def _beside(denoiser: nn.Module, units: nn.Module) -> None:
    """Moves units to where a denoiser is, in its precision."""
    # of 8 bits are weights that layerwise casting stores, and nothing is computed in those
    like = next((value for value in denoiser.parameters() if value.dtype.itemsize > 1), None)
    if like is not None and not like.is_meta:
        # diffusers' own `to` warns of half precision
        nn.Module.to(units, device=like.device, dtype=like.dtype)
