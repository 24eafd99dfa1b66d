"""Structural control by the small network in a model's folder: what `pellucid train control` wrote."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import nn

from pellucid.errors import WeightsError, first_line
from pellucid.pipelines.given_images import to_image
from pellucid.rgba.control_images import structure
from pellucid.rgba.resizing import fit_rgba
from pellucid.weights.diffusers_names import dtype_option

if TYPE_CHECKING:
    from diffusers.models.adapter import T2IAdapter

FOLDER = "control"


def load_control_network(folder: Path, device: torch.device, dtype: torch.dtype) -> "T2IAdapter":
    """Loads the network in a model's folder.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    from diffusers.models.adapter import T2IAdapter

    path = folder / FOLDER
    try:
        network = T2IAdapter.from_pretrained(
            path, local_files_only=True, low_cpu_mem_usage=False, **dtype_option(dtype)
        )
        nn.Module.to(network, device)
        return network.eval()
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"Expected a control network in {path}, found {first_line(error)}. "
            "Train one with `pellucid train control`."
        ) from None


def to_control_image(image: object, kind: str, size: tuple[int, int]) -> Image.Image:
    """Draws what a control network is shown of an image of any size, fitted whole into (height, width)."""
    return Image.fromarray(structure(fit_rgba(to_image(image), *size, "fit"), kind))
