"""Inpainting of opaque images: by a text-to-image model between its steps, or by a diffusers pipeline for it.

Images are uint8 (h, w, 3), sRGB; a share is float32 (h, w), [0, 1]: how much of each pixel is repainted.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pellucid.errors import InputError, WeightsError, first_line
from pellucid.pipelines.arguments import Request, SamplingOptions, check_sampling, round_up
from pellucid.pipelines.inpainting import Callback, RunningPipeline, keep_outside, latent_mask
from pellucid.pipelines.latents import centre_offset
from pellucid.pipelines.model import TransparentModel
from pellucid.pipelines.modes import Mode
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.resizing import fit_pixels
from pellucid.rgba.types import AnyArray
from pellucid.weights.diffusers_names import dtype_option

HELD = 0.5
"""Share of the steps after which an adapter for backgrounds paints freely, see `LatentInpainter`."""
GUIDANCE = 1.5
"""Its guidance: the embedded model's usual 2.5 answers a subject with a grid of saturated colours."""
KEPT_SHARE = 0.05
"""Share below which a pixel counts as kept between steps: subjects are rarely opaque to the last level."""
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, ImportError)
"""What diffusers raises for a pipeline that is absent, damaged or of another kind."""


@runtime_checkable
class Inpainter(Protocol):
    """Repaints a part of an opaque image."""

    @property
    def knows_subjects(self) -> bool:
        """Whether it paints subjects in their places, and not places alone.

        It is then told what the whole image shows, and a subject that does not come back as it was is a
        failure.
        """
        ...

    def inpaint(self, image: AnyArray, share: AnyArray, prompt: str, *, seed: int) -> AnyArray:
        """Returns the whole image as the model sees it in the end, uint8 (h, w, 3).

        What was to be kept comes back through the model's VAE, so it is near the original and not equal to
        it: lay the result over the original by `share`.

        Args:
            image: uint8 (h, w, 3); what it shows where `share` is 1 does not matter.
            share: float32 (h, w), [0, 1]; 1 is repainted, 0 kept.
            prompt: what the whole image shows, or the place alone, see `knows_subjects`.
            seed: of the noise.
        """
        ...


class LatentInpainter:
    """Inpaints with a model that was never trained to: latents to keep are put back after every step.

    The embedded model's latents have eight channels, which diffusers' inpainting pipelines refuse, and any
    base model works this way without further weights. The denoiser has the adapter of the model's opaque
    backgrounds where there is one, as `joint` of the embedded model has; else it is the plain denoiser.

    An adapter for backgrounds has never seen a subject. Latents are then put back in the first `HELD` of the
    steps alone: the surroundings take up colours and shape of what is kept, and what is kept melts into them.
    """

    def __init__(self, model: TransparentModel, options: SamplingOptions | None = None) -> None:
        """Takes the model of a loaded pipeline, `pellucid.load(...).model`.

        Args:
            model: whose denoiser and VAE paint.
            options: steps, guidance and scheduler; what is None is the mode's own, but `GUIDANCE` for an
                adapter for backgrounds.
        """
        self.model, found = model, _background_mode(model)
        self.knows_subjects = found is None
        self.mode = found or _plain_mode(model.single)
        usual = (
            self.mode.sampling
            if self.knows_subjects
            else replace(self.mode.sampling, guidance_scale=GUIDANCE)
        )
        self.settings = (options or SamplingOptions()).resolve(usual)
        steps = self.settings.num_inference_steps
        self.held_steps = steps if self.knows_subjects else max(1, round(HELD * steps))

    def inpaint(self, image: AnyArray, share: AnyArray, prompt: str, *, seed: int) -> AnyArray:
        """See `Inpainter.inpaint`."""
        height, width = share.shape
        pixels = to_float(image).astype(np.float32)
        sampled = self.model.stock.native_size if self.settings.fixed_resolution else (height, width)
        fitted = fit_pixels(pixels, *sampled, "stretch")
        free = (fit_pixels(share[..., None], *sampled, "stretch")[..., 0] > KEPT_SHARE).astype(np.float32)
        painted = self._sample(fitted, free, prompt, seed)
        return to_bytes(np.clip(fit_pixels(painted, height, width, "stretch"), 0, 1))

    @torch.no_grad()
    def _sample(self, pixels: AnyArray, free: AnyArray, prompt: str, seed: int) -> AnyArray:
        """Paints on a canvas of whole latents, of which the image is the middle: float32 (h, w, 3)."""
        model = self.model
        size = free.shape[0], free.shape[1]
        # the VAE's own pixels throughout: opaque images never meet the alpha decoder, which may enlarge
        multiple = model.size_multiple // model.autoencoder.upscale
        canvas = tuple(round_up(side, multiple) for side in size)
        (top, left), (rows, columns) = centre_offset(canvas, size), size
        known = model.autoencoder.encode_opaque(_to_tensor(_on_canvas(pixels, canvas)))
        known = known.to(model.stock.dtype)
        inside = latent_mask(free, *known.shape[-2:], pixels=model.autoencoder.pixels_per_latent)
        inputs = {
            "height": canvas[0],
            "width": canvas[1],
            "callback_on_step_end": _first_steps(keep_outside(model.stock, known, inside), self.held_steps),
        }
        request = Request(prompt=prompt, negative_prompt="", seed=seed)
        with model.one_call():
            model.adapters.set(self.mode.source)
            read = model.reader.read(model.stock.pipeline, [request])
            latents = model.stock.text_to_image().sample(read, self.settings, inputs)
            painted = model.autoencoder.decode_opaque(latents)[0].permute(1, 2, 0).float().cpu().numpy()
        return np.ascontiguousarray(painted[top : top + rows, left : left + columns])


