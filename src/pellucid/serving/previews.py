"""Unfinished images: what the denoiser takes the result for, decoded with alpha between two steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.pipelines.inpainting import paste, to_mask
from pellucid.pipelines.model import TransparentModel
from pellucid.pipelines.repaint_area import around_mask, whole_image
from pellucid.rgba.snapping import fit_snapped
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.serving.requests import SceneRequest

Images = Mapping[str, RGBA8]


@dataclass(frozen=True, slots=True)
class PreviewFrame:
    """From a decoded canvas to the image that the caller will get."""

    canvas: tuple[int, int]
    """(height, width) in pixels of what the stock pipeline samples."""
    crop: tuple[int, int]
    """(height, width) that the decoded canvas is cut to."""
    lay: Callable[[AnyArray], AnyArray]
    """Puts what was cut where it belongs."""


def preview_frame(model: TransparentModel, request: SceneRequest, images: Images) -> PreviewFrame:
    """Returns how unfinished images of a request become its result's size and surroundings."""
    if request.task.name == "generate":
        size = model.canvas_size(request.options.get("height"), request.options.get("width"), like=None)
        made, fit = (
            (model.native_size, "fit") if model.single.sampling.fixed_resolution else (size, "stretch")
        )
        return PreviewFrame(model.inner_canvas(made), made, lambda image: fit_snapped(image, *size, fit))
    image = images["image"]
    if request.task.name == "inpaint":
        share = to_mask(images["mask"], image)
        area = around_mask(model, image, share)
        return PreviewFrame(
            model.inner_canvas(area.canvas),
            area.canvas,
            lambda made: paste(image, area.lay(image, made), share),
        )
    whole = whole_image(model, image)
    clear = np.zeros_like(image)
    return PreviewFrame(model.inner_canvas(whole.canvas), whole.canvas, lambda made: whole.lay(clear, made))


def preview_steps(count: int, steps: int) -> Sequence[int]:
    """Returns the steps, of 0 to `steps` - 1, after which `count` unfinished images are shown.

    Spread evenly, and never the first, at which nothing can be seen, nor the last, which is the result.
    """
    places = [round((i + 1) * steps / (count + 1)) for i in range(count)]
    return sorted({place for place in places if 0 < place < steps - 1})


class CleanEstimate:
    """Listens to a scheduler, and works out the clean latents that each prediction means.

    The latents between two steps still hold noise, which a decoder shows as grain. What the denoiser was
    handed and what it answered say together what it takes the clean latents for, whatever the scheduler.
    """

    def __init__(self) -> None:
        self.latents: Tensor | None = None
        """Of the last step, as the sampler holds them."""
        self._listened: object = None

    def listen(self, scheduler: Any) -> None:  # noqa: ANN401 - diffusers' schedulers share no class
        """Listens from the next step on; asked again with the same scheduler it does nothing."""
        if self._listened is scheduler:
            return
        self._listened = scheduler
        step = scheduler.step

        @wraps(step)
        def heard(model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **options: Any) -> Any:  # noqa: ANN401
            signal, noise = _mixture(scheduler, timestep)
            self.latents = _clean(scheduler, model_output, sample, signal, noise)
            return step(model_output, timestep, sample, *args, **options)

        scheduler.step = heard


def _mixture(scheduler: Any, timestep: Any) -> tuple[float, float]:  # noqa: ANN401
    """Returns how much of signal and of noise the latents hold at a timestep."""
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is None:
        product = float(scheduler.alphas_cumprod[int(timestep)])
        return product**0.5, (1 - product) ** 0.5
    index = getattr(scheduler, "step_index", None)
    if index is None:  # before its first step
        index = int((scheduler.timesteps - timestep).abs().argmin())
    sigma = float(sigmas[min(index, len(sigmas) - 1)])
    if _is_flow(scheduler):
        return 1 - sigma, sigma
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):  # solvers that keep the latents' variance
        signal = 1 / (sigma**2 + 1) ** 0.5
        return signal, sigma * signal
    return 1.0, sigma


def _is_flow(scheduler: Any) -> bool:  # noqa: ANN401
    flow = (
        scheduler.config.get("use_flow_sigmas")
        or scheduler.config.get("prediction_type") == "flow_prediction"
    )
    return bool(flow) or "FlowMatch" in type(scheduler).__name__


def _clean(scheduler: Any, output: Tensor, sample: Tensor, signal: float, noise: float) -> Tensor:  # noqa: ANN401
    output = output[:, : sample.shape[1]]  # beyond are variances, of models that predict them
    kind = scheduler.config.get("prediction_type", "epsilon")
    if kind == "sample":
        return output
    if _is_flow(scheduler):
        return sample - noise * output
    if kind == "v_prediction":
        # of latents that keep their variance; others are brought there first
        size = (signal**2 + noise**2) ** 0.5
        return (signal / size) * (sample / size) - (noise / size) * output
    return (sample - noise * output) / max(signal, 1e-4)


@torch.no_grad()
def decode_preview(model: TransparentModel, latents: Tensor, row: int, frame: PreviewFrame) -> AnyArray:
    """Decodes one row of the sampler's latents to the caller's image: one view, since more cost time."""
    scaled = model.stock.unpack(latents, *frame.canvas)[row : row + 1]
    return frame.lay(model.decode(scaled.to(model.stock.dtype), passes=1, crop=frame.crop))
