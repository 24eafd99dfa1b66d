"""Structural control by the small network in a model's folder: what `pellucid train control` wrote."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pellucid.errors import InputError, WeightsError
from pellucid.pipelines.codec import rgba_of
from pellucid.pipelines.families import Twins, row_of
from pellucid.pipelines.quiet import quiet
from pellucid.pipelines.twins import built
from pellucid.rgba.control_images import structure
from pellucid.rgba.resizing import fit_rgba

FOLDER = "control"


def controlled(pipeline: Any, adapter: Any) -> Any:  # noqa: ANN401 - any diffusers pipeline, a T2IAdapter
    """The pipeline of the same parts that shows its UNet what `adapter` makes of a picture.

    Raises:
        InputError: diffusers has none for this family.
    """
    twins = next((each for each in row_of(pipeline).twins if _steered(each)), None)
    if twins is None:
        raise InputError(
            f"Expected a family with T2I-Adapters, found {row_of(pipeline).title}. "
            "Attach a pipeline with a ControlNet instead, and pass pipeline_inputs."
        )
    return built(twins.from_text, pipeline, {"adapter": adapter})


def load_control(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:  # noqa: ANN401 - a T2IAdapter
    """The network in a model's folder.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    from diffusers.models.adapter import T2IAdapter

    path = folder / FOLDER
    try:
        with quiet():
            found = T2IAdapter.from_pretrained(
                path, local_files_only=True, low_cpu_mem_usage=False, torch_dtype=dtype
            )
        return found.to(device).eval()  # pyright: ignore
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"Expected a control network in {path}, found {str(error).splitlines()[0][:200].rstrip('.')}. "
            "Train one with `pellucid train control`."
        ) from None


def control_picture(picture: object, kind: str, size: tuple[int, int]) -> Image.Image:
    """What a control network is shown of a picture of any size, fitted whole into (height, width)."""
    return Image.fromarray(structure(fit_rgba(rgba_of(picture), *size, "fit"), kind))


def _steered(twins: Twins) -> bool:
    return twins.from_text[2].endswith("AdapterPipeline")