class DiffusersInpainter:
    """Inpaints with a pipeline that diffusers has for it: made for inpainting, or a base model."""

    knows_subjects = True

    def __init__(
        self,
        pipeline: Any,  # noqa: ANN401 - diffusers has no common protocol
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
    ) -> None:
        """Takes a pipeline of `AutoPipelineForInpainting`.

        Args:
            pipeline: any that takes `image`, `mask_image` and `strength`.
            num_inference_steps: None takes the pipeline's own.
            guidance_scale: None takes the pipeline's own.

        Raises:
            InputError: steps or guidance that no sampler has.
        """
        check_sampling(num_inference_steps or 1, guidance_scale or 1.0)
        self.pipeline = pipeline
        asked = {"num_inference_steps": num_inference_steps, "guidance_scale": guidance_scale}
        self.asked = {name: value for name, value in asked.items() if value is not None}

    def inpaint(self, image: AnyArray, share: AnyArray, prompt: str, *, seed: int) -> AnyArray:
        """See `Inpainter.inpaint`."""
        multiple = int(self.pipeline.image_processor.config.vae_scale_factor)
        size = share.shape[0], share.shape[1]
        canvas = tuple(round_up(side, multiple) for side in size)
        (top, left), (rows, columns) = centre_offset(canvas, size), size
        mask = to_bytes(_on_canvas(share[..., None], canvas)[..., 0])
        painted = self.pipeline(
            prompt=prompt,
            image=Image.fromarray(_on_canvas(image, canvas)),
            mask_image=Image.fromarray(mask),
            height=canvas[0],
            width=canvas[1],
            strength=1.0,  # less would keep some of what is to be replaced
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="np",
            **self.asked,
        ).images[0]
        return to_bytes(np.ascontiguousarray(painted[top : top + rows, left : left + columns]))


def load_inpainter(
    source: str | Path,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
) -> DiffusersInpainter:
    """Loads a pipeline for inpainting; a safety checker, which blackens images, is left out.

    Args:
        source: a folder in diffusers' layout, or a hub id; of a base model or one made for inpainting.
        device: where it runs.
        dtype: of all its parts.
        num_inference_steps: see `DiffusersInpainter`.
        guidance_scale: likewise.

    Raises:
        WeightsError: it cannot be found, is damaged, or diffusers has no inpainting for its kind.
        InputError: no such device.
    """
    from diffusers.pipelines.auto_pipeline import AutoPipelineForInpainting

    try:
        pipeline = AutoPipelineForInpainting.from_pretrained(
            str(source), **dtype_option(dtype), safety_checker=None, use_safetensors=True
        )
    except UNREADABLE as error:
        raise WeightsError(
            f"Expected a pipeline that can inpaint at {source}, found {first_line(error)}. Give a folder "
            "that `save_pretrained` wrote, in safetensors, of a kind that diffusers can inpaint with."
        ) from None
    try:
        pipeline.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"Expected a device that torch can use, found {device!r}: {first_line(error)}. Try cpu."
        ) from None
    pipeline.set_progress_bar_config(disable=True)
    return DiffusersInpainter(
        pipeline, num_inference_steps=num_inference_steps, guidance_scale=guidance_scale
    )


def _background_mode(model: TransparentModel) -> Mode | None:
    """Finds how the model paints an opaque background alone; None where it has no such mode."""
    modes = (mode for task in ("background_for", "joint") for mode in model.tasks.get(task, ()))
    return next(
        (it for it in modes if not it.conditions and [each.role for each in it.outputs] == ["background"]),
        None,
    )


def _plain_mode(single: Mode) -> Mode:
    return Mode(
        name=f"{single.name}-opaque",
        title="one opaque image, plain denoiser",
        family=single.family,
        adapter=None,
        sampling=single.sampling,
    )


def _first_steps(callback: Callback, count: int) -> Callback:
    def called(
        running: RunningPipeline, step: int, timestep: object, values: dict[str, Tensor]
    ) -> Mapping[str, Tensor] | None:
        return callback(running, step, timestep, values) if step < count else values

    return called


def _on_canvas(pixels: AnyArray, canvas: tuple[int, ...]) -> AnyArray:
    """Repeats the edges of (h, w, c) up to a canvas of which it is the middle."""
    top, left = centre_offset(canvas, pixels.shape[:2])
    below, right = canvas[0] - pixels.shape[0] - top, canvas[1] - pixels.shape[1] - left
    return np.pad(pixels, ((top, below), (left, right), (0, 0)), mode="edge")


def _to_tensor(pixels: AnyArray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
